// SPDX-License-Identifier: BSD-3-Clause
/* The CAN device: the controller between a driver and a bus, both of the test's own. */
#include <endian.h>
#include <errno.h>
#include <linux/can/error.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/can/can.h"
#include "backends/common/internal.h"
#include "can-bus.h"
#include "can-frames.h"
#include "check.h"
#include "common/log.h"
#include "common/util.h"
#include "driver.h"

#define NUM 16
#define EARLY (ALL_FEATURES & ~BIT_ULL(VIRTIO_CAN_F_LATE_TX_ACK))

/* ---- the controller between a driver and that bus ---- */

struct world {
	struct drv_mem dmem;
	struct drv_ring rings[CAN_QUEUES];
	struct mem_table mem;
	struct vu_queue queues[CAN_QUEUES];
	struct inflight_area no_area;
	struct vu_backend backend;
	struct test_bus bus;
	struct can_controller can;
};

static struct world w;

static void begin(uint64_t features)
{
	struct vhost_user_memory_region region = { DRV_GPA, 1 << 20, DRV_UVA, 0 };
	unsigned int i;

	memset(&w, 0, sizeof(w));
	w.bus.bus = (struct can_bus){ .ops = &bus_ops, .name = "test" };
	w.bus.fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(vu_backend_init(&w.backend), 0);
	assert_int_equal(can_init(&w.can, &w.backend, &w.bus.bus, true), 0);
	assert_int_equal(can_ops.features(&w.can), ALL_FEATURES);
	assert_int_equal(drv_mem_init(&w.dmem, 1 << 20), 0);
	mem_init(&w.mem);
	assert_int_equal(mem_add(&w.mem, &region, w.dmem.fd), 0);
	for (i = 0; i < CAN_QUEUES; i++) {
		struct drv_ring *ring = &w.rings[i];
		struct vq_setup setup = { .index = i, .num = NUM, .mem = &w.mem, .err_fd = -1,
					  .inflight = &w.no_area };

		assert_int_equal(drv_ring_init(ring, &w.dmem, NUM, false), 0);
		setup.desc_uva = drv_uva(&w.dmem, ring->desc);
		setup.avail_uva = drv_uva(&w.dmem, ring->avail);
		setup.used_uva = drv_uva(&w.dmem, ring->used);
		setup.call_fd = ring->call_fd;
		setup.features = drv_features(ring);
		setup.base = drv_base(ring);
		w.queues[i].index = i;
		w.queues[i].features = features;
		assert_int_equal(vq_start(&w.queues[i].vq, &setup), 0);
		assert_int_equal(can_ops.queue_start(&w.can, &w.queues[i]), 0);
	}
}

static void end(void)
{
	unsigned int i;

	for (i = 0; i < CAN_QUEUES; i++) {
		can_ops.queue_stop(&w.can, &w.queues[i]);
		assert_int_equal(w.queues[i].vq.taken, 0);
		vq_stop(&w.queues[i].vq);
		drv_ring_finish(&w.rings[i]);
	}
	can_ops.reset(&w.can);
	can_finish(&w.can);
	vu_backend_finish(&w.backend);
	mem_finish(&w.mem);
	drv_mem_finish(&w.dmem);
	close(w.bus.fd);
}

static void kick(unsigned int queue)
{
	can_ops.queue_kick(&w.can, &w.queues[queue]);
}

static uint16_t status(void)
{
	uint16_t value;

	can_ops.get_config(&w.can, &value, 0, sizeof(value));
	return le16toh(value);
}

static int control(uint16_t msg_type)
{
	uint16_t *request = drv_alloc(&w.dmem, 64, 64);
	uint8_t *result = (uint8_t *)request + 32;
	struct drv_buf bufs[] = { { request, 2, false }, { result, 1, true } };
	int head = drv_add(&w.rings[CAN_CTRLQ], bufs, 2, false);
	uint32_t len;

	*request = htole16(msg_type);
	*result = 0xaa;
	assert_true(head >= 0);
	kick(CAN_CTRLQ);
	assert_int_equal(drv_get(&w.rings[CAN_CTRLQ], &len), head);
	assert_int_equal(len, 1);
	return *result;
}

static void must_start(void)
{
	assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_START), VIRTIO_CAN_RESULT_OK);
	assert_true(w.bus.started);
}

struct request {
	int head;
	uint8_t *result;
};

