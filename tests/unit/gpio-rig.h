/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user-gpio from inside, on a chip of the test's own, and its driver. */
#ifndef TEST_GPIO_RIG_H
#define TEST_GPIO_RIG_H

#include <endian.h>
#include <errno.h>
#include <linux/virtio_gpio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/gpio/gpio.h"
#include "check.h"
#include "common/util.h"
#include "in-process.h"

#define LINES 4
#define NUM 16

/* A chip whose edges are made by moving a line, as the kernel's are. */
struct mock_line {
	struct line_setup setup;
	int level;
	int edges; /* not taken yet */
	int value_set; /* by set_value(), -1: never */
	int event_fd;
};

static struct mock {
	struct mock_line line[LINES];
	int fail; /* what the next call answers, 0: it works */
	void (*asked)(void); /* in each question for a value */
} mock;

static struct world {
	struct ip_memory mem;
	struct ip_queue request, event;
	struct gpio_device gpio;
	struct loop *loop;
	struct virtio_gpio_request *out;
	struct virtio_gpio_response *in;
	struct virtio_gpio_irq_request *irq_out; /* [LINES] */
	struct virtio_gpio_irq_response *irq_in;
} w;

static inline int mock_fails(void)
{
	int ret = mock.fail;

	mock.fail = 0;
	return ret;
}

static inline int mock_setup(void *chip, unsigned int line, const struct line_setup *setup)
{
	int ret = mock_fails();

	(void)chip;
	if (ret)
		return ret;
	mock.line[line].setup = *setup;
	if (setup->direction == VIRTIO_GPIO_DIRECTION_OUT)
		mock.line[line].level = setup->value;
	return 0;
}

static inline int mock_get_direction(void *chip, unsigned int line)
{
	int ret = mock_fails();

	(void)chip;
	if (ret)
		return ret;
	return mock.line[line].setup.direction == VIRTIO_GPIO_DIRECTION_OUT ?
		       VIRTIO_GPIO_DIRECTION_OUT :
		       VIRTIO_GPIO_DIRECTION_IN;
}

static inline int mock_get(void *chip, unsigned int line)
{
	int ret = mock_fails();

	(void)chip;
	if (mock.asked)
		mock.asked();
	return ret ? ret : mock.line[line].level;
}

static inline int mock_set(void *chip, unsigned int line, int value)
{
	(void)chip;
	mock.line[line].value_set = value;
	mock.line[line].level = value;
	return mock_fails();
}

static inline int mock_take_edges(void *chip, unsigned int line)
{
	uint64_t count;
	int edges = mock.line[line].edges;
	int ret = mock_fails();

	(void)chip;
	if (ret)
		return ret;
	mock.line[line].edges = 0;
	while (read(mock.line[line].event_fd, &count, sizeof(count)) > 0)
		;
	return edges;
}

static inline int mock_event_fd(void *chip, unsigned int line)
{
	(void)chip;
	return mock.line[line].event_fd;
}

static const struct chip_ops mock_ops = {
	.setup = mock_setup,
	.get_direction = mock_get_direction,
	.get_value = mock_get,
	.set_value = mock_set,
	.take_edges = mock_take_edges,
	.event_fd = mock_event_fd,
};

/* What happens to the line in the world; the loop sees it when it runs. */
static inline void move(unsigned int line, int level)
{
	struct mock_line *l = &mock.line[line];
	enum line_edges edge = level ? EDGES_RISING : EDGES_FALLING;
	uint64_t one = 1;

	if (l->level == level)
		return;
	l->level = level;
	if (!(l->setup.edges & edge))
		return;
	l->edges++;
	assert_int_equal(write(l->event_fd, &one, sizeof(one)), sizeof(one));
}

/* Whatever is ready in the loop is called, and nothing waited for. */
static inline void quit(void *data, uint32_t events)
{
	(void)events;
	loop_quit(data, 0);
}

static inline void run_loop(void)
{
	int always = eventfd(1, EFD_NONBLOCK);
	struct loop_source *source = loop_add(w.loop, always, EPOLLIN, quit, w.loop);
	int i;

	/* a few rounds, for what one call makes ready for the next */
	for (i = 0; i < 3; i++)
		loop_run(w.loop);
	loop_remove(w.loop, source);
	close(always);
}

