// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-input: a keyboard, mouse, touchscreen, ... of this machine (virtio 1.x, 5.8). */
#include <errno.h>

#include "backends/input/input.h"
#include "common/log.h"

enum {
	OPT_DEVICE = VU_OPTION_FIRST,
	OPT_GRAB,
};

struct program {
	struct input_device input;
	struct evdev evdev;
	const char *path;
	bool grab;
};

static const struct option options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "grab", no_argument, NULL, OPT_GRAB },
	{ 0 },
};

static const char usage[] =
	"An input device.\n"
	"\n"
	"      --device PATH          the device, /dev/input/eventN\n"
	"      --grab                 nobody else on this machine gets its events\n";

static int parse(void *dev, int option, const char *value)
{
	struct program *program = dev;

	if (option == OPT_DEVICE)
		program->path = value;
	else
		program->grab = true;
	return 0;
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct program *program = dev;
	struct input_device *input = &program->input;
	int ret;

	if (!program->path) {
		log_error("--device is missing: which device, e.g. "
			  "--device /dev/input/event0?");
		return -EINVAL;
	}
	ret = evdev_open(&program->evdev, program->path, program->grab, &input->info);
	if (ret)
		return ret;
	input->ops = &evdev_ops;
	input->dev = &program->evdev;
	input->loop = vu_loop(backend);
	input_init(input);
	*device = (struct vu_device){
		.ops = &input_ops,
		.dev = input,
		.num_queues = INPUT_NUM_QUEUES,
		.max_queue_size = INPUT_QUEUE_SIZE,
		.config_size = sizeof(struct virtio_input_config),
		.no_inflight = true, /* events of another driver's time are none of this one */
	};
	return 0;
}

static void close_device(void *dev)
{
	struct program *program = dev;

	evdev_close(&program->evdev);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-input",
		.capabilities = "{ \"type\": \"input\" }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.close = close_device,
	};
	static struct program input = { .evdev = { .fd = -1 } };

	return vu_main(&program, &input, argc, argv);
}
