// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-gpio from inside: requests and interrupts, on a chip of our own. */
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

static int mock_fails(void)
{
	int ret = mock.fail;

	mock.fail = 0;
	return ret;
}

static int mock_setup(void *chip, unsigned int line, const struct line_setup *setup)
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

static int mock_get_direction(void *chip, unsigned int line)
{
	int ret = mock_fails();

	(void)chip;
	if (ret)
		return ret;
	return mock.line[line].setup.direction == VIRTIO_GPIO_DIRECTION_OUT ?
		       VIRTIO_GPIO_DIRECTION_OUT :
		       VIRTIO_GPIO_DIRECTION_IN;
}

static int mock_get(void *chip, unsigned int line)
{
	int ret = mock_fails();

	(void)chip;
	if (mock.asked)
		mock.asked();
	return ret ? ret : mock.line[line].level;
}

static int mock_set(void *chip, unsigned int line, int value)
{
	(void)chip;
	mock.line[line].value_set = value;
	mock.line[line].level = value;
	return mock_fails();
}

static int mock_take_edges(void *chip, unsigned int line)
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

static int mock_event_fd(void *chip, unsigned int line)
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
static void move(unsigned int line, int level)
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
static void quit(void *data, uint32_t events)
{
	(void)events;
	loop_quit(data, 0);
}

static void run_loop(void)
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

static int begin(void **state)
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

static int end(void **state)
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
static int ask(unsigned int type, unsigned int line, uint32_t value)
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

static int set_direction(unsigned int line, uint32_t direction)
{
	return ask(VIRTIO_GPIO_MSG_SET_DIRECTION, line, direction);
}

static int set_irq(unsigned int line, uint32_t type)
{
	return ask(VIRTIO_GPIO_MSG_IRQ_TYPE, line, type);
}

/* Hands in the buffer of a line. */
static void unmask(unsigned int line)
{
	struct drv_buf bufs[] = { { &w.irq_out[line], sizeof(*w.irq_out), false },
				  { &w.irq_in[line], sizeof(*w.irq_in), true } };

	w.irq_out[line].gpio = htole16((uint16_t)line);
	w.irq_in[line].status = 0x55;
	assert_true(drv_add(&w.event.ring, bufs, 2, true) >= 0);
	gpio_eventq_work(&w.gpio);
}

/* Takes one buffer back. Return: the status of @line's, -1: none came */
static int interrupt(unsigned int line)
{
	uint32_t len;
	int head = drv_get(&w.event.ring, &len);

	assert_true(head >= -1);
	if (head < 0)
		return -1;
	assert_int_equal(len, sizeof(*w.irq_in));
	return w.irq_in[line].status;
}

/* ---- requests ---- */

static void test_directions(void **state)
{
	(void)state;
	/* a line that the driver does not use: how it stands */
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 1, 0), VIRTIO_GPIO_DIRECTION_IN);
	mock.line[1].setup.direction = VIRTIO_GPIO_DIRECTION_OUT;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 1, 0), VIRTIO_GPIO_DIRECTION_OUT);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 1, 0), VIRTIO_GPIO_DIRECTION_IN);
	assert_int_equal(mock.line[1].setup.direction, VIRTIO_GPIO_DIRECTION_IN);
	move(1, 1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), 1);
	/* the value first, then the direction: the line never shows another one */
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 1, 1), 0);
	assert_int_equal(mock.line[1].value_set, -1);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_OUT), 0);
	assert_int_equal(mock.line[1].setup.value, 1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 1, 0), 0);
	assert_int_equal(mock.line[1].value_set, 0);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), 0);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_NONE), 0);
	/* the next one does not begin with the last one's value */
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 2, 1), 0);
	gpio_lines_reset(&w.gpio);
	assert_int_equal(set_direction(2, VIRTIO_GPIO_DIRECTION_OUT), 0);
	assert_int_equal(mock.line[2].setup.value, 0);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, LINES, 0), -1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_DIRECTION, 0xffff, 0), -1);
	assert_int_equal(ask(0, 0, 0), -1);
	assert_int_equal(ask(7, 0, 0), -1);
	assert_int_equal(set_direction(0, 3), -1);
	assert_int_equal(set_direction(0, 0x100), -1);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 0, 2), -1);
	/* no interrupt without an input, no output with an interrupt */
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING), -1);
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(set_irq(0, 5), -1);
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING), 0);
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_OUT), -1);
	assert_int_equal(mock.line[0].setup.edges, EDGES_RISING);
	/* an input that is made one again keeps its interrupt, one that is let go does not */
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(mock.line[0].setup.edges, EDGES_RISING);
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_NONE), 0);
	assert_int_equal(mock.line[0].setup.edges, EDGES_NONE);
	/* what the chip refuses */
	mock.fail = -EIO;
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_IN), -1);
	assert_int_equal(w.gpio.lines[1].direction, VIRTIO_GPIO_DIRECTION_NONE);
	mock.fail = -EIO;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), -1);
}

