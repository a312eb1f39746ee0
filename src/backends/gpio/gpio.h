/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A GPIO controller (virtio 1.x, 5.18): line.c knows what the driver wants of each line, request.c
 * serves the requestq, irq.c the eventq.
 *
 * Interrupts. The driver hands in one buffer for each line whose interrupt is enabled and not
 * masked. It comes back VALID with an interrupt, which masks the line until the driver hands in the
 * next one, and INVALID when the interrupt is disabled. Edges that happen while a line is masked
 * stay with the kernel, which keeps the last few; they make one interrupt when the line is
 * unmasked. So an interrupt always stands for an edge of its own, or for several.
 *
 * The kernel tells edges only. A level interrupt is made of the edge that leads to the level, and
 * a look at the line each time that it is unmasked.
 */
#ifndef GPIO_GPIO_H
#define GPIO_GPIO_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/common/backend.h"
#include "backends/gpio/chip.h"

#define GPIO_REQUESTQ 0
#define GPIO_EVENTQ 1
#define GPIO_NUM_QUEUES 2
/* one buffer for each unmasked line has to fit */
#define GPIO_QUEUE_SIZE 1024
/* A request has two descriptors (5.18.6); one of memory in pieces may have more parts. */
#define GPIO_MAX_IOVS 16

struct gpio_device;

struct gpio_line {
	struct gpio_device *gpio;
	uint8_t direction; /* VIRTIO_GPIO_DIRECTION_... */
	uint8_t value; /* that it has, or will have, as an output */
	uint8_t irq_type; /* VIRTIO_GPIO_IRQ_TYPE_... */
	bool unmasked; /* the driver's buffer is here */
	uint16_t buffer; /* its id in the eventq */
	struct loop_source *source; /* NULL: its edges are not waited for */
};

struct gpio_device {
	const struct chip_ops *ops;
	void *chip;
	unsigned int num_lines;
	const char *names;
	uint32_t names_size;
	struct loop *loop;
	bool no_interrupts; /* VIRTIO_GPIO_F_IRQ is not offered */
	struct gpio_line *lines; /* [num_lines] */
	struct virtqueue *eventq; /* NULL while it is stopped */
	bool stopped_behind; /* the requestq's ring had gone on from its start */
	bool gone;
};

extern const struct vu_device_ops gpio_ops;

/* gpio_describe() - what it is for the library */
void gpio_describe(struct gpio_device *gpio, struct vu_device *device);

/* gpio_init() - @gpio has all but @lines; Return: 0 or -ENOMEM */
int gpio_init(struct gpio_device *gpio);
void gpio_finish(struct gpio_device *gpio);

/* gpio_gone() - the chip was unplugged: the program ends */
void gpio_gone(struct gpio_device *gpio);

/* ---- line.c: 0 or a value, or a negative errno ---- */

int gpio_line_set_direction(struct gpio_device *gpio, unsigned int n, uint32_t direction);
int gpio_line_get_direction(struct gpio_device *gpio, unsigned int n);
int gpio_line_get_value(struct gpio_device *gpio, unsigned int n);
int gpio_line_set_value(struct gpio_device *gpio, unsigned int n, uint32_t value);
int gpio_line_set_irq_type(struct gpio_device *gpio, unsigned int n, uint32_t type);

/* gpio_lines_reset() - as if no driver had been there */
void gpio_lines_reset(struct gpio_device *gpio);

/* ---- request.c ---- */

/* gpio_requestq_work() - answer requests; Return: true when there may be more than a turn's */
bool gpio_requestq_work(struct gpio_device *gpio, struct virtqueue *vq);

/* ---- irq.c ---- */

/*
 * gpio_eventq_work() - take the buffers that have come: their lines are unmasked; Return: true when
 * there may be more than a turn's
 */
bool gpio_eventq_work(struct gpio_device *gpio);

/* gpio_eventq_stop() - all buffers go back */
void gpio_eventq_stop(struct gpio_device *gpio);

/* gpio_irq_check() - raise the interrupt of a line if there is one, else wait for it */
void gpio_irq_check(struct gpio_device *gpio, unsigned int n);

/* gpio_irq_disabled() - give back the buffer of a line */
void gpio_irq_disabled(struct gpio_device *gpio, unsigned int n);

#endif