static struct request add_bytes(const void *bytes, size_t len)
{
	uint8_t *buf = drv_alloc(&w.dmem, 256, 64);
	struct request request = { .result = buf + 200 };
	struct drv_buf bufs[] = { { buf, (uint32_t)len, false }, { request.result, 1, true } };

	memcpy(buf, bytes, len);
	*request.result = 0xaa;
	request.head = drv_add(&w.rings[CAN_TXQ], bufs, 2, false);
	assert_true(request.head >= 0);
	return request;
}

static struct request transmit(const struct can_message *m)
{
	uint8_t buf[FRAME_MAX];
	struct request request = add_bytes(buf, as_tx(m, buf));

	kick(CAN_TXQ);
	return request;
}

static void answered(struct request request, uint8_t result)
{
	uint32_t len;

	assert_int_equal(drv_get(&w.rings[CAN_TXQ], &len), request.head);
	assert_int_equal(len, 1);
	assert_int_equal(*request.result, result);
}

static void unanswered(void)
{
	uint32_t len;

	assert_int_equal(drv_get(&w.rings[CAN_TXQ], &len), -1);
}

static void comes(const struct can_message *m, bool own)
{
	w.bus.coming[w.bus.ncoming++] = (struct can_received){ .message = *m, .own = own };
}

static uint8_t *give_buffer(uint32_t len)
{
	uint8_t *buf = drv_alloc(&w.dmem, 128, 64);
	struct drv_buf in = { buf, len, true };

	assert_true(drv_add(&w.rings[CAN_RXQ], &in, 1, false) >= 0);
	return buf;
}

static void received(const uint8_t *buf, const struct can_message *m)
{
	uint8_t want[FRAME_MAX];
	size_t len = frame_to_virtio(m, want);
	uint32_t got;

	assert_true(drv_get(&w.rings[CAN_RXQ], &got) >= 0);
	assert_int_equal(got, len);
	assert_memory_equal(buf, want, len);
}

/* ---- the driver's frames ---- */

static void test_late(void **state)
{
	struct can_message a = message(1, 8, false), b = message(2, 64, true);
	struct can_message c = message(3 | CAN_RTR_FLAG, 2, false);
	struct request ra, rb, rc;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	assert_true(w.bus.echo);
	ra = transmit(&a);
	rb = transmit(&b);
	rc = transmit(&c);
	assert_int_equal(w.bus.nsent, 3);
	assert_true(frame_equal(&w.bus.sent[1], &b));
	unanswered();
	comes(&a, true);
	can_bus_work(&w.can);
	answered(ra, VIRTIO_CAN_RESULT_OK);
	/* a controller may send in another order */
	comes(&c, true);
	can_bus_work(&w.can);
	answered(rc, VIRTIO_CAN_RESULT_OK);
	comes(&b, true);
	comes(&b, true); /* one too many */
	can_bus_work(&w.can);
	answered(rb, VIRTIO_CAN_RESULT_OK);
	unanswered();
	/* none of them went to the driver */
	assert_int_equal(w.can.waiting_count, 0);
	end();
}

static void test_early(void **state)
{
	struct can_message m = message(1, 8, false);

	(void)state;
	begin(EARLY);
	must_start();
	assert_false(w.bus.echo);
	answered(transmit(&m), VIRTIO_CAN_RESULT_OK);
	end();
}

static void test_full_bus(void **state)
{
	struct can_message a = message(1, 8, false), b = message(2, 8, false);
	struct pollfd pfd = { .events = POLLIN };
	struct request ra, rb;

	(void)state;
	begin(EARLY);
	must_start();
	w.bus.send_error = -EAGAIN;
	ra = transmit(&a);
	rb = transmit(&b);
	unanswered();
	pfd.fd = w.can.timer_fd;
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	w.bus.send_error = 0;
	can_tx_work(&w.can);
	answered(ra, VIRTIO_CAN_RESULT_OK);
	answered(rb, VIRTIO_CAN_RESULT_OK);
	assert_true(frame_equal(&w.bus.sent[0], &a) && frame_equal(&w.bus.sent[1], &b));
	/* what the bus refuses for good */
	w.bus.send_error = -EINVAL;
	answered(transmit(&a), VIRTIO_CAN_RESULT_NOT_OK);
	end();
}

