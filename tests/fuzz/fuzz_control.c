// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control side: a front-end that sends any messages in any order, with any descriptors, and
 * writes rubbish into the rings in between. The device answers each request at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/common/internal.h"
#include "backends/common/iov.h"
#include "common/cleanup.h"
#include "common/log.h"

#define MEMORY 16384
#define QUEUES 3
#define CONFIG 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static int memfd;
static uint8_t *memory;
static unsigned int running; /* queues between start and stop */

/* ---- the device ---- */

static uint64_t features(void *dev)
{
	(void)dev;
	return 0xff;
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	(void)dev;
	if (offset > CONFIG || size > CONFIG - offset)
		abort();
	memset(buf, 0x42, size);
}

static int set_config(void *dev, const void *buf, uint32_t offset, uint32_t size)
{
	const uint8_t *bytes = buf;

	(void)dev;
	if (offset > CONFIG || size > CONFIG - offset)
		abort();
	return bytes[size - 1] & 1 ? -EINVAL : 0;
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	(void)dev;
	if (queue->vq.num == 2) /* a device can have its reasons */
		return -EIO;
	running++;
	return 0;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	(void)dev;
	(void)queue;
	running--;
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct iovec iov[16];
	unsigned int i;
	uint16_t id;

	(void)dev;
	for (i = 0; i < 64 && vq_pop(&queue->vq, &id) > 0; i++) {
		struct vq_buffers bufs = { .iov = iov, .max = 16 };

		if (vq_chain(&queue->vq, id, &bufs))
			break;
		iov_zero(bufs.iov + bufs.out_num, bufs.in_num, 0, 64);
		vq_push(&queue->vq, id, (uint32_t)bufs.in_len);
	}
	vq_arm(&queue->vq);
	vq_flush(&queue->vq);
}

static const struct vu_device_ops ops = {
	.features = features,
	.get_config = get_config,
	.set_config = set_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", 0);
	memfd = memfd_create("fuzz", 0);
	if (memfd < 0 || ftruncate(memfd, MEMORY))
		abort();
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	return memory == MAP_FAILED ? -1 : 0;
}

/* ---- the front-end ---- */

static int make_fd(unsigned int kind)
{
	switch (kind & 3) {
	case 0:
		return eventfd(0, EFD_CLOEXEC);
	case 1:
		return dup(memfd);
	case 2:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	default:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
}

/*
 * One message: request, flags and number of descriptors, kinds of them, size of the payload,
 * payload. Where the codec would refuse it, it never comes to the control side.
 */
static size_t next_message(struct vu_message *msg, const uint8_t *data, size_t size)
{
	unsigned int nfds, i;
	size_t len;

	if (size < 4)
		return 0;
	vu_message_init(msg, VU_REQUEST, data[0]);
	if (data[1] & 0x10)
		msg->header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	nfds = data[1] & 0xf;
	len = data[3] < size - 4 ? data[3] : size - 4;
	memcpy(&msg->payload, data + 4, len);
	vu_message_set_size(msg, len);
	for (i = 0; i < nfds && i < VHOST_USER_MAX_FDS; i++)
		vu_message_add_fd(msg, make_fd(data[2] >> (2 * (i & 3))));
	return 4 + len;
}

/* Request 255: what is in the rings changes, and they are kicked. */
static void scribble(struct vu_backend *backend, const struct vu_message *msg)
{
	size_t at = (size_t)msg->payload.bytes[0] * 64 % MEMORY;
	unsigned int i;

	if (msg->header.size > 1)
		memcpy(memory + at, msg->payload.bytes + 1, MIN(msg->header.size - 1, MEMORY - at));
	for (i = 0; i < QUEUES; i++)
		if (backend->rings[i].running)
			queue_kick(NULL, &backend->rings[i].queue);
}

static void drain(int sock)
{
	char buf[4096];

	while (recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vu_backend *backend = malloc(sizeof(*backend));
	struct vu_message msg;
	int pair[2], before, after;
	size_t n;

	before = dup(0);
	close(before);
	memset(memory, 0, MEMORY);
	if (!backend || vu_backend_init(backend) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		abort();
	backend->device = (struct vu_device){
		.ops = &ops,
		.num_queues = QUEUES,
		.max_queue_size = 64,
		.config_size = CONFIG,
	};
	backend->sock = pair[0];
	while ((n = next_message(&msg, data, size))) {
		int ret = 0;

		data += n;
		size -= n;
		if (msg.header.request == 255)
			scribble(backend, &msg);
		else if (!vu_message_check(&msg, VU_REQUEST))
			ret = vu_handle(backend, &msg);
		vu_message_finish(&msg);
		drain(pair[1]);
		if (ret)
			break;
	}
	vu_backend_finish(backend); /* closes our end of the pair */
	free(backend);
	close(pair[1]);
	if (running)
		abort();
	after = dup(0);
	close(after);
	if (after != before)
		abort(); /* a descriptor has leaked */
	return 0;
}