static unsigned int to_come; /* requests of a driver that never rests */

static void add_another(void)
{
	struct drv_buf bufs[] = { { w.out, sizeof(*w.out), false }, { w.in, sizeof(*w.in), true } };

	while (drv_get(&w.request.ring, NULL) >= 0)
		;
	if (to_come && drv_add(&w.request.ring, bufs, 2, true) >= 0)
		to_come--;
}

/* One whose next request is always there before the last one is answered has its turn, no more. */
static void test_turns(void **state)
{
	const unsigned int all = 3 * VU_TURN + 10;
	unsigned int turns = 0;

	(void)state;
	set_direction(0, VIRTIO_GPIO_DIRECTION_IN);
	w.out->type = htole16(VIRTIO_GPIO_MSG_GET_VALUE);
	w.out->gpio = 0;
	to_come = all;
	mock.asked = add_another;
	add_another();
	while (gpio_requestq_work(&w.gpio, &w.request.vq)) {
		turns++;
		assert_int_equal(to_come, all - turns * VU_TURN - 1);
	}
	print_message("%u turns, %u requests left\n", turns, to_come);
	assert_int_equal(turns, 3);
	assert_int_equal(to_come, 0);
}

static void test_names(void **state)
{
	struct drv_buf bufs[] = { { w.out, sizeof(*w.out), false },
				  { w.in, 1 + w.gpio.names_size, true } };
	uint32_t len;

	(void)state;
	w.out->type = htole16(VIRTIO_GPIO_MSG_GET_NAMES);
	assert_true(drv_add(&w.request.ring, bufs, 2, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 1 + w.gpio.names_size);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_OK);
	assert_memory_equal((uint8_t *)w.in + 1, w.gpio.names, w.gpio.names_size);
	/* a buffer too short for them */
	bufs[1].len = w.gpio.names_size;
	assert_true(drv_add(&w.request.ring, bufs, 2, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_ERR);
	w.gpio.names_size = 0;
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_NAMES, 0, 0), -1);
}

/* Requests of other shapes than that of the document are answered, with what has room. */
static void test_shapes(void **state)
{
	struct drv_buf one[] = { { w.out, 7, false }, { w.in, 1, true } };
	struct drv_buf split[] = { { w.out, 3, false },
				   { (uint8_t *)w.out + 3, 5, false },
				   { w.in, 1, true },
				   { (uint8_t *)w.in + 1, 1, true } };
	uint32_t len;

	(void)state;
	*w.out = (struct virtio_gpio_request){ .type = htole16(VIRTIO_GPIO_MSG_GET_VALUE) };
	assert_true(drv_add(&w.request.ring, one, 2, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 1);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_ERR);
	mock.line[0].level = 1;
	assert_true(drv_add(&w.request.ring, split, 4, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 2);
	assert_int_equal(w.in->status, VIRTIO_GPIO_STATUS_OK);
	assert_int_equal(w.in->value, 1);
	assert_true(drv_add(&w.request.ring, one, 1, false) >= 0);
	gpio_requestq_work(&w.gpio, &w.request.vq);
	assert_true(drv_get(&w.request.ring, &len) >= 0);
	assert_int_equal(len, 0);
}

/* ---- interrupts ---- */

static void enable(unsigned int line, uint32_t type)
{
	assert_int_equal(set_direction(line, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(set_irq(line, type), 0);
}

static void test_edges(void **state)
{
	static const struct {
		uint32_t type;
		int rising, falling;
	} modes[] = {
		{ VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING, 1, 0 },
		{ VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING, 0, 1 },
		{ VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH, 1, 1 },
	};
	unsigned int m, turn;

	(void)state;
	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		enable(m, modes[m].type);
		unmask(m);
		for (turn = 0; turn < 4; turn++) {
			int level = !(turn & 1);
			int expected = level ? modes[m].rising : modes[m].falling;

			move(m, level);
			run_loop();
			assert_int_equal(interrupt(m),
					 expected ? VIRTIO_GPIO_IRQ_STATUS_VALID : -1);
			if (expected)
				unmask(m);
			assert_int_equal(interrupt(m), -1);
		}
	}
}

/* What happens to a line that is masked is told once, when it is unmasked. */
static void test_masked(void **state)
{
	unsigned int i;

	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_BOTH);
	for (i = 0; i < 7; i++)
		move(0, !(i & 1));
	run_loop();
	assert_int_equal(interrupt(0), -1);
	unmask(0);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);
	unmask(0);
	run_loop();
	assert_int_equal(interrupt(0), -1);
	move(0, 0);
	run_loop();
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

static void test_disabled(void **state)
{
	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	enable(1, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	unmask(0);
	unmask(1);
	/* the buffer comes back with the request that disables, and that of no other line */
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_NONE), 0);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_INVALID);
	assert_int_equal(interrupt(1), -1);
	/* edges of a time when it was disabled, or of another type, are none */
	move(0, 1);
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	move(0, 0);
	move(0, 1);
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING), 0);
	unmask(0);
	run_loop();
	assert_int_equal(interrupt(0), -1);
	move(0, 0);
	run_loop();
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

