// SPDX-License-Identifier: BSD-3-Clause
/*
 * The ring and the chains of descriptors: the input is the driver's memory, rings and in-flight
 * record included. Whatever is in it, the device must neither touch memory outside of the two
 * regions nor spin.
 */
#include <stdint.h>
#include <stdlib.h>

#include "backends/common/iov.h"
#include "backends/common/virtqueue.h"
#include "rig.h"

#define MEMORY 8192
#define INFLIGHT 1024 /* offset of the in-flight record */
#define MOST_IOVS 24

static struct rig rig = { .size = MEMORY, .avail = 256, .used = 512 };
static struct inflight_area area;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* In the file the halves are the other way round: what runs over the border is caught. */
	const struct vhost_user_memory_region halves[] = {
		{ RIG_GPA, MEMORY / 2, RIG_UVA, MEMORY / 2 },
		{ RIG_GPA + MEMORY / 2, MEMORY / 2, RIG_UVA + MEMORY / 2, 0 },
	};

	(void)argc;
	(void)argv;
	rig_init_regions(&rig, halves, ARRAY_SIZE(halves));
	return 0;
}

/* Reads and writes each byte that the chain claims, so that a wrong one does not go unseen. */
static void touch(const struct vq_buffers *bufs)
{
	uint8_t buf[256];
	size_t done = 0;

	while (done < bufs->out_len && done < 65536)
		done += iov_to_buf(bufs->iov, bufs->out_num, done, buf, sizeof(buf));
	iov_zero(bufs->iov + bufs->out_num, bufs->in_num, 0, bufs->in_len < 64 ? bufs->in_len : 64);
	if (bufs->out_num + bufs->in_num > bufs->max)
		abort();
}

static void run(struct virtqueue *vq, unsigned int how)
{
	struct iovec iov[MOST_IOVS];
	unsigned int i;
	uint16_t ids[RIG_NUM], id;
	unsigned int held = 0;

	for (i = 0; i < 4 * RIG_NUM && vq_pop(vq, &id) > 0; i++) {
		struct vq_buffers bufs = { .iov = iov, .max = MOST_IOVS };

		if (id >= RIG_NUM || held >= RIG_NUM)
			abort();
		if (vq_chain(vq, id, &bufs))
			break;
		touch(&bufs);
		ids[held++] = id;
		if (how >> (i % 8) & 1) {
			vq_push(vq, ids[--held], (uint32_t)i);
			if (how >> (7 - i % 8) & 1)
				vq_flush(vq);
		}
	}
	while (held)
		vq_push(vq, ids[--held], 0);
	vq_flush(vq);
	vq_arm(vq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtqueue vq;
	struct vq_setup setup;
	uint64_t features;

	if (size < 4)
		return 0;
	features = (data[0] & 1 ? BIT_ULL(VIRTIO_RING_F_EVENT_IDX) : 0) |
		   (data[0] & 2 ? BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
		   rig_packed(data[0] & 8);
	setup = rig_setup(&rig, 0, features);
	if (!(features & BIT_ULL(VIRTIO_F_RING_PACKED))) {
		setup.base = (uint16_t)(data[2] | data[3] << 8);
	} else {
		/* one lap or the other; a size that need be no power of two */
		setup.base ^= data[2] & 128 ? PACKED_BASE_WRAP : 0;
		setup.base ^= data[3] & 128 ? PACKED_BASE_WRAP << PACKED_BASE_USED_SHIFT : 0;
		setup.num = data[0] & 16 ? 1 + data[2] % RIG_NUM : RIG_NUM;
	}
	setup.inflight = &area;
	rig_fill(&rig, data + 4, size - 4);
	area = (struct inflight_area){ 0 };
	if (data[0] & 4)
		area = (struct inflight_area){
			.map = rig.memory,
			.base = rig.memory + INFLIGHT,
			.len = packed_record_size(RIG_NUM),
			.num_queues = 1,
			.queue_size = RIG_NUM,
		};
	if (vq_start(&vq, &setup))
		return 0;
	run(&vq, data[1]);
	vq_stop(&vq);
	return 0;
}
