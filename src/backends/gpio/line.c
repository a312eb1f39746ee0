// SPDX-License-Identifier: BSD-3-Clause
/* What the driver wants of each line. */
#include <errno.h>
#include <linux/virtio_gpio.h>
#include <string.h>

#include "backends/gpio/gpio.h"
#include "common/log.h"

/* The edges that may begin an interrupt of this type. Return: -EINVAL for no type. */
static int type_edges(uint32_t type)
{
	switch (type) {
	case VIRTIO_GPIO_IRQ_TYPE_NONE:
		return EDGES_NONE;
	case VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING:
	case VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH:
		return EDGES_RISING;
	case VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING:
	case VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW:
		return EDGES_FALLING;
	case VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH:
		return EDGES_BOTH;
	default:
		return -EINVAL;
	}
}

static int set_up(struct gpio_device *gpio, unsigned int n, uint8_t direction,
		  enum line_edges edges)
{
	struct line_setup setup = {
		.direction = direction,
		.value = gpio->lines[n].value,
		.edges = edges,
	};

	return gpio->ops->setup(gpio->chip, n, &setup);
}

int gpio_line_set_irq_type(struct gpio_device *gpio, unsigned int n, uint32_t type)
{
	struct gpio_line *line = &gpio->lines[n];
	int ret, edges = type_edges(type);

	if (edges < 0)
		return edges;
	if (type == line->irq_type)
		return 0;
	if (line->direction != VIRTIO_GPIO_DIRECTION_IN)
		return -EPERM;
	ret = set_up(gpio, n, line->direction, (enum line_edges)edges);
	if (ret) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"line %u: no interrupt of type %u can be had: %s", n, type,
				strerror(-ret));
		return ret;
	}
	/* What was seen for another type, or before, is not for this one (5.18.6.8). */
	gpio->ops->take_edges(gpio->chip, n);
	line->irq_type = (uint8_t)type;
	if (type == VIRTIO_GPIO_IRQ_TYPE_NONE)
		gpio_irq_disabled(gpio, n);
	else
		gpio_irq_check(gpio, n);
	return 0;
}

int gpio_line_set_direction(struct gpio_device *gpio, unsigned int n, uint32_t direction)
{
	struct gpio_line *line = &gpio->lines[n];
	int ret;

	if (direction > VIRTIO_GPIO_DIRECTION_IN)
		return -EINVAL;
	/* An input that is made one again keeps its interrupt. */
	if (direction == line->direction && direction != VIRTIO_GPIO_DIRECTION_OUT)
		return 0;
	if (line->irq_type != VIRTIO_GPIO_IRQ_TYPE_NONE) {
		if (direction == VIRTIO_GPIO_DIRECTION_OUT)
			return -EBUSY;
		ret = gpio_line_set_irq_type(gpio, n, VIRTIO_GPIO_IRQ_TYPE_NONE);
		if (ret)
			return ret;
	}
	ret = set_up(gpio, n, (uint8_t)direction, EDGES_NONE);
	/* One that can only drive is left as it is. */
	if (ret && direction != VIRTIO_GPIO_DIRECTION_NONE)
		return ret;
	line->direction = (uint8_t)direction;
	if (direction == VIRTIO_GPIO_DIRECTION_NONE)
		line->value = 0;
	return 0;
}

/*
 * Of a line that the driver does not use it is told how it stands: the driver takes one of no
 * direction for an input, and it may be one that drives.
 */
int gpio_line_get_direction(struct gpio_device *gpio, unsigned int n)
{
	if (gpio->lines[n].direction == VIRTIO_GPIO_DIRECTION_NONE)
		return gpio->ops->get_direction(gpio->chip, n);
	return gpio->lines[n].direction;
}

int gpio_line_get_value(struct gpio_device *gpio, unsigned int n)
{
	return gpio->ops->get_value(gpio->chip, n);
}

int gpio_line_set_value(struct gpio_device *gpio, unsigned int n, uint32_t value)
{
	struct gpio_line *line = &gpio->lines[n];
	int ret = 0;

	if (value > 1)
		return -EINVAL;
	/* Before the line is an output, it is the value that it will begin with. */
	if (line->direction == VIRTIO_GPIO_DIRECTION_OUT)
		ret = gpio->ops->set_value(gpio->chip, n, (int)value);
	if (!ret)
		line->value = (uint8_t)value;
	return ret;
}

void gpio_lines_reset(struct gpio_device *gpio)
{
	unsigned int n;

	for (n = 0; n < gpio->num_lines; n++) {
		int ret = gpio_line_set_direction(gpio, n, VIRTIO_GPIO_DIRECTION_NONE);

		if (ret)
			log_ratelimited(LOG_LEVEL_WARNING, "line %u cannot be let go: %s", n,
					strerror(-ret));
		gpio->lines[n].value = 0;
	}
}