/* A buffer that comes first waits: INVALID would only bring it back. */
static void test_unmasked_first(void **state)
{
	(void)state;
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	unmask(0);
	move(0, 1);
	run_loop();
	assert_int_equal(interrupt(0), -1);
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_FALLING), 0);
	move(0, 0);
	run_loop();
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

static void check_level(unsigned int line, uint32_t type, int active)
{
	mock.line[line].level = !active;
	enable(line, type);
	unmask(line);
	run_loop();
	assert_int_equal(interrupt(line), -1);
	move(line, active);
	run_loop();
	assert_int_equal(interrupt(line), VIRTIO_GPIO_IRQ_STATUS_VALID);
	/* as long as the level lasts, each time that it is unmasked */
	unmask(line);
	assert_int_equal(interrupt(line), VIRTIO_GPIO_IRQ_STATUS_VALID);
	unmask(line);
	assert_int_equal(interrupt(line), VIRTIO_GPIO_IRQ_STATUS_VALID);
	/* and no longer, whatever edges there were meanwhile */
	move(line, !active);
	move(line, active);
	move(line, !active);
	unmask(line);
	run_loop();
	assert_int_equal(interrupt(line), -1);
	move(line, active);
	run_loop();
	assert_int_equal(interrupt(line), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

static void test_levels(void **state)
{
	(void)state;
	check_level(0, VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH, 1);
	check_level(1, VIRTIO_GPIO_IRQ_TYPE_LEVEL_LOW, 0);
	/* the level was there before */
	mock.line[2].level = 1;
	assert_int_equal(set_direction(2, VIRTIO_GPIO_DIRECTION_IN), 0);
	unmask(2);
	assert_int_equal(set_irq(2, VIRTIO_GPIO_IRQ_TYPE_LEVEL_HIGH), 0);
	vq_flush(&w.event.vq);
	assert_int_equal(interrupt(2), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

static void test_no_interrupts(void **state)
{
	(void)state;
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	mock.fail = -ENXIO;
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING), -1);
	/* the driver does not look at that answer: its buffer must not go round and round */
	unmask(0);
	run_loop();
	assert_int_equal(interrupt(0), -1);
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_NONE), 0);
}

/* --no-interrupts: that is a feature less, and no virtqueue. */
static void test_not_offered(void **state)
{
	struct vu_device device;

	(void)state;
	w.gpio.no_interrupts = true;
	gpio_describe(&w.gpio, &device);
	assert_int_equal(device.ops->features(device.dev), 0);
	assert_int_equal(device.num_queues, GPIO_NUM_QUEUES);
	/* a driver that uses it all the same gets none, and its buffer back in the end */
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_IN), 0);
	assert_int_equal(set_irq(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING), -1);
	unmask(0);
	move(0, 1);
	run_loop();
	assert_int_equal(interrupt(0), -1);
	gpio_eventq_stop(&w.gpio);
	vq_flush(&w.event.vq);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_INVALID);
}

static void test_bad_buffers(void **state)
{
	struct drv_buf bufs[] = { { w.irq_out, sizeof(*w.irq_out), false },
				  { w.irq_in, sizeof(*w.irq_in), true } };

	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	unmask(0);
	/* a second one of the same line, one of no line, one without an answer */
	assert_true(drv_add(&w.event.ring, bufs, 2, false) >= 0);
	gpio_eventq_work(&w.gpio);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_INVALID);
	w.irq_out[0].gpio = htole16(LINES);
	assert_true(drv_add(&w.event.ring, bufs, 2, false) >= 0);
	gpio_eventq_work(&w.gpio);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_INVALID);
	assert_true(drv_add(&w.event.ring, bufs, 1, false) >= 0);
	gpio_eventq_work(&w.gpio);
	assert_true(drv_get(&w.event.ring, NULL) >= 0);
	/* the first is there as before */
	move(0, 1);
	run_loop();
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

