// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost-user-input: a keyboard, mouse, touchscreen, ... of this machine, or what somebody types and
 * points at where a GPU's pictures are shown (virtio 1.x, 5.8).
 */
#include <errno.h>
#include <string.h>

#include "backends/input/display.h"
#include "backends/input/input.h"
#include "common/display-input.h"
#include "common/log.h"

enum {
	OPT_DEVICE = VU_OPTION_FIRST,
	OPT_GRAB,
	OPT_DISPLAY,
	OPT_KIND,
	OPT_EVDEV_PATH,
	OPT_NO_GRAB,
};

struct program {
	struct input_device input;
	struct evdev evdev;
	struct display_source display;
	const char *path; /* of the node */
	const char *display_path;
	bool grab;
	bool conventional, no_grab; /* --evdev-path: grabbed, but for --no-grab */
};

static const struct option options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "grab", no_argument, NULL, OPT_GRAB },
	{ "display", required_argument, NULL, OPT_DISPLAY },
	{ "kind", required_argument, NULL, OPT_KIND },
	{ "evdev-path", required_argument, NULL, OPT_EVDEV_PATH },
	{ "no-grab", no_argument, NULL, OPT_NO_GRAB },
	{ 0 },
};

static const char usage[] =
	"An input device.\n"
	"\n"
	"      --device PATH          the device, /dev/input/eventN\n"
	"      --grab                 nobody else on this machine gets its events\n"
	"      --display PATH         instead: what is typed at a GPU's display, by its\n"
	"                             --display-input\n"
	"      --kind keyboard|pointer\n"
	"                             which of the two (default: keyboard)\n"
	"      --evdev-path PATH [--no-grab]\n"
	"                             QEMU's name for --device PATH [--grab]: it grabs if not told\n"
	"                             otherwise\n";

static int parse_kind(struct program *program, const char *value)
{
	if (!strcmp(value, "keyboard")) {
		program->display.kind = DISPLAY_INPUT_KEYBOARD;
	} else if (!strcmp(value, "pointer")) {
		program->display.kind = DISPLAY_INPUT_POINTER;
	} else {
		log_error("--kind %s: keyboard or pointer is needed", value);
		return -EINVAL;
	}
	return 0;
}

static int parse(void *dev, int option, const char *value)
{
	struct program *program = dev;

	switch (option) {
	case OPT_DEVICE:
		program->path = value;
		return 0;
	case OPT_EVDEV_PATH:
		program->path = value;
		program->conventional = true;
		return 0;
	case OPT_NO_GRAB:
		program->no_grab = true;
		return 0;
	case OPT_DISPLAY:
		program->display_path = value;
		return 0;
	case OPT_KIND:
		return parse_kind(program, value);
	default:
		program->grab = true;
		return 0;
	}
}

/* One of the two. */
static int open_source(struct program *program)
{
	struct input_device *input = &program->input;

	if (!program->path == !program->display_path) {
		log_error("one of --device and --display is needed: which device, e.g. "
			  "--device /dev/input/event0?");
		return -EINVAL;
	}
	if (program->grab && program->no_grab) {
		log_error("--grab and --no-grab are the opposite of each other: which one?");
		return -EINVAL;
	}
	if (program->path) {
		bool grab = program->grab || (program->conventional && !program->no_grab);

		input->ops = &evdev_ops;
		input->dev = &program->evdev;
		return evdev_open(&program->evdev, program->path, grab, &input->info);
	}
	input->ops = &display_ops;
	input->dev = &program->display;
	return display_open(&program->display, program->display_path, &input->info);
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct program *program = dev;
	struct input_device *input = &program->input;
	int ret = open_source(program);

	if (ret)
		return ret;
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

static void needs(void *dev, struct vu_needs *needs)
{
	(void)dev;
	needs->kinds |= CONFINE_DEVICES;
}

static void close_device(void *dev)
{
	struct program *program = dev;

	evdev_close(&program->evdev);
	display_close(&program->display);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-input",
		.capabilities =
			"{ \"type\": \"input\", \"features\": [ \"evdev-path\", \"no-grab\" ] }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	static struct program input = {
		.evdev = { .fd = -1 },
		.display = { .fd = -1, .kind = DISPLAY_INPUT_KEYBOARD },
	};

	return vu_main(&program, &input, argc, argv);
}