static void test_bad_requests(void **state)
{
	static const uint8_t bytes[] = { 1, 0, 64, 0 };
	struct drv_buf read_only = { .len = 80 };
	struct drv_buf write_only = { .len = 1, .write = true };
	struct request request;
	uint32_t len;
	int head;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	request = add_bytes(bytes, sizeof(bytes));
	kick(CAN_TXQ);
	answered(request, VIRTIO_CAN_RESULT_NOT_OK);
	read_only.p = write_only.p = drv_alloc(&w.dmem, 128, 64);
	head = drv_add(&w.rings[CAN_TXQ], &read_only, 1, false);
	kick(CAN_TXQ);
	assert_int_equal(drv_get(&w.rings[CAN_TXQ], &len), head);
	assert_int_equal(len, 0);
	head = drv_add(&w.rings[CAN_TXQ], &write_only, 1, false);
	kick(CAN_TXQ);
	assert_int_equal(drv_get(&w.rings[CAN_TXQ], &len), head);
	assert_int_equal(*(uint8_t *)write_only.p, VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(w.bus.nsent, 0);
	end();
}

/* ---- frames of the bus ---- */

static void test_receive(void **state)
{
	struct can_message a = message(1, 8, false), b = message(CAN_EFF_FLAG | 2, 64, true);
	struct can_message c = message(3 | CAN_RTR_FLAG, 4, false);
	uint8_t *first, *second;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	first = give_buffer(80);
	second = give_buffer(80);
	comes(&a, false);
	comes(&b, false);
	comes(&c, false);
	can_bus_work(&w.can);
	received(first, &a);
	received(second, &b);
	/* the third waits for a buffer, and the driver is asked to kick */
	assert_int_equal(w.can.waiting_count, 1);
	assert_int_equal(w.rings[CAN_RXQ].is_packed ? w.rings[CAN_RXQ].packed.device->flags :
						      w.rings[CAN_RXQ].used->flags,
			 0);
	first = give_buffer(80);
	kick(CAN_RXQ);
	received(first, &c);
	end();
}

static void test_not_negotiated(void **state)
{
	struct can_message classic = message(1, 8, false), fd = message(2, 8, true);
	struct can_message rtr = message(3 | CAN_RTR_FLAG, 4, false);
	uint8_t *buf;

	(void)state;
	begin(BIT_ULL(VIRTIO_CAN_F_CAN_CLASSIC));
	must_start();
	buf = give_buffer(24);
	comes(&fd, false);
	comes(&rtr, false);
	comes(&classic, false);
	can_bus_work(&w.can);
	received(buf, &classic);
	assert_int_equal(w.can.lost, 0);
	end();
}

static uint32_t told_lost(const uint8_t *buf)
{
	struct virtio_can_rx_lost lost;
	uint32_t len;

	assert_true(drv_get(&w.rings[CAN_RXQ], &len) >= 0);
	assert_int_equal(len, sizeof(lost));
	memcpy(&lost, buf, sizeof(lost));
	assert_int_equal(le16toh(lost.msg_type), VIRTIO_CAN_RX_LOST);
	return le32toh(lost.count);
}

static void test_no_buffers(void **state)
{
	struct can_message m = message(1, 8, false);
	unsigned int i;
	uint8_t *buf;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	for (i = 0; i < CAN_WAITING + 7; i++)
		comes(&m, false);
	for (i = 0; i < 8; i++)
		can_bus_work(&w.can);
	assert_int_equal(w.can.waiting_count, CAN_WAITING);
	for (i = 0; i < CAN_WAITING; i++) {
		buf = give_buffer(80);
		kick(CAN_RXQ);
		if (i == 32)
			assert_int_equal(told_lost(buf), 7);
		else
			received(buf, &m);
	}
	end();
}

/* A buffer that is too small comes back empty, and the frame waits for a better one. */
static void test_small_buffer(void **state)
{
	struct can_message m = message(1, 8, false);
	uint32_t len;
	uint8_t *buf;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	give_buffer(79);
	buf = give_buffer(80);
	comes(&m, false);
	can_bus_work(&w.can);
	assert_true(drv_get(&w.rings[CAN_RXQ], &len) >= 0);
	assert_int_equal(len, 0);
	received(buf, &m);
	end();
}

/* The socket lost frames; of five, two were echoes. */
static void test_overflow(void **state)
{
	struct can_message m[4];
	struct request r[4];
	unsigned int i;
	uint8_t *buf;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	for (i = 0; i < 4; i++) {
		m[i] = message(i, 8, false);
		r[i] = transmit(&m[i]);
	}
	comes(&m[0], true);
	w.bus.dropped = 5;
	can_bus_work(&w.can);
	answered(r[0], VIRTIO_CAN_RESULT_OK);
	unanswered();
	/* the echo of a later one tells that those before went out */
	comes(&m[3], true);
	buf = give_buffer(80);
	can_bus_work(&w.can);
	for (i = 1; i < 4; i++)
		answered(r[i], VIRTIO_CAN_RESULT_OK);
	assert_int_equal(told_lost(buf), 3);
	/* with nothing on its way all are frames of the bus, and the counter wraps */
	w.can.dropped_seen = UINT32_MAX;
	w.bus.dropped = 1;
	buf = give_buffer(80);
	can_bus_work(&w.can);
	assert_int_equal(told_lost(buf), 2);
	end();
}

/* No later echo tells: after a moment they are taken for sent. */
static void test_lost_echoes(void **state)
{
	struct can_message m = message(1, 8, false);
	struct pollfd pfd = { .events = POLLIN };
	struct request a, b;
	uint8_t *buf;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	a = transmit(&m);
	b = transmit(&m);
	w.bus.dropped = 2;
	can_bus_work(&w.can);
	unanswered();
	pfd.fd = w.can.timer_fd;
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	can_tx_timer(&w.can);
	can_tx_work(&w.can);
	answered(a, VIRTIO_CAN_RESULT_OK);
	answered(b, VIRTIO_CAN_RESULT_OK);
	assert_int_equal(w.can.lost, 0);
	/* one was late: then a frame of the bus was lost, and the driver hears of it */
	comes(&m, true);
	buf = give_buffer(80);
	can_bus_work(&w.can);
	assert_int_equal(told_lost(buf), 1);
	end();
}

/* ---- states ---- */

static void test_stopped(void **state)
{
	struct can_message m = message(1, 8, false);
	struct request a, b;

	(void)state;
	begin(ALL_FEATURES);
	answered(transmit(&m), VIRTIO_CAN_RESULT_NOT_OK);
	must_start();
	must_start(); /* nothing changes */
	a = transmit(&m);
	b = transmit(&m);
	comes(&m, true);
	/* what went out is answered so; the rest is cancelled */
	assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_STOP), VIRTIO_CAN_RESULT_OK);
	answered(a, VIRTIO_CAN_RESULT_OK);
	answered(b, VIRTIO_CAN_RESULT_NOT_OK);
	assert_false(w.bus.started);
	answered(transmit(&m), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_STOP), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(control(0), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(control(0x0203), VIRTIO_CAN_RESULT_NOT_OK);
	w.bus.start_error = -ENETDOWN;
	assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_START), VIRTIO_CAN_RESULT_NOT_OK);
	end();
}

