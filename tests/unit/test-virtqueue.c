// SPDX-License-Identifier: BSD-3-Clause
/* The device's side of the ring: requests, notifications, drivers that break the rules. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "backends/common/virtqueue.h"
#include "check.h"
#include "driver.h"

#define NUM 16
#define EVENT BIT_ULL(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)
#define PACKED BIT_ULL(VIRTIO_F_RING_PACKED)

struct world {
	struct drv_mem dmem;
	struct drv_ring ring;
	struct mem_table mem;
	struct inflight_area inflight;
	struct virtqueue vq;
	int err_fd;
	uint8_t *data;
};

static struct world w;

/* Tests of what both layouts have are run with each of them. */
static const uint64_t layouts[] = { 0, PACKED };

/* Return: whether there is one more. */
static bool each_layout(unsigned int *i, uint64_t *layout)
{
	*layout = *i < ARRAY_SIZE(layouts) ? layouts[*i] : 0;
	return (*i)++ < ARRAY_SIZE(layouts);
}

static void begin(uint64_t features)
{
	struct vhost_user_memory_region region;
	struct vq_setup setup;

	memset(&w, 0, sizeof(w));
	assert_int_equal(drv_mem_init(&w.dmem, 1 << 20), 0);
	assert_int_equal(drv_ring_init_layout(&w.ring, &w.dmem, NUM, features & EVENT,
					      features & PACKED),
			 0);
	mem_init(&w.mem);
	region = (struct vhost_user_memory_region){ DRV_GPA, 1 << 20, DRV_UVA, 0 };
	assert_int_equal(mem_add(&w.mem, &region, w.dmem.fd), 0);
	w.err_fd = eventfd(0, EFD_NONBLOCK);
	w.data = drv_alloc(&w.dmem, 65536, 4096);
	setup = (struct vq_setup){
		.num = NUM,
		.features = features,
		.mem = &w.mem,
		.desc_uva = drv_uva(&w.dmem, w.ring.desc),
		.avail_uva = drv_uva(&w.dmem, w.ring.avail),
		.used_uva = drv_uva(&w.dmem, w.ring.used),
		.base = drv_base(&w.ring),
		.call_fd = w.ring.call_fd,
		.err_fd = w.err_fd,
		.inflight = &w.inflight,
	};
	assert_int_equal(vq_start(&w.vq, &setup), 0);
}

static void end(void)
{
	vq_stop(&w.vq);
	mem_finish(&w.mem);
	drv_ring_finish(&w.ring);
	drv_mem_finish(&w.dmem);
	close(w.err_fd);
}

