// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-gpio from inside: interrupts, and its ends. */
#include "gpio-rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		GPIO_TEST(test_edges),
		GPIO_TEST(test_masked),
		GPIO_TEST(test_disabled),
		GPIO_TEST(test_unmasked_first),
		GPIO_TEST(test_levels),
		GPIO_TEST(test_no_interrupts),
		GPIO_TEST(test_not_offered),
		GPIO_TEST(test_bad_buffers),
		GPIO_TEST(test_stop),
		GPIO_TEST(test_stop_broken),
		GPIO_TEST(test_starts_over),
		GPIO_TEST(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
