// SPDX-License-Identifier: BSD-3-Clause
/* The eventq (virtio 1.x, 5.18.6.8): gpio.h says how interrupts are made of edges. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_gpio.h>
#include <string.h>
#include <sys/epoll.h>

#include "backends/common/iov.h"
#include "backends/gpio/gpio.h"
#include "common/log.h"

static void give_back(struct virtqueue *vq, uint16_t id, uint8_t status)
{
	struct iovec iov[GPIO_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = GPIO_MAX_IOVS };

	if (vq_chain(vq, id, &bufs))
		return;
	vq_push(vq, id, (uint32_t)iov_from_buf(bufs.iov + bufs.out_num, bufs.in_num, 0, &status,
					       sizeof(status)));
}

/* ---- waiting for edges ---- */

static void line_ready(void *data, uint32_t events)
{
	struct gpio_line *line = data;
	struct gpio_device *gpio = line->gpio;

	(void)events;
	gpio_irq_check(gpio, (unsigned int)(line - gpio->lines));
	if (gpio->eventq)
		vq_flush(gpio->eventq);
}

static void wait_for_edges(struct gpio_device *gpio, unsigned int n)
{
	struct gpio_line *line = &gpio->lines[n];
	int fd = gpio->ops->event_fd(gpio->chip, n);

	if (line->source || fd < 0)
		return;
	line->source = loop_add(gpio->loop, fd, EPOLLIN, line_ready, line);
	if (!line->source)
		log_ratelimited(LOG_LEVEL_ERROR, "line %u: its edges cannot be waited for: %m", n);
}

static void stop_waiting(struct gpio_device *gpio, struct gpio_line *line)
{
	if (!line->source)
		return;
	loop_remove(gpio->loop, line->source);
	line->source = NULL;
}

/* ---- interrupts ---- */

/* Return: 1 there is one, 0 there is none, or a negative errno */
static int pending(struct gpio_device *gpio, unsigned int n)
{
	uint8_t type = gpio->lines[n].irq_type;
	/*
	 * First the edges, then the level: one that comes in between is still there when it is
	 * waited for.
	 */
	int edges = gpio->ops->take_edges(gpio->chip, n);
	int value;

	if (edges < 0)
		return edges;
	if (type != VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH && type != VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW)
		return edges > 0;
	value = gpio->ops->get_value(gpio->chip, n);
	if (value < 0)
		return value;
	return value == (type == VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH);
}

void gpio_irq_check(struct gpio_device *gpio, unsigned int n)
{
	struct gpio_line *line = &gpio->lines[n];
	int ret;

	/*
	 * A buffer that comes before the interrupt is enabled waits for that: to give it back would
	 * make the driver hand it in again at once.
	 */
	if (!gpio->eventq || !line->unmasked || line->irq_type == VIRTIO_GPIO_IRQ_TYPE_NONE)
		return;
	ret = pending(gpio, n);
	if (ret == 0) {
		wait_for_edges(gpio, n);
		return;
	}
	stop_waiting(gpio, line);
	if (ret < 0) {
		log_ratelimited(LOG_LEVEL_ERROR, "line %u: no more interrupts: %s", n,
				strerror(-ret));
		if (ret == -ENODEV)
			gpio_gone(gpio);
		return;
	}
	line->unmasked = false;
	give_back(gpio->eventq, line->buffer, VIRTIO_GPIO_IRQ_STATUS_VALID);
}

void gpio_irq_disabled(struct gpio_device *gpio, unsigned int n)
{
	struct gpio_line *line = &gpio->lines[n];

	stop_waiting(gpio, line);
	if (!line->unmasked || !gpio->eventq)
		return;
	line->unmasked = false;
	give_back(gpio->eventq, line->buffer, VIRTIO_GPIO_IRQ_STATUS_INVALID);
	vq_flush(gpio->eventq);
}

/* Return: the line that a buffer is for, -EINVAL for none that can be unmasked, -EPROTO: broken */
static int buffer_line(const struct gpio_device *gpio, uint16_t id)
{
	struct iovec iov[GPIO_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = GPIO_MAX_IOVS };
	struct virtio_gpio_irq_request request;
	unsigned int n;

	if (vq_chain(gpio->eventq, id, &bufs))
		return -EPROTO;
	if (iov_to_buf(bufs.iov, bufs.out_num, 0, &request, sizeof(request)) != sizeof(request) ||
	    !bufs.in_len)
		return -EINVAL;
	n = le16toh(request.gpio);
	return n < gpio->num_lines && !gpio->lines[n].unmasked ? (int)n : -EINVAL;
}

static void take_buffer(struct gpio_device *gpio, uint16_t id)
{
	int n = buffer_line(gpio, id);

	if (n == -EPROTO)
		return;
	if (n < 0) {
		give_back(gpio->eventq, id, VIRTIO_GPIO_IRQ_STATUS_INVALID);
		return;
	}
	gpio->lines[n].unmasked = true;
	gpio->lines[n].buffer = id;
	gpio_irq_check(gpio, (unsigned int)n);
}

bool gpio_eventq_work(struct gpio_device *gpio)
{
	struct virtqueue *vq = gpio->eventq;
	unsigned int taken = 0;
	uint16_t id;

	do {
		vq_suppress(vq);
		for (; taken < VU_TURN && vq_pop(vq, &id) > 0; taken++)
			take_buffer(gpio, id);
		vq_flush(vq);
	} while (taken < VU_TURN && vq_arm(vq));
	return taken == VU_TURN;
}

void gpio_eventq_stop(struct gpio_device *gpio)
{
	unsigned int n;
	uint16_t id;

	for (n = 0; n < gpio->num_lines; n++) {
		struct gpio_line *line = &gpio->lines[n];

		stop_waiting(gpio, line);
		if (line->unmasked)
			give_back(gpio->eventq, line->buffer, VIRTIO_GPIO_IRQ_STATUS_INVALID);
		line->unmasked = false;
	}
	while (vq_replay_pending(gpio->eventq) && vq_pop(gpio->eventq, &id) > 0)
		give_back(gpio->eventq, id, VIRTIO_GPIO_IRQ_STATUS_INVALID);
	gpio->eventq = NULL;
}