static bool ready(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static bool called(void)
{
	uint64_t count;

	return read(w.ring.call_fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- the way of requests ---- */

static void round_trips(uint64_t features)
{
	struct drv_buf bufs[] = { { NULL, 10, false }, { NULL, 20, false }, { NULL, 300, true } };
	struct iovec iov[8];
	struct vq_buffers got = { .iov = iov, .max = 8 };
	unsigned int round, i;
	uint32_t len;
	uint16_t id;

	begin(features);
	for (round = 0; round < 200000; round++) { /* the indices wrap three times */
		int head;

		for (i = 0; i < 3; i++)
			bufs[i].p = w.data + 4096 * i;
		head = drv_add(&w.ring, bufs, 3, round & 1);
		assert_true(head >= 0);
		assert_int_equal(vq_pop(&w.vq, &id), 1);
		assert_true(id < NUM);
		assert_int_equal(vq_chain(&w.vq, id, &got), 0);
		assert_int_equal(got.out_num, 2);
		assert_int_equal(got.in_num, 1);
		assert_int_equal(got.out_len, 30);
		assert_int_equal(got.in_len, 300);
		assert_int_equal(iov[2].iov_len, 300);
		vq_push(&w.vq, id, round);
		vq_flush(&w.vq);
		assert_int_equal(vq_pop(&w.vq, &id), 0);
		assert_int_equal(drv_get(&w.ring, &len), head);
		assert_int_equal(len, round);
	}
	((uint8_t *)iov[2].iov_base)[299] = 0x42; /* it is the driver's memory */
	assert_int_equal(w.data[8192 + 299], 0x42);
	assert_int_equal(w.vq.taken, 0);
	end();
}

static void test_round(void **state)
{
	unsigned int i = 0;
	uint64_t layout;

	(void)state;
	while (each_layout(&i, &layout))
		round_trips(EVENT | INDIRECT | layout);
}

static void out_of_order(uint64_t features)
{
	struct drv_buf buf = { .len = 512, .write = true };
	uint16_t ids[NUM];
	int heads[NUM], i;

	begin(features);
	buf.p = w.data;
	for (i = 0; i < NUM; i++)
		heads[i] = drv_add(&w.ring, &buf, 1, false);
	assert_int_equal(drv_add(&w.ring, &buf, 1, false), -1);
	for (i = 0; i < NUM; i++)
		assert_int_equal(vq_pop(&w.vq, &ids[i]), 1);
	assert_int_equal(w.vq.taken, NUM);
	for (i = NUM - 1; i >= 0; i--)
		vq_push(&w.vq, ids[i], 0);
	assert_int_equal(drv_get(&w.ring, NULL), -1); /* not before the flush */
	vq_flush(&w.vq);
	for (i = NUM - 1; i >= 0; i--)
		assert_int_equal(drv_get(&w.ring, NULL), heads[i]);
	assert_int_equal(w.vq.stats.calls, 1);
	assert_int_equal(w.vq.used_idx, NUM);
	end();
}

static void test_out_of_order(void **state)
{
	unsigned int i = 0;
	uint64_t layout;

	(void)state;
	while (each_layout(&i, &layout))
		out_of_order(layout);
}

/*
 * Requests of all lengths, many at a time, answered in any order and in batches: each is answered
 * once, with its buffers.
 */
static void mixture(uint64_t features)
{
	uint32_t serial = 1, answered = 0, of_head[NUM] = { 0 };
	struct iovec iov[NUM];
	uint16_t held[NUM], id;
	unsigned int n = 0, round;
	enum { FREE, HELD, ANSWERED } ids[NUM] = { FREE };

	begin(features);
	srandom(7);
	for (round = 0; round < 100000; round++) {
		struct vq_buffers got = { .iov = iov, .max = NUM };
		struct drv_buf bufs[5];
		unsigned int i, count = 1 + (unsigned int)random() % 5;
		uint32_t len;
		int head;

		for (i = 0; i < count; i++)
			bufs[i] = (struct drv_buf){ w.data + 64 * i, serial % 1000 + 1 + i, false };
		head = drv_add(&w.ring, bufs, count, features & INDIRECT && random() % 2);
		if (head >= 0)
			of_head[head] = serial++;
		if (random() % 3 && vq_pop(&w.vq, &id) > 0) {
			assert_int_equal(ids[id], FREE); /* also of answers not shown */
			ids[id] = HELD;
			held[n++] = id;
		}
		if (n && random() % 2) {
			unsigned int which = (unsigned int)random() % n;

			id = held[which];
			held[which] = held[--n];
			assert_int_equal(vq_chain(&w.vq, id, &got), 0);
			for (i = 0; i < got.out_num; i++)
				assert_int_equal(iov[i].iov_len, iov[0].iov_len + i);
			vq_push(&w.vq, id, (uint32_t)iov[0].iov_len);
			ids[id] = ANSWERED;
		}
		if (random() % 4 == 0) {
			vq_flush(&w.vq);
			for (i = 0; i < NUM; i++)
				ids[i] = ids[i] == HELD ? HELD : FREE;
		}
		while ((head = drv_get(&w.ring, &len)) != -1) {
			assert_true(head >= 0);
			assert_int_equal(len, of_head[head] % 1000 + 1);
			answered++;
		}
	}
	vq_flush(&w.vq);
	while (drv_get(&w.ring, NULL) >= 0)
		answered++;
	assert_false(w.vq.broken);
	while (vq_pop(&w.vq, &id) > 0)
		held[n++] = id;
	assert_int_equal(answered + n, serial - 1);
	end();
}

static void test_mixture(void **state)
{
	unsigned int i = 0;
	uint64_t layout;

	(void)state;
	while (each_layout(&i, &layout)) {
		mixture(EVENT | INDIRECT | layout);
		mixture(layout);
	}
}

/* ---- notifications ---- */

static void answer_one(void)
{
	struct drv_buf buf = { .len = 8, .write = true };
	uint16_t id;

	buf.p = w.data;
	assert_true(drv_add(&w.ring, &buf, 1, false) >= 0);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	vq_push(&w.vq, id, 0);
	vq_flush(&w.vq);
	assert_true(drv_get(&w.ring, NULL) >= 0);
}

static void test_calls_by_flag(void **state)
{
	(void)state;
	begin(0);
	answer_one();
	assert_true(called());
	w.ring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	answer_one();
	assert_false(called());
	w.ring.avail->flags = 0;
	answer_one();
	assert_true(called());
	end();
}

static void calls_by_event(uint64_t features)
{
	int i;

	begin(EVENT | features);
	drv_event(&w.ring, 3);
	answer_one();
	assert_true(called()); /* the first one always */
	for (i = 0; i < 70000; i++) {
		drv_event(&w.ring, 0); /* the next one */
		answer_one();
		assert_true(called());
		drv_event(&w.ring, 2); /* not this one, nor the next */
		answer_one();
		assert_false(called());
		answer_one();
		assert_false(called());
		answer_one();
		assert_true(called());
	}
	end();
}

static void test_calls_by_event(void **state)
{
	unsigned int i = 0;
	uint64_t layout;

	(void)state;
	while (each_layout(&i, &layout))
		calls_by_event(layout);
}

static void test_kicks(void **state)
{
	struct drv_buf buf = { .len = 8, .write = true };
	uint64_t features[] = { 0, EVENT, PACKED, EVENT | PACKED };
	unsigned int i;
	uint16_t id;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		begin(features[i]);
		buf.p = w.data;
		assert_false(vq_arm(&w.vq));
		drv_add(&w.ring, &buf, 1, false);
		assert_true(drv_kick(&w.ring));
		vq_suppress(&w.vq);
		assert_int_equal(vq_pop(&w.vq, &id), 1);
		drv_add(&w.ring, &buf, 1, false);
		assert_false(drv_kick(&w.ring));
		assert_true(vq_arm(&w.vq)); /* what came without a kick is told of here */
		assert_true(vq_has_work(&w.vq));
		assert_int_equal(vq_pop(&w.vq, &id), 1);
		assert_false(vq_arm(&w.vq));
		drv_add(&w.ring, &buf, 1, false);
		assert_true(drv_kick(&w.ring));
		end();
	}
}

/* ---- drivers that break the rules ---- */

/* Puts descriptor 0 on the ring and expects the device to see through it. */
static void expect_broken(const char *what)
{
	struct iovec iov[8];
	struct vq_buffers got = { .iov = iov, .max = 8 };
	uint16_t id;
	int ret;

	w.ring.avail->ring[0] = 0;
	w.ring.avail->idx = 1;
	ret = vq_pop(&w.vq, &id);
	if (ret == 1)
		ret = vq_chain(&w.vq, id, &got);
	if (ret != -EPROTO)
		fail_msg("%s: expected -EPROTO, got %d", what, ret);
	assert_true(w.vq.broken);
	assert_true(ready(w.err_fd));
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	assert_false(vq_has_work(&w.vq));
	assert_false(vq_arm(&w.vq));
	end();
}

static void set_desc(struct vring_desc *desc, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	*desc = (struct vring_desc){ addr, len, flags, next };
}

static void test_hostile_ring(void **state)
{
	struct drv_buf buf = { .len = 8, .write = true };
	uint16_t id;

	(void)state;
	begin(0);
	w.ring.avail->idx = NUM + 1;
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	assert_true(w.vq.broken);
	end();

	begin(0);
	w.ring.avail->idx = 0x8000;
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	end();

	begin(0);
	w.ring.avail->ring[0] = NUM;
	w.ring.avail->idx = 1;
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	end();

	/* the same head again: while it is taken, and between answer and flush */
	begin(0);
	buf.p = w.data;
	drv_add(&w.ring, &buf, 1, false);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	w.ring.avail->ring[1] = id;
	w.ring.avail->idx = 2;
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	end();
	begin(0);
	buf.p = w.data;
	drv_add(&w.ring, &buf, 1, false);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	vq_push(&w.vq, id, 0);
	w.ring.avail->ring[1] = id;
	w.ring.avail->idx = 2;
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	end();
}

static void test_hostile_chains(void **state)
{
	struct vring_desc *d;
	int i;

	(void)state;
	begin(0); /* a loop */
	set_desc(&w.ring.desc[0], DRV_GPA, 1, VRING_DESC_F_NEXT, 1);
	set_desc(&w.ring.desc[1], DRV_GPA, 1, VRING_DESC_F_NEXT, 0);
	expect_broken("loop");
	begin(0); /* ... of descriptors that have no length */
	set_desc(&w.ring.desc[0], DRV_GPA, 0, VRING_DESC_F_NEXT, 0);
	expect_broken("loop of empty descriptors");
	begin(0);
	set_desc(&w.ring.desc[0], DRV_GPA, 1, VRING_DESC_F_NEXT, NUM);
	expect_broken("next out of range");
	begin(0);
	set_desc(&w.ring.desc[0], DRV_GPA - 1, 8, 0, 0);
	expect_broken("below the memory");
	begin(0);
	set_desc(&w.ring.desc[0], DRV_GPA + (1 << 20) - 4, 8, 0, 0);
	expect_broken("over the end");
	begin(0);
	set_desc(&w.ring.desc[0], UINT64_MAX - 3, 8, 0, 0);
	expect_broken("wraps");
	begin(0);
	set_desc(&w.ring.desc[0], DRV_GPA, UINT32_MAX, 0, 0);
	expect_broken("longer than the memory");
	begin(0);
	set_desc(&w.ring.desc[0], DRV_GPA, 8, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	set_desc(&w.ring.desc[1], DRV_GPA, 8, 0, 0);
	expect_broken("to read behind to write");
	begin(0);
	for (i = 0; i < 9; i++)
		set_desc(&w.ring.desc[i], DRV_GPA, 8, i < 8 ? VRING_DESC_F_NEXT : 0,
			 (uint16_t)(i + 1));
	expect_broken("more buffers than room");

	begin(0);
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, w.data), 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect, not negotiated");
	begin(INDIRECT);
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, w.data), 16,
		 VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	expect_broken("indirect that continues");
	begin(INDIRECT);
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, w.data), 0, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect, empty");
	begin(INDIRECT);
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, w.data), 24, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect, one and a half");
	begin(INDIRECT);
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, w.data), 0xfffffff0, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect, too long");
	begin(INDIRECT);
	set_desc(&w.ring.desc[0], DRV_GPA + (1 << 20) - 8, 32, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect over the end");
	begin(INDIRECT);
	set_desc(&w.ring.desc[0], UINT64_MAX - 15, 32, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect that wraps");
	begin(INDIRECT);
	d = (void *)w.data;
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, d), 16, VRING_DESC_F_INDIRECT, 0);
	set_desc(d, drv_gpa(&w.dmem, d), 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken("indirect in indirect");
	begin(INDIRECT);
	d = (void *)w.data;
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, d), 32, VRING_DESC_F_INDIRECT, 0);
	set_desc(&d[0], DRV_GPA, 1, VRING_DESC_F_NEXT, 1);
	set_desc(&d[1], DRV_GPA, 1, VRING_DESC_F_NEXT, 1);
	expect_broken("loop in an indirect table");
	begin(INDIRECT);
	d = (void *)w.data;
	set_desc(&w.ring.desc[0], drv_gpa(&w.dmem, d), 32, VRING_DESC_F_INDIRECT, 0);
	set_desc(&d[0], DRV_GPA, 1, VRING_DESC_F_NEXT, 2);
	expect_broken("next out of an indirect table");
}

