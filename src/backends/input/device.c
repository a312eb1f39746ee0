// SPDX-License-Identifier: BSD-3-Clause
/* The device as the library sees it. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "backends/input/input.h"
#include "common/util.h"

static uint64_t features(void *dev)
{
	(void)dev;
	return 0; /* the type has none (5.8.3) */
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	struct virtio_input_config config;

	input_config(dev, &config);
	memcpy(buf, (const uint8_t *)&config + offset, size);
}

/* Front-ends write the two bytes one by one, or with all the rest, which is not to be written. */
static int set_config(void *dev, const void *buf, uint32_t offset, uint32_t size)
{
	struct input_device *input = dev;
	const uint8_t *bytes = buf;
	uint32_t i;

	for (i = 0; i < size; i++) {
		if (offset + i == offsetof(struct virtio_input_config, select))
			input->select = bytes[i];
		else if (offset + i == offsetof(struct virtio_input_config, subsel))
			input->subsel = bytes[i];
	}
	return 0;
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct input_device *input = dev;

	if (queue->index != INPUT_STATUSQ)
		input_eventq_work(input);
	else if (input_statusq_work(input, &queue->vq))
		vu_queue_again(queue);
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	if (queue->index == INPUT_EVENTQ)
		input_eventq_start(dev, &queue->vq);
	return 0;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct input_device *input = dev;

	if (queue->index == INPUT_EVENTQ && input->eventq)
		input_eventq_stop(input);
}

static void reset(void *dev)
{
	struct input_device *input = dev;

	input->select = 0;
	input->subsel = 0;
	input->fresh = true;
}

const struct vu_device_ops input_ops = {
	.features = features,
	.get_config = get_config,
	.set_config = set_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.reset = reset,
};

void input_gone(struct input_device *input)
{
	input->gone = true;
	if (input->loop)
		loop_quit(input->loop, -ENODEV);
}

void input_init(struct input_device *input)
{
	input->fresh = true;
}
