// SPDX-License-Identifier: BSD-3-Clause
/* The CAN device: its queues stop and start, drivers come and go. */
#include <errno.h>
#include <linux/can/error.h>
#include <poll.h>
#include <sys/mman.h>
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

/* All queues stop; they go on with the same driver, or begin anew with the next. */
static void stop_and_start(bool next, uint64_t features)
{
	uint32_t base[CAN_QUEUES];
	unsigned int i;

	for (i = 0; i < CAN_QUEUES; i++) {
		can_ops.queue_stop(&w.can, &w.queues[i]);
		base[i] = vq_stop(&w.queues[i].vq);
		if (!next)
			continue;
		drv_ring_finish(&w.rings[i]);
		assert_int_equal(drv_ring_init(&w.rings[i], &w.dmem, NUM, false), 0);
		base[i] = drv_base(&w.rings[i]);
	}
	for (i = 0; i < CAN_QUEUES; i++) {
		start_queue(i, features, base[i]);
		kick(i);
	}
}

/* Not every front-end says that its driver has gone. The next one's rings begin anew. */
static void test_starts_over(void **state)
{
	struct can_message m = message(1, 8, false), late = message(2, 8, false);
	struct can_message error = { .frame.can_id = CAN_ERR_FLAG | CAN_ERR_BUSOFF };
	struct request r;
	uint8_t *buf;

	(void)state;
	begin(EARLY);
	must_start();
	/* a pause: it goes on, and what came meanwhile is there */
	comes(&m, false);
	can_bus_work(&w.can);
	stop_and_start(false, EARLY);
	assert_true(w.bus.started);
	buf = give_buffer(80);
	kick(CAN_RXQ);
	received(buf, &m);
	/* another driver, and other features: nothing of before is left */
	comes(&late, false);
	can_bus_work(&w.can);
	stop_and_start(true, ALL_FEATURES);
	assert_false(w.bus.started);
	buf = give_buffer(80);
	kick(CAN_RXQ);
	assert_int_equal(drv_get(&w.rings[CAN_RXQ], NULL), -1);
	must_start();
	assert_true(w.bus.echo);
	r = transmit(&m);
	unanswered();
	comes(&m, true);
	can_bus_work(&w.can);
	answered(r, VIRTIO_CAN_RESULT_OK);
	/* off the bus, a pause does not mend that */
	comes(&error, false);
	can_bus_work(&w.can);
	stop_and_start(false, ALL_FEATURES);
	assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	stop_and_start(true, ALL_FEATURES);
	assert_int_equal(status(), 0);
	end();
}

/* A ring can stop where one begins: a packed one each second time around. */
static void test_pause_at_start(void **state)
{
	struct can_message m = message(1, 8, false);
	unsigned int n, frames = drv_packed_wanted() ? NUM : 65536;
	struct request r = { .head = -1 };

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	for (n = 1; n <= frames; n++) {
		r = transmit(&m);
		w.dmem.used -= 256;
		w.bus.nsent = 0;
		if (n == frames)
			break;
		w.bus.ncoming = w.bus.taken = 0;
		comes(&m, true);
		can_bus_work(&w.can);
		answered(r, VIRTIO_CAN_RESULT_OK);
	}
	stop_and_start(false, ALL_FEATURES);
	assert_true(vq_at_start(&w.queues[CAN_TXQ].vq));
	assert_true(w.bus.started);
	answered(r, VIRTIO_CAN_RESULT_NOT_OK);
	end();
}

/* What a driver can make happen as often as it likes does not fill the journal. */
static void test_many_complaints(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct can_message m = message(1, 8, false);
	static char text[65536];
	unsigned int i, lines = 0;
	ssize_t len;

	(void)state;
	begin(ALL_FEATURES);
	w.bus.send_error = -ENETDOWN;
	assert_true(log >= 0 && saved >= 0);
	dup2(log, STDERR_FILENO);
	log_set_level(LOG_LEVEL_NOTICE);
	for (i = 0; i < 200; i++) {
		assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_START), VIRTIO_CAN_RESULT_OK);
		answered(transmit(&m), VIRTIO_CAN_RESULT_NOT_OK);
		assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	}
	log_set_level(LOG_LEVEL_ERROR);
	dup2(saved, STDERR_FILENO);
	close(saved);
	len = pread(log, text, sizeof(text), 0);
	while (len-- > 0)
		lines += text[len] == '\n';
	print_message("%u lines about 200 times off the bus\n", lines);
	assert_in_range(lines, 1, 100);
	close(log);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_stops),
		cmocka_unit_test(test_queue_stops_on_busy_bus),
		cmocka_unit_test(test_nudges),
		cmocka_unit_test(test_starts_over),
		cmocka_unit_test(test_pause_at_start),
		cmocka_unit_test(test_many_complaints),
	};

	log_init("test-can-life", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
