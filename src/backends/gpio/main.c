// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-gpio: lines of a GPIO chip of this machine (virtio 1.x, 5.18). */
#include <errno.h>

#include "backends/gpio/gpio.h"
#include "common/log.h"

enum {
	OPT_CHIP = VU_OPTION_FIRST,
	OPT_LINES,
	OPT_NO_INTERRUPTS,
};

struct program {
	struct gpio_device gpio;
	struct chip chip;
	const char *path;
	const char *list;
	bool no_interrupts;
};

static const struct option options[] = {
	{ "chip", required_argument, NULL, OPT_CHIP },
	{ "lines", required_argument, NULL, OPT_LINES },
	{ "no-interrupts", no_argument, NULL, OPT_NO_INTERRUPTS },
	{ 0 },
};

static const char usage[] =
	"Lines of a GPIO chip.\n"
	"\n"
	"      --chip PATH            the chip, /dev/gpiochipN\n"
	"      --lines LIST           these of its lines, e.g. 0-7,12, numbered anew from 0 on\n"
	"                             (default: all)\n"
	"      --no-interrupts        offer none: for drivers that cannot bear those of a second\n"
	"                             device\n";

static int parse(void *dev, int option, const char *value)
{
	struct program *program = dev;

	if (option == OPT_CHIP)
		program->path = value;
	else if (option == OPT_LINES)
		program->list = value;
	else
		program->no_interrupts = true;
	return 0;
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct program *program = dev;
	struct gpio_device *gpio = &program->gpio;
	int ret;

	if (!program->path) {
		log_error("--chip is missing: which GPIO chip, e.g. --chip /dev/gpiochip0?");
		return -EINVAL;
	}
	ret = chip_open(&program->chip, program->path, program->list);
	if (ret)
		return ret;
	*gpio = (struct gpio_device){
		.ops = &chip_ops,
		.chip = &program->chip,
		.num_lines = program->chip.lines.count,
		.names = program->chip.names,
		.names_size = program->chip.names_size,
		.loop = vu_loop(backend),
		.no_interrupts = program->no_interrupts,
	};
	ret = gpio_init(gpio);
	if (ret) {
		log_error("no memory for %u lines", gpio->num_lines);
		return ret;
	}
	gpio_describe(gpio, device);
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

	gpio_finish(&program->gpio);
	chip_close(&program->chip);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-gpio",
		.capabilities = "{ \"type\": \"gpio\" }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	struct program gpio = { .chip.fd = -1 };

	return vu_main(&program, &gpio, argc, argv);
}
