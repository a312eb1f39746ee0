// SPDX-License-Identifier: BSD-3-Clause
/*
 * The GPIO device's two queues: the input is the driver's memory with both rings, and how the lines
 * behind the device behave. Between the steps lines move, and the eventq is stopped and started.
 */
#include <errno.h>
#include <stdlib.h>

#include "backends/gpio/gpio.h"
#include "common/util.h"
#include "rig.h"

#define LINES 5
#define EVENT_RING 1024
#define STEPS 16

static struct rig rig = { .size = 8192, .avail = 256, .used = 512 };
static const uint8_t *behaviour; /* [STEPS] */
static unsigned int calls;

/* Each call takes the next byte: what it answers, and whether it fails. */
static int next(void)
{
	uint8_t byte = behaviour[calls++ % STEPS];

	return byte & 0x80 ? -EIO : byte & 1;
}

static void line_exists(unsigned int line)
{
	if (line >= LINES)
		abort();
}

static int mock_setup(void *chip, unsigned int line, const struct line_setup *setup)
{
	(void)chip;
	line_exists(line);
	if (setup->value > 1 || setup->direction > 2 || (unsigned int)setup->edges > EDGES_BOTH)
		abort();
	return MIN(next(), 0);
}

static int mock_get(void *chip, unsigned int line)
{
	(void)chip;
	line_exists(line);
	return next();
}

static int mock_set(void *chip, unsigned int line, int value)
{
	(void)chip;
	line_exists(line);
	if (value != 0 && value != 1)
		abort();
	return MIN(next(), 0);
}

static int mock_event_fd(void *chip, unsigned int line)
{
	(void)chip;
	line_exists(line);
	return -1;
}

static const struct chip_ops mock_ops = {
	.setup = mock_setup,
	.get_direction = mock_get,
	.get_value = mock_get,
	.set_value = mock_set,
	.take_edges = mock_get,
	.event_fd = mock_event_fd,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	rig_init(&rig);
	return 0;
}

/* @base: NULL: from its beginning */
static int start(struct virtqueue *vq, uint64_t at, const uint32_t *base, uint64_t features)
{
	struct vq_setup setup = rig_setup(&rig, at, features);

	if (base)
		setup.base = *base;
	return vq_start(vq, &setup);
}

static void run(struct gpio_device *gpio, uint64_t features)
{
	struct virtqueue requestq, eventq;
	unsigned int i;

	if (start(&requestq, 0, NULL, features))
		return;
	if (start(&eventq, EVENT_RING, NULL, features)) {
		vq_stop(&requestq);
		return;
	}
	gpio->eventq = &eventq;
	for (i = 0; i < STEPS && !requestq.broken; i++) {
		gpio_requestq_work(gpio, &requestq);
		gpio_eventq_work(gpio);
		gpio_irq_check(gpio, behaviour[i] % LINES);
		vq_flush(&eventq);
		if (behaviour[i] & 0x40) {
			uint32_t base;

			gpio_eventq_stop(gpio);
			base = vq_stop(&eventq);
			if (start(&eventq, EVENT_RING, &base, features)) {
				vq_stop(&requestq);
				return;
			}
			gpio->eventq = &eventq;
		}
	}
	gpio_eventq_stop(gpio);
	vq_stop(&requestq);
	vq_stop(&eventq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char names[] = "one\0two\0\0\0\0";
	struct gpio_device gpio = {
		.ops = &mock_ops,
		.num_lines = LINES,
		.names = names,
	};

	if (size < 1 + STEPS)
		return 0;
	gpio.names_size = data[0] & 2 ? sizeof(names) : 0;
	gpio.no_interrupts = data[0] & 4;
	behaviour = data + 1;
	calls = 0;
	data += 1 + STEPS;
	size -= 1 + STEPS;
	rig_fill(&rig, data, size);
	if (gpio_init(&gpio))
		abort();
	run(&gpio, (behaviour[-1] & 1 ? BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
			   rig_packed(behaviour[-1] & 8));
	gpio_lines_reset(&gpio);
	gpio_finish(&gpio);
	return 0;
}
