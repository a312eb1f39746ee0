// SPDX-License-Identifier: BSD-3-Clause
/* The CAN device: its queues stop and start, drivers come and go. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "can-rig.h"
#include "common/log.h"

/* The driver's memory goes while frames are on their way: all are answered. */
static void test_queue_stops(void **state)
{
	struct can_message m = message(1, 8, false);
	struct request a, b;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	a = transmit(&m);
	w.bus.send_error = -EAGAIN;
	b = transmit(&m);
	can_ops.queue_stop(&w.can, &w.queues[CAN_TXQ]);
	vq_flush(&w.queues[CAN_TXQ].vq);
	answered(a, VIRTIO_CAN_RESULT_NOT_OK);
	answered(b, VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(can_ops.queue_start(&w.can, &w.queues[CAN_TXQ]), 0);
	end();
}

/* On a busy bus there is something to receive each time; the driver has another frame by then. */
static int busy_receive(struct can_bus *bus, struct can_received *got, unsigned int max)
{
	struct can_message m = message(2, 8, false);
	uint8_t buf[FRAME_MAX];

	(void)max;
	if (!to_test(bus)->taken++)
		add_bytes(buf, as_tx(&m, buf));
	*got = (struct can_received){ .message = m };
	return to_test(bus)->taken % 2;
}

/* A frame whose echo does not come is waited for as long as is said, and no other one is taken. */
static void test_queue_stops_on_busy_bus(void **state)
{
	struct can_bus_ops busy = bus_ops;
	struct can_message m = message(1, 8, false);
	uint64_t one = 1, ns;
	struct request a;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	busy.receive = busy_receive;
	w.bus.bus.ops = &busy;
	a = transmit(&m);
	assert_int_equal(write(w.bus.fd, &one, sizeof(one)), sizeof(one));
	alarm(30);
	ns = now_ns();
	can_ops.queue_stop(&w.can, &w.queues[CAN_TXQ]);
	ns = now_ns() - ns;
	alarm(0);
	print_message("%lu ms, %u looks at the bus\n", (unsigned long)(ns / 1000000), w.bus.taken);
	assert_true(ns >= 190000000 && ns < 10000000000);
	vq_flush(&w.queues[CAN_TXQ].vq);
	answered(a, VIRTIO_CAN_RESULT_NOT_OK);
	unanswered();
	assert_int_equal(w.bus.nsent, 1);
	w.bus.bus.ops = &bus_ops;
	assert_int_equal(can_ops.queue_start(&w.can, &w.queues[CAN_TXQ]), 0);
	kick(CAN_TXQ);
	assert_int_equal(w.bus.nsent, 2);
	assert_int_equal(read(w.bus.fd, &one, sizeof(one)), sizeof(one));
	end();
}

/* Return: whether the queue was called since the last time. */
static bool called(unsigned int queue)
{
	uint64_t count;

	return read(w.rings[queue].call_fd, &count, sizeof(count)) == sizeof(count);
}

/* A driver that misses the calls right after the start gets some more; ours needs none. */
static void test_nudges(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	unsigned int n;

	(void)state;
	begin(ALL_FEATURES & ~BIT_ULL(VIRTIO_CAN_F_RX_LOST));
	must_start();
	called(CAN_TXQ);
	called(CAN_RXQ);
	pfd.fd = w.can.timer_fd;
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	for (n = 0; n < 1000 && w.can.nudges; n++) {
		can_nudge(&w.can);
		assert_true(called(CAN_TXQ));
		assert_true(called(CAN_RXQ));
	}
	assert_in_range(n, 2, 100);
	can_nudge(&w.can);
	assert_false(called(CAN_RXQ));
	end();
	begin(ALL_FEATURES);
	must_start();
	can_nudge(&w.can);
	assert_false(called(CAN_TXQ));
	assert_false(called(CAN_RXQ));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_stops),
		cmocka_unit_test(test_queue_stops_on_busy_bus),
		cmocka_unit_test(test_nudges),
	};

	log_init("test-can-life", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
