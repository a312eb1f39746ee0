// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device's requests: the input is the driver's memory, the disk a memfd. I/O is done at
 * once; on the way it fails, falls short or is refused as the input says.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/blk/request.h"
#include "rig.h"

#define IMAGE (64U * 1024)
#define MOST_STEPS 1000

static struct rig rig = { .size = 16384, .avail = 256, .used = 512 };
static struct blk_device blk = { .seg_max = 4, .serial = "fuzz", .num_queues = 1, .wce = 1 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	rig_init(&rig);
	blk.image.fd = memfd_create("image", 0);
	if (blk.image.fd < 0 || ftruncate(blk.image.fd, IMAGE))
		abort();
	blk.image.size = IMAGE;
	blk.image.path = "image";
	return 0;
}

/* The driver turns the cache on and off, whatever is under way. */
static void turn_cache(uint8_t value)
{
	if (blk_set_config(&blk, &value, offsetof(struct virtio_blk_config, wce), 1))
		abort();
}

/* A step on the image, bent as the input says. It must never reach past the end of the disk. */
static int64_t step(const struct blk_io *io, unsigned int how)
{
	static const int errors[] = { EIO, EOPNOTSUPP, ENOSPC, EINTR };
	struct blk_io part = *io;
	struct iovec first;

	if (io->op != BLK_OP_SYNC && (io->offset > IMAGE || io->len > IMAGE - io->offset))
		abort();
	if ((how & 7) == 7)
		return -errors[how >> 3 & 3];
	if ((how & 7) == 6 && io->niov) { /* falls short, or meets the end */
		first = io->iov[0];
		first.iov_len = first.iov_len > (how >> 3) ? (how >> 3) : first.iov_len;
		part.iov = &first;
		part.niov = 1;
	}
	return blk_io_now(&blk.image, &part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blk_requests requests;
	struct vq_setup setup;
	struct virtqueue vq;
	uint64_t features;
	unsigned int steps = 0;
	const uint8_t *how;
	uint16_t id;

	if (size < 18)
		return 0;
	blk.image.read_only = data[0] & 1;
	blk.image.direct = data[0] & 2;
	blk.image.logical_block = data[0] & 4 ? 4096 : 512;
	blk.image.memory_align = data[0] & 8 ? 512 : 4;
	features = data[0] & 16 ? BIT_ULL(VIRTIO_BLK_F_FLUSH) : 0;
	features |= data[0] & 64 ? BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) : 0;
	turn_cache(1);
	setup = rig_setup(&rig, 0,
			  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | rig_packed(data[0] & 32));
	how = data + 1;
	rig_fill(&rig, data + 18, size - 18);
	if (vq_start(&vq, &setup))
		return 0;
	if (blk_requests_init(&requests, &blk, &vq, features))
		abort();
	while (steps < MOST_STEPS && vq_pop(&vq, &id) > 0) {
		struct blk_request *req;
		int more = blk_request_begin(&requests, id, &req);

		while (more > 0 && steps++ < MOST_STEPS) {
			int64_t result = step(&req->io, how[steps % 17]);

			turn_cache(how[steps % 17] >> 7);
			more = blk_request_step(&requests, req, result);
		}
		if (more > 0) /* EINTR for ever; what it holds is the test's to release */
			free(req->bounce);
		vq_flush(&vq);
	}
	blk_requests_finish(&requests);
	vq_stop(&vq);
	return 0;
}