/* A table that begins at an odd address, and chains through the ring that end in a table. */
static void test_odd_tables(void **state)
{
	struct iovec iov[64];
	struct vq_buffers got = { .iov = iov, .max = 64 };
	struct vring_desc d[40];
	uint16_t id;
	unsigned int i;

	(void)state;
	begin(INDIRECT);
	for (i = 0; i < 40; i++) /* longer than the ring is allowed */
		set_desc(&d[i], DRV_GPA + 100 * i, i % 4 ? 10 : 0, i < 39 ? VRING_DESC_F_NEXT : 0,
			 (uint16_t)(i + 1));
	memcpy(w.data + 3, d, sizeof(d));
	set_desc(&w.ring.desc[0], DRV_GPA, 5, VRING_DESC_F_NEXT, 7);
	set_desc(&w.ring.desc[7], drv_gpa(&w.dmem, w.data + 3), sizeof(d), VRING_DESC_F_INDIRECT,
		 0);
	w.ring.avail->idx = 1;
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(vq_chain(&w.vq, id, &got), 0);
	assert_int_equal(got.out_num, 31); /* empty ones are passed over */
	assert_int_equal(got.out_len, 305);
	end();
}

/* Buffer and table lie across two regions that are side by side for the driver only. */
static void test_split_regions(void **state)
{
	struct vhost_user_memory_region a = { DRV_GPA, 4096, DRV_UVA, 8192 };
	struct vhost_user_memory_region b = { DRV_GPA + 4096, 4096, DRV_UVA + 4096, 0 };
	struct vq_setup setup;
	struct iovec iov[8];
	struct vq_buffers got = { .iov = iov, .max = 8 };
	struct vring_desc d[2];
	uint16_t id;

	(void)state;
	memset(&w, 0, sizeof(w));
	assert_int_equal(drv_mem_init(&w.dmem, 65536), 0);
	mem_init(&w.mem);
	assert_int_equal(mem_add(&w.mem, &a, w.dmem.fd), 0);
	assert_int_equal(mem_add(&w.mem, &b, w.dmem.fd), 0);
	setup = (struct vq_setup){
		.num = NUM,
		.features = INDIRECT,
		.mem = &w.mem,
		.desc_uva = DRV_UVA,
		.avail_uva = DRV_UVA + 1024,
		.used_uva = DRV_UVA + 2048,
		.call_fd = -1,
		.err_fd = -1,
		.inflight = &w.inflight,
	};
	assert_int_equal(vq_start(&w.vq, &setup), 0);
	set_desc(&d[0], DRV_GPA + 4000, 200, VRING_DESC_F_NEXT, 1);
	set_desc(&d[1], DRV_GPA + 5000, 8, 0, 0);
	/* the first in region a (at 8192 of the file), the second in b (at 0) */
	memcpy(w.dmem.base + 8192 + 4096 - 16, &d[0], 16);
	memcpy(w.dmem.base, &d[1], 16);
	set_desc((void *)(w.dmem.base + 8192), DRV_GPA + 4096 - 16, 32, VRING_DESC_F_INDIRECT, 0);
	((struct vring_avail *)(void *)(w.dmem.base + 8192 + 1024))->idx = 1;
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(vq_chain(&w.vq, id, &got), 0);
	assert_int_equal(got.out_num, 3);
	assert_int_equal(got.out_len, 208);
	assert_int_equal(iov[0].iov_len, 96);
	assert_int_equal(iov[1].iov_len, 104);
	/* a ring across the border is refused */
	vq_stop(&w.vq);
	setup.avail_uva = DRV_UVA + 4096 - 8;
	assert_int_equal(vq_start(&w.vq, &setup), -EINVAL);
	mem_finish(&w.mem);
	drv_mem_finish(&w.dmem);
}

