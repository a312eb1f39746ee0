// SPDX-License-Identifier: BSD-3-Clause
/* The device as the library sees it. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_gpio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/gpio/gpio.h"
#include "common/log.h"
#include "common/util.h"

static uint64_t features(void *dev)
{
	const struct gpio_device *gpio = dev;

	return gpio->no_interrupts ? 0 : BIT_ULL(VIRTIO_GPIO_F_IRQ);
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	const struct gpio_device *gpio = dev;
	const struct virtio_gpio_config config = {
		.ngpio = htole16((uint16_t)gpio->num_lines),
		.gpio_names_size = htole32(gpio->names_size),
	};

	memcpy(buf, (const uint8_t *)&config + offset, size);
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct gpio_device *gpio = dev;
	bool again;

	if (queue->index == GPIO_REQUESTQ)
		again = gpio_requestq_work(gpio, &queue->vq);
	else
		again = gpio_eventq_work(gpio);
	if (again)
		vu_queue_again(queue);
}

/*
 * Not every front-end says that its driver has reset the device (QEMU's vhost-user-gpio does not).
 * The next driver begins the ring anew; after a pause, or a change of the memory table, it goes on
 * where it was, and the lines stay as they are.
 */
static int queue_start(void *dev, struct vu_queue *queue)
{
	struct gpio_device *gpio = dev;

	if (queue->index == GPIO_EVENTQ)
		gpio->eventq = &queue->vq;
	else if (gpio->stopped_behind && vq_at_start(&queue->vq))
		gpio_lines_reset(gpio);
	return 0;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct gpio_device *gpio = dev;

	if (queue->index == GPIO_REQUESTQ)
		gpio->stopped_behind = !vq_at_start(&queue->vq);
	else if (gpio->eventq)
		gpio_eventq_stop(gpio);
}

static void reset(void *dev)
{
	gpio_lines_reset(dev);
}

const struct vu_device_ops gpio_ops = {
	.features = features,
	.get_config = get_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.reset = reset,
};

/*
 * The eventq is there without interrupts too: a front-end may set up all virtqueues of the type
 * before it knows of the features (QEMU's does), and leave to the driver which of them it uses.
 */
void gpio_describe(struct gpio_device *gpio, struct vu_device *device)
{
	*device = (struct vu_device){
		.ops = &gpio_ops,
		.dev = gpio,
		.num_queues = GPIO_NUM_QUEUES,
		.max_queue_size = GPIO_QUEUE_SIZE,
		.config_size = sizeof(struct virtio_gpio_config),
		.no_inflight = true, /* interrupts of another driver's time are none of this one */
	};
}

void gpio_gone(struct gpio_device *gpio)
{
	if (gpio->gone)
		return;
	gpio->gone = true;
	log_error("the GPIO chip has gone");
	if (gpio->loop)
		loop_quit(gpio->loop, -ENODEV);
}

int gpio_init(struct gpio_device *gpio)
{
	unsigned int n;

	gpio->lines = calloc(gpio->num_lines, sizeof(*gpio->lines));
	if (!gpio->lines)
		return -ENOMEM;
	for (n = 0; n < gpio->num_lines; n++)
		gpio->lines[n].gpio = gpio;
	return 0;
}

void gpio_finish(struct gpio_device *gpio)
{
	free(gpio->lines);
	gpio->lines = NULL;
	gpio->num_lines = 0;
}