static inline int begin(void **state)
{
	static const char names[] = "first\0\0third\0";
	unsigned int i;

	(void)state;
	memset(&w, 0, sizeof(w));
	memset(&mock, 0, sizeof(mock));
	for (i = 0; i < LINES; i++) {
		mock.line[i].event_fd = eventfd(0, EFD_NONBLOCK);
		mock.line[i].value_set = -1;
	}
	w.loop = loop_create();
	w.gpio = (struct gpio_device){
		.ops = &mock_ops,
		.num_lines = LINES,
		.names = names,
		.names_size = sizeof(names),
		.loop = w.loop,
	};
	assert_int_equal(gpio_init(&w.gpio), 0);
	assert_int_equal(ip_memory_init(&w.mem), 0);
	assert_int_equal(ip_queue_init(&w.request, &w.mem, NUM), 0);
	assert_int_equal(ip_queue_init(&w.event, &w.mem, NUM), 0);
	w.gpio.eventq = &w.event.vq;
	w.out = drv_alloc(&w.mem.driver, sizeof(*w.out), 64);
	w.in = drv_alloc(&w.mem.driver, 64, 64);
	w.irq_out = drv_alloc(&w.mem.driver, LINES * sizeof(*w.irq_out), 64);
	w.irq_in = drv_alloc(&w.mem.driver, LINES * sizeof(*w.irq_in), 64);
	return 0;
}

static inline int end(void **state)
{
	unsigned int i;

	(void)state;
	if (w.gpio.eventq)
		gpio_eventq_stop(&w.gpio);
	gpio_lines_reset(&w.gpio);
	gpio_finish(&w.gpio);
	ip_queue_finish(&w.request);
	ip_queue_finish(&w.event);
	ip_memory_finish(&w.mem);
	loop_destroy(w.loop);
	for (i = 0; i < LINES; i++)
		close(mock.line[i].event_fd);
	return 0;
}

/* ---- the driver ---- */

/* Return: the value of the answer, -1: ERR */
static inline int ask(unsigned int type, unsigned int line, uint32_t value)
{
	struct drv_buf bufs[] = { { w.out, sizeof(*w.out), false }, { w.in, sizeof(*w.in), true } };
	uint32_t len;
	int head;

	w.out->type = htole16((uint16_t)type);
	w.out->gpio = htole16((uint16_t)line);
	w.out->value = htole32(value);
	memset(w.in, 0x55, sizeof(*w.in));
	head = drv_add(&w.request.ring, bufs, 2, false);
	assert_true(head >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_int_equal(drv_get(&w.request.ring, &len), head);
	assert_int_equal(len, sizeof(*w.in));
	if (w.in->status == VIRTIO_GPIO_STATUS_OK)
		return w.in->value;
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_ERR);
	assert_int_equal(w.in->value, 0);
	return -1;
}

static inline int set_direction(unsigned int line, uint32_t direction)
{
	return ask(VIRTIO_GPIO_MSG_SET_DIRECTION, line, direction);
}

static inline int set_irq(unsigned int line, uint32_t type)
{
	return ask(VIRTIO_GPIO_MSG_IRQ_TYPE, line, type);
}

/* Hands in the buffer of a line. */
static inline void unmask(unsigned int line)
{
	struct drv_buf bufs[] = { { &w.irq_out[line], sizeof(*w.irq_out), false },
				  { &w.irq_in[line], sizeof(*w.irq_in), true } };

	w.irq_out[line].gpio = htole16((uint16_t)line);
	w.irq_in[line].status = 0x55;
	assert_true(drv_add(&w.event.ring, bufs, 2, true) >= 0);
	gpio_eventq_work(&w.gpio);
}

/* Takes one buffer back. Return: the status of @line's, -1: none came */
static inline int interrupt(unsigned int line)
{
	uint32_t len;
	int head = drv_get(&w.event.ring, &len);

	assert_true(head >= -1);
	if (head < 0)
		return -1;
	assert_int_equal(len, sizeof(*w.irq_in));
	return w.irq_in[line].status;
}

#define GPIO_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