static void test_bad_setups(void **state)
{
	struct vq_setup good, bad;
	struct virtqueue vq;

	(void)state;
	begin(0);
	good = (struct vq_setup){
		.num = NUM,
		.mem = &w.mem,
		.desc_uva = DRV_UVA,
		.avail_uva = DRV_UVA + 1024,
		.used_uva = DRV_UVA + 2048,
		.call_fd = -1,
		.err_fd = -1,
		.inflight = &w.inflight,
	};
	assert_int_equal(vq_start(&vq, &good), 0);
	vq_stop(&vq);
#define BAD(field, value)                                       \
	do {                                                    \
		bad = good;                                     \
		bad.field = value;                              \
		assert_int_equal(vq_start(&vq, &bad), -EINVAL); \
	} while (0)
	BAD(num, 0);
	BAD(num, 15);
	BAD(base, PACKED_BASE_FRESH);
	BAD(num, 65536);
	BAD(desc_uva, DRV_UVA + 8);
	BAD(avail_uva, DRV_UVA + 1);
	BAD(used_uva, DRV_UVA + 2);
	BAD(desc_uva, 0);
	BAD(avail_uva, DRV_UVA - 2);
	BAD(used_uva, DRV_UVA + (1 << 20) - 128);
	BAD(desc_uva, UINT64_MAX & ~15ULL);
#undef BAD
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_mixture),
		cmocka_unit_test(test_calls_by_flag),
		cmocka_unit_test(test_calls_by_event),
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_hostile_ring),
		cmocka_unit_test(test_hostile_chains),
		cmocka_unit_test(test_odd_tables),
		cmocka_unit_test(test_split_regions),
		cmocka_unit_test(test_bad_setups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
