/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller between a driver and a bus, both of the test's own. */
#ifndef TEST_CAN_RIG_H
#define TEST_CAN_RIG_H

#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/can/can.h"
#include "backends/common/internal.h"
#include "can-bus.h"
#include "can-frames.h"
#include "check.h"
#include "driver.h"

#define NUM 16
#define EARLY (ALL_FEATURES & ~BIT_ULL(VIRTIO_CAN_F_LATE_TX_ACK))

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

static inline void start_queue(unsigned int i, uint64_t features, uint32_t base)
{
	const struct drv_ring *ring = &w.rings[i];
	struct vq_setup setup = {
		.index = i,
		.num = NUM,
		.features = drv_features(ring),
		.mem = &w.mem,
		.desc_uva = drv_uva(&w.dmem, ring->desc),
		.avail_uva = drv_uva(&w.dmem, ring->avail),
		.used_uva = drv_uva(&w.dmem, ring->used),
		.base = base,
		.call_fd = ring->call_fd,
		.err_fd = -1,
		.inflight = &w.no_area,
	};

	w.queues[i].index = i;
	w.queues[i].features = features;
	assert_int_equal(vq_start(&w.queues[i].vq, &setup), 0);
	assert_int_equal(can_ops.queue_start(&w.can, &w.queues[i]), 0);
}

static inline void begin(uint64_t features)
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
		assert_int_equal(drv_ring_init(&w.rings[i], &w.dmem, NUM, false), 0);
		start_queue(i, features, drv_base(&w.rings[i]));
	}
}

static inline void end(void)
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

static inline void kick(unsigned int queue)
{
	can_ops.queue_kick(&w.can, &w.queues[queue]);
}

static inline uint16_t status(void)
{
	uint16_t value;

	can_ops.get_config(&w.can, &value, 0, sizeof(value));
	return le16toh(value);
}

static inline int control(uint16_t msg_type)
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

static inline void must_start(void)
{
	assert_int_equal(control(VIRTIO_CAN_SET_CTRL_MODE_START), VIRTIO_CAN_RESULT_OK);
	assert_true(w.bus.started);
}

struct request {
	int head;
	uint8_t *result;
};

static inline struct request add_bytes(const void *bytes, size_t len)
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

static inline struct request transmit(const struct can_message *m)
{
	uint8_t buf[FRAME_MAX];
	struct request request = add_bytes(buf, as_tx(m, buf));

	kick(CAN_TXQ);
	return request;
}

static inline void answered(struct request request, uint8_t result)
{
	uint32_t len;

	assert_int_equal(drv_get(&w.rings[CAN_TXQ], &len), request.head);
	assert_int_equal(len, 1);
	assert_int_equal(*request.result, result);
}

static inline void unanswered(void)
{
	uint32_t len;

	assert_int_equal(drv_get(&w.rings[CAN_TXQ], &len), -1);
}

static inline void comes(const struct can_message *m, bool own)
{
	w.bus.coming[w.bus.ncoming++] = (struct can_received){ .message = *m, .own = own };
}

static inline uint8_t *give_buffer(uint32_t len)
{
	uint8_t *buf = drv_alloc(&w.dmem, 128, 64);
	struct drv_buf in = { buf, len, true };

	assert_true(drv_add(&w.rings[CAN_RXQ], &in, 1, false) >= 0);
	return buf;
}

static inline void received(const uint8_t *buf, const struct can_message *m)
{
	uint8_t want[FRAME_MAX];
	size_t len = frame_to_virtio(m, want);
	uint32_t got;

	assert_true(drv_get(&w.rings[CAN_RXQ], &got) >= 0);
	assert_int_equal(got, len);
	assert_memory_equal(buf, want, len);
}

#endif