static void test_stop(void **state)
{
	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	enable(1, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	unmask(0);
	unmask(1);
	gpio_eventq_stop(&w.gpio);
	vq_flush(&w.event.vq);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_INVALID);
	assert_int_equal(interrupt(1), VIRTIO_GPIO_IRQ_STATUS_INVALID);
	move(0, 1);
	run_loop();
	/* what happened meanwhile is told when it goes on */
	w.gpio.eventq = &w.event.vq;
	unmask(0);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);
}

/* Another buffer breaks the queue: those that wait are not lost with it when it is stopped. */
static void test_stop_broken(void **state)
{
	struct drv_buf beyond = { w.mem.driver.base + IP_MEMORY, 1, true };

	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	unmask(0);
	assert_true(drv_add(&w.event.ring, &beyond, 1, false) >= 0);
	gpio_eventq_work(&w.gpio);
	assert_true(w.event.vq.broken);
	assert_int_equal(w.event.vq.taken, 1);
	gpio_eventq_stop(&w.gpio);
	vq_flush(&w.event.vq);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_INVALID);
	assert_int_equal(w.event.vq.taken, 0);
}

static void stop_queues(struct vu_queue *queues)
{
	queues[0] = (struct vu_queue){ .vq = w.request.vq, .index = GPIO_REQUESTQ };
	queues[1] = (struct vu_queue){ .vq = w.event.vq, .index = GPIO_EVENTQ };
	gpio_ops.queue_stop(&w.gpio, &queues[0]);
	gpio_ops.queue_stop(&w.gpio, &queues[1]);
}

static void start_queues(struct vu_queue *queues)
{
	queues[0].vq = w.request.vq;
	queues[1].vq = w.event.vq;
	gpio_ops.queue_start(&w.gpio, &queues[0]);
	gpio_ops.queue_start(&w.gpio, &queues[1]);
	w.gpio.eventq = &w.event.vq;
}

/*
 * Not every front-end says that its driver has gone: the next one's rings begin anew. Those of a
 * driver that only pauses go on, and its lines are as they were.
 */
static void test_starts_over(void **state)
{
	struct vu_queue queues[GPIO_NUM_QUEUES];

	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	assert_int_equal(set_direction(1, VIRTIO_GPIO_DIRECTION_OUT), 0);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_SET_VALUE, 1, 1), 0);
	stop_queues(queues);
	start_queues(queues);
	assert_int_equal(mock.line[0].setup.edges, EDGES_RISING);
	assert_int_equal(mock.line[1].setup.direction, VIRTIO_GPIO_DIRECTION_OUT);
	assert_int_equal(ask(VIRTIO_GPIO_MSG_GET_VALUE, 1, 0), 1);
	move(0, 1);
	unmask(0);
	assert_int_equal(interrupt(0), VIRTIO_GPIO_IRQ_STATUS_VALID);

	stop_queues(queues);
	ip_queue_finish(&w.request);
	ip_queue_finish(&w.event);
	assert_int_equal(ip_queue_init(&w.request, &w.mem, NUM), 0);
	assert_int_equal(ip_queue_init(&w.event, &w.mem, NUM), 0);
	start_queues(queues);
	assert_int_equal(mock.line[0].setup.edges, EDGES_NONE);
	assert_int_equal(mock.line[1].setup.direction, VIRTIO_GPIO_DIRECTION_NONE);
	/* no interrupt of the last driver's is in the way */
	assert_int_equal(set_direction(0, VIRTIO_GPIO_DIRECTION_OUT), 0);
	assert_int_equal(mock.line[0].setup.value, 0);
}

static void test_gone(void **state)
{
	(void)state;
	enable(0, VIRTIO_GPIO_IRQ_TYPE_EDGE_RISING);
	mock.fail = -ENODEV;
	unmask(0);
	assert_true(w.gpio.gone);
	assert_int_equal(interrupt(0), -1);
}

#define GPIO_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPIO_TEST(test_directions),    GPIO_TEST(test_refused),
		GPIO_TEST(test_names),	       GPIO_TEST(test_shapes),
		GPIO_TEST(test_turns),
		GPIO_TEST(test_edges),	       GPIO_TEST(test_masked),
		GPIO_TEST(test_disabled),      GPIO_TEST(test_unmasked_first),
		GPIO_TEST(test_levels),	       GPIO_TEST(test_no_interrupts),
		GPIO_TEST(test_not_offered),
		GPIO_TEST(test_bad_buffers),   GPIO_TEST(test_stop),
		GPIO_TEST(test_stop_broken),
		GPIO_TEST(test_starts_over),   GPIO_TEST(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
