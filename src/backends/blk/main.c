// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-blk: a file or a block device as a virtio disk. */
#include <errno.h>
#include <string.h>

#include "backends/blk/blk.h"
#include "common/log.h"
#include "common/parse.h"

enum {
	OPT_IMAGE = VU_OPTION_FIRST,
	OPT_READ_ONLY,
	OPT_DIRECT,
	OPT_QUEUES,
	OPT_SERIAL,
	OPT_SEG_MAX,
	OPT_POLL,
	OPT_LOCK_WAIT,
};

static const struct option options[] = {
	{ "image", required_argument, NULL, OPT_IMAGE },
	{ "blk-file", required_argument, NULL, OPT_IMAGE }, /* the conventions' name for it */
	{ "read-only", no_argument, NULL, OPT_READ_ONLY },
	{ "direct", no_argument, NULL, OPT_DIRECT },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "seg-max", required_argument, NULL, OPT_SEG_MAX },
	{ "poll", required_argument, NULL, OPT_POLL },
	{ "lock-wait", required_argument, NULL, OPT_LOCK_WAIT },
	{ 0 },
};

static const char usage[] =
	"A file or a block device as a virtio disk. On SIGHUP it looks at the size of the image\n"
	"again and tells the driver.\n"
	"\n"
	"      --image FILE           a file, a block device, or null:SIZE, which reads zeroes\n"
	"                             and forgets what is written: to measure without storage\n"
	"      --blk-file FILE        QEMU's name for --image FILE\n"
	"      --read-only            no writes\n"
	"      --direct               past the page cache (O_DIRECT)\n"
	"      --queues N             1 to 64 virtqueues, a thread each (default 1)\n"
	"      --serial TEXT          up to 20 bytes; the name of the image if not given\n"
	"      --seg-max N            most segments of a request (default 126)\n"
	"      --poll MICROSECONDS    how long to look for the next request before sleeping\n"
	"                             (default 0; takes a CPU)\n"
	"      --lock-wait SECONDS    how long to wait for another process that has the image\n"
	"                             (default 30)\n";

static int parse_number(const char *option, const char *value, unsigned int min, unsigned int max,
			unsigned int *number)
{
	if (!parse_uint(value, min, max, number))
		return 0;
	log_error("%s %s: a number from %u to %u is needed", option, value, min, max);
	return -EINVAL;
}

static int parse(void *dev, int option, const char *value)
{
	struct blk_device *blk = dev;

	switch (option) {
	case OPT_IMAGE:
		blk->path = value;
		return 0;
	case OPT_READ_ONLY:
		blk->read_only = true;
		return 0;
	case OPT_DIRECT:
		blk->direct = true;
		return 0;
	case OPT_QUEUES:
		return parse_number("--queues", value, 1, VU_MAX_QUEUES, &blk->num_queues);
	case OPT_SERIAL:
		if (strlen(value) > VIRTIO_BLK_ID_BYTES) {
			log_error("--serial %s: longer than %d bytes", value, VIRTIO_BLK_ID_BYTES);
			return -EINVAL;
		}
		blk->serial = value;
		return 0;
	case OPT_SEG_MAX:
		return parse_number("--seg-max", value, 1, BLK_LARGEST_SEG_MAX, &blk->seg_max);
	case OPT_POLL:
		return parse_number("--poll", value, 0, 1000000, &blk->poll_us);
	case OPT_LOCK_WAIT:
		return parse_number("--lock-wait", value, 0, 86400, &blk->lock_wait_s);
	default:
		return -EINVAL;
	}
}

static void reset(void *dev)
{
	struct blk_device *blk = dev;

	__atomic_store_n(&blk->wce, 1, __ATOMIC_RELAXED);
}

static void hangup(void *dev)
{
	struct blk_device *blk = dev;
	int ret = blk_image_refresh(&blk->image);

	if (ret < 0)
		log_error("%s: its size cannot be read: %s", blk->path, strerror(-ret));
	if (ret <= 0)
		return;
	log_notice("%s: now %llu bytes", blk->path,
		   (unsigned long long)blk_image_size(&blk->image));
	ret = vu_config_changed(blk->backend);
	if (ret && ret != -ENOTCONN)
		log_warning("the front-end cannot be told of the new size: %s", strerror(-ret));
}

static const struct vu_device_ops ops = {
	.features = blk_features,
	.get_config = blk_get_config,
	.set_config = blk_set_config,
	.queue_start = blk_queue_start,
	.queue_stop = blk_queue_stop,
	.reset = reset,
	.hangup = hangup,
};

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct blk_device *blk = dev;
	int ret;

	if (!blk->path) {
		log_error("which image? Give --image FILE (see --help)");
		return -EINVAL;
	}
	ret = blk_image_open(&blk->image, blk->path, blk->read_only, blk->direct,
			     blk->lock_wait_s * 1000);
	if (ret)
		return ret;
	if (!blk->serial) {
		const char *slash = strrchr(blk->path, '/');

		blk->serial = slash ? slash + 1 : blk->path;
	}
	blk->backend = backend;
	*device = (struct vu_device){
		.ops = &ops,
		.dev = dev,
		.num_queues = blk->num_queues,
		.max_queue_size = BLK_MAX_QUEUE_SIZE,
		.config_size = BLK_CONFIG_SIZE,
	};
	return 0;
}

/* Each queue has a thread and a ring of its own, which come and go with the driver's. */
static void needs(void *dev, struct vu_needs *needs)
{
	(void)dev;
	needs->kinds |= CONFINE_THREADS | CONFINE_DATA | CONFINE_URING | CONFINE_DEVICES;
}

static void close_device(void *dev)
{
	struct blk_device *blk = dev;

	blk_image_close(&blk->image);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-blk",
		.capabilities =
			"{ \"type\": \"block\", \"features\": [ \"read-only\", \"blk-file\" ] }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	struct blk_device blk = {
		.image.fd = -1,
		.num_queues = 1,
		.seg_max = BLK_DEFAULT_SEG_MAX,
		.lock_wait_s = 30,
		.wce = 1,
	};

	return vu_main(&program, &blk, argc, argv);
}