static void test_bus_off(void **state)
{
	struct can_message m = message(1, 8, false);
	struct can_message error = { .frame.can_id = CAN_ERR_FLAG | CAN_ERR_BUSOFF };
	struct request r;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	assert_int_equal(status(), 0);
	r = transmit(&m);
	comes(&error, false);
	can_bus_work(&w.can);
	answered(r, VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	answered(transmit(&m), VIRTIO_CAN_RESULT_NOT_OK);
	must_start();
	assert_int_equal(status(), 0);
	/* the same when the interface goes while a frame is sent */
	w.bus.send_error = -ENETDOWN;
	answered(transmit(&m), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_STOP), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(status(), 0);
	end();
}

/* What the interface's controller lost is lost for the driver as well. */
static void test_overrun(void **state)
{
	struct can_message error = { .frame = { .can_id = CAN_ERR_FLAG | CAN_ERR_CRTL,
						.data = { 0, CAN_ERR_CRTL_RX_OVERFLOW } } };
	uint8_t *buf;

	(void)state;
	begin(ALL_FEATURES);
	must_start();
	buf = give_buffer(80);
	comes(&error, false);
	can_bus_work(&w.can);
	assert_int_equal(told_lost(buf), 1);
	end();
}

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
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_early),	      cmocka_unit_test(test_full_bus),
		cmocka_unit_test(test_bad_requests),  cmocka_unit_test(test_receive),
		cmocka_unit_test(test_not_negotiated), cmocka_unit_test(test_no_buffers),
		cmocka_unit_test(test_small_buffer),  cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_lost_echoes),   cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_bus_off),	      cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_queue_stops),   cmocka_unit_test(test_nudges),
		cmocka_unit_test(test_queue_stops_on_busy_bus),
	};

	log_init("test-can", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
