// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-dice: a small device, whole: an entropy device (virtio 5.4) that throws dice. */
#include <errno.h>

#include "backends/common/backend.h"
#include "backends/common/iov.h"
#include "common/log.h"
#include "common/parse.h"

struct dice {
	unsigned int sides;
	unsigned int state;
};

enum { OPT_SIDES = VU_OPTION_FIRST };

static const struct option options[] = {
	{ "sides", required_argument, NULL, OPT_SIDES },
	{ 0 },
};

static int parse(void *dev, int option, const char *value)
{
	struct dice *dice = dev;

	(void)option; /* there is only one */
	if (!parse_uint(value, 2, 9, &dice->sides))
		return 0;
	log_error("--sides %s: a die has 2 to 9 sides here", value);
	return -EINVAL;
}

/* The feature bits of the device type; those of the ring are the library's. */
static uint64_t features(void *dev)
{
	(void)dev;
	return 0;
}

/* One request: its buffers, which the library has checked, are filled. */
static void serve(struct dice *dice, struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[8];
	struct vq_buffers bufs = { .iov = iov, .max = 8 };
	char thrown[64];
	size_t n;

	if (vq_chain(vq, id, &bufs)) /* the driver broke the rules, and the queue is closed */
		return;
	for (n = 0; n < sizeof(thrown) && n < bufs.in_len; n++) {
		dice->state = dice->state * 1103515245 + 12345;
		thrown[n] = (char)('1' + (dice->state >> 16) % dice->sides);
	}
	iov_from_buf(bufs.iov + bufs.out_num, bufs.in_num, 0, thrown, n);
	vq_push(vq, id, (uint32_t)n);
}

/* The driver has kicked. Before going back to sleep it is asked to do so again. */
static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct virtqueue *vq = &queue->vq;
	uint16_t id;

	do {
		vq_suppress(vq);
		while (vq_pop(vq, &id) > 0)
			serve(dev, vq, id);
	} while (vq_arm(vq));
	vq_flush(vq);
}

static const struct vu_device_ops ops = { .features = features, .queue_kick = queue_kick };

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	(void)backend;
	*device = (struct vu_device){
		.ops = &ops, .dev = dev, .num_queues = 1, .max_queue_size = 64,
	};
	return 0;
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-dice",
		.capabilities = "{ \"type\": \"rng\" }",
		.usage = "An entropy device that throws dice.\n\n"
			 "      --sides N              of each die (default: 6)\n",
		.options = options,
		.parse = parse,
		.open = open_device,
	};
	struct dice dice = { .sides = 6, .state = 1 };

	return vu_main(&program, &dice, argc, argv);
}
