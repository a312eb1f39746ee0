// SPDX-License-Identifier: BSD-3-Clause
/* The CAN device: frames and errors. */
#include <endian.h>
#include <errno.h>
#include <linux/can/error.h>
#include <poll.h>
#include <string.h>

#include "can-rig.h"
#include "common/log.h"

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
	};

	log_init("test-can", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
