// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is peculiar to packed rings (virtio 1.x, 2.8), and drivers that break their rules. What both
 * layouts have in common is in test-virtqueue.c.
 */
#include <endian.h>
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

#define MEMORY (4U << 20)
#define PACKED BIT_ULL(VIRTIO_F_RING_PACKED)
#define EVENT BIT_ULL(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define TABLE VRING_DESC_F_INDIRECT
#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED (1U << VRING_PACKED_DESC_F_USED)

struct world {
	struct drv_mem dmem;
	struct drv_ring ring;
	struct mem_table mem;
	struct inflight_area inflight;
	struct vq_setup setup;
	struct virtqueue vq;
	int err_fd;
	uint8_t *data;
	struct vring_packed_desc *desc;
};

static struct world w;

static void begin(unsigned int num, uint64_t features)
{
	struct vhost_user_memory_region region = { DRV_GPA, MEMORY, DRV_UVA, 0 };

	memset(&w, 0, sizeof(w));
	assert_int_equal(drv_mem_init(&w.dmem, MEMORY), 0);
	assert_int_equal(
		drv_ring_init_layout(&w.ring, &w.dmem, num, features & EVENT, true), 0);
	mem_init(&w.mem);
	assert_int_equal(mem_add(&w.mem, &region, w.dmem.fd), 0);
	w.err_fd = eventfd(0, EFD_NONBLOCK);
	w.data = drv_alloc(&w.dmem, 65536, 4096);
	assert_non_null(w.data);
	w.desc = w.ring.packed.desc;
	w.setup = (struct vq_setup){
		.num = num,
		.features = features | PACKED,
		.mem = &w.mem,
		.desc_uva = drv_uva(&w.dmem, w.ring.desc),
		.avail_uva = drv_uva(&w.dmem, w.ring.avail),
		.used_uva = drv_uva(&w.dmem, w.ring.used),
		.base = PACKED_BASE_FRESH,
		.call_fd = w.ring.call_fd,
		.err_fd = w.err_fd,
		.inflight = &w.inflight,
	};
	assert_int_equal(vq_start(&w.vq, &w.setup), 0);
}

static void end(void)
{
	vq_stop(&w.vq);
	mem_finish(&w.mem);
	drv_ring_finish(&w.ring);
	drv_mem_finish(&w.dmem);
	close(w.err_fd);
}

static bool called(void)
{
	uint64_t count;

	return read(w.ring.call_fd, &count, sizeof(count)) == sizeof(count);
}

/* A request of @n descriptors */
static int add(unsigned int n)
{
	struct drv_buf bufs[64];
	unsigned int i;

	for (i = 0; i < n; i++)
		bufs[i] = (struct drv_buf){ w.data + 16 * i, 16, true };
	return drv_add(&w.ring, bufs, n, false);
}

static void set_desc(struct vring_packed_desc *desc, uint64_t addr, uint32_t len, uint16_t flags)
{
	*desc = (struct vring_packed_desc){ htole64(addr), htole32(len), 0, htole16(flags) };
}

/* ---- the ring ---- */

/* What stands in the ring after an answer, and where the next one goes. */
static void test_answers(void **state)
{
	uint16_t first, second;

	(void)state;
	begin(8, 0);
	assert_int_equal(add(3), 0);
	assert_int_equal(add(2), 1);
	assert_int_equal(vq_pop(&w.vq, &first), 1);
	assert_int_equal(vq_pop(&w.vq, &second), 1);
	vq_push(&w.vq, second, 77);
	vq_flush(&w.vq);
	/* where the first request was, with the id of the second's last descriptor */
	assert_int_equal(w.desc[0].id, DRV_PACKED_ID + 1);
	assert_int_equal(w.desc[0].len, 77);
	assert_int_equal(w.desc[0].flags, AVAIL | USED | WRITE);
	assert_int_equal(vq_base(&w.vq), 0x80028005);
	vq_push(&w.vq, first, 0);
	vq_flush(&w.vq);
	assert_int_equal(w.desc[2].id, DRV_PACKED_ID);
	assert_int_equal(w.desc[2].flags, AVAIL | USED); /* nothing was written */
	assert_int_equal(vq_base(&w.vq), 0x80058005);
	assert_int_equal(drv_get(&w.ring, NULL), 1);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	/* over the end of the ring: the wrap counters change */
	assert_int_equal(add(4), 0);
	assert_int_equal(w.desc[7].flags, AVAIL | NEXT | WRITE);
	assert_int_equal(w.desc[0].flags, USED | WRITE);
	assert_int_equal(vq_pop(&w.vq, &first), 1);
	assert_int_equal(vq_base(&w.vq), 0x80050001);
	vq_push(&w.vq, first, 1);
	vq_flush(&w.vq);
	assert_int_equal(vq_base(&w.vq), 0x00010001);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	assert_int_equal(add(1), 0);
	assert_int_equal(vq_pop(&w.vq, &first), 1);
	vq_push(&w.vq, first, 0);
	vq_flush(&w.vq);
	assert_int_equal(w.desc[1].flags, 0);
	end();
}

/* Answers are written over requests that are being worked on: these must not be read again. */
static void test_buffers_outlive_the_ring(void **state)
{
	struct iovec iov[8];
	struct vq_buffers got = { .iov = iov, .max = 8 };
	uint16_t first, second;

	(void)state;
	begin(4, 0);
	add(3);
	add(1);
	assert_int_equal(vq_pop(&w.vq, &first), 1);
	assert_int_equal(vq_pop(&w.vq, &second), 1);
	vq_push(&w.vq, second, 0);
	vq_flush(&w.vq);
	memset(w.desc, 0xff, 4 * sizeof(*w.desc));
	assert_int_equal(vq_chain(&w.vq, first, &got), 0);
	assert_int_equal(got.in_num, 3);
	assert_int_equal(got.in_len, 48);
	end();
}

/* Sizes that a split ring cannot have; requests of all lengths; positions go round and round. */
static void test_sizes(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 3, 5, 7, 13, 100, 1000 };
	struct iovec iov[64];
	unsigned int s, round, i, n;

	(void)state;
	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned int num = sizes[s], most = MIN(num, 60U);
		static uint16_t held[1000];
		unsigned int of_head[1000];
		unsigned int left = 0;

		begin(num, 0);
		srandom(num);
		for (round = 0; round < 20000; round++) {
			struct vq_buffers got = { .iov = iov, .max = 64 };
			uint32_t len;
			int head;

			n = 1 + (unsigned int)random() % most;
			head = add(n);
			if (head >= 0)
				of_head[head] = n;
			while (random() % 4 && vq_pop(&w.vq, &held[left]) > 0)
				left++;
			for (i = (unsigned int)random() % 3; i && left; i--) {
				unsigned int which = (unsigned int)random() % left;

				assert_int_equal(vq_chain(&w.vq, held[which], &got), 0);
				vq_push(&w.vq, held[which], got.in_num);
				held[which] = held[--left];
			}
			vq_flush(&w.vq);
			while (random() % 3 && (head = drv_get(&w.ring, &len)) != -1) {
				assert_true(head >= 0);
				assert_int_equal(len, of_head[head]);
			}
		}
		assert_false(w.vq.broken);
		assert_true(w.vq.stats.requests > 1000);
		end();
	}
}

/* A queue stops anywhere and goes on there. */
static void test_stop_and_go(void **state)
{
	unsigned int round;
	uint16_t id, again;

	(void)state;
	begin(7, 0);
	for (round = 0; round < 1000; round++) {
		unsigned int n = 1 + round % 5;

		assert_true(add(n) >= 0);
		assert_int_equal(vq_pop(&w.vq, &id), 1);
		if (round % 2) { /* what is given back is the next again */
			vq_untake(&w.vq, id);
			assert_int_equal(w.vq.taken, 0);
			assert_true(vq_has_work(&w.vq));
			assert_int_equal(vq_pop(&w.vq, &again), 1);
			assert_int_equal(again, id);
		}
		if (round % 3 == 0)
			vq_untake(&w.vq, id);
		else
			vq_push(&w.vq, id, n);
		w.setup.base = vq_stop(&w.vq);
		assert_int_equal(w.setup.base, drv_base(&w.ring));
		assert_int_equal(vq_start(&w.vq, &w.setup), 0);
		if (round % 3 == 0) {
			assert_int_equal(vq_pop(&w.vq, &id), 1);
			vq_push(&w.vq, id, n);
			vq_flush(&w.vq);
		}
		assert_true(drv_get(&w.ring, NULL) >= 0);
		assert_int_equal(vq_pop(&w.vq, &id), 0);
	}
	end();
}

/* A request is given back after others were answered, which has mixed the free entries. */
static void test_untake_behind_answers(void **state)
{
	uint16_t a, b, again;

	(void)state;
	begin(8, 0);
	add(2);
	add(3);
	assert_int_equal(vq_pop(&w.vq, &a), 1);
	assert_int_equal(vq_pop(&w.vq, &b), 1);
	vq_push(&w.vq, a, 0);
	vq_flush(&w.vq);
	vq_untake(&w.vq, b);
	assert_int_equal(vq_pop(&w.vq, &again), 1);
	assert_int_equal(again, b);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	add(5);
	assert_int_equal(vq_pop(&w.vq, &a), 1);
	vq_push(&w.vq, a, 0);
	vq_push(&w.vq, again, 0);
	vq_flush(&w.vq);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	assert_int_equal(drv_get(&w.ring, NULL), 1);
	end();
}

/* A list over the end of the ring breaks the queue, and is given back: the wrap counter as well. */
static void test_given_back_over_the_end(void **state)
{
	struct iovec iov[8];
	struct vq_buffers got = { .iov = iov, .max = 8 };
	uint64_t address;
	uint16_t id;

	(void)state;
	begin(8, 0);
	add(6);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	vq_push(&w.vq, id, 0);
	vq_flush(&w.vq);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	assert_int_equal(add(4), 0);
	address = w.desc[1].addr;
	w.desc[1].addr = htole64(DRV_GPA - 1);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(vq_base(&w.vq), 0x80060002);
	assert_int_equal(vq_chain(&w.vq, id, &got), -EPROTO);
	assert_int_equal(w.vq.taken, 0);
	w.setup.base = vq_stop(&w.vq);
	assert_int_equal(w.setup.base, 0x80068006);
	w.desc[1].addr = address;
	assert_int_equal(vq_start(&w.vq, &w.setup), 0);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(vq_chain(&w.vq, id, &got), 0);
	assert_int_equal(got.in_num, 4);
	vq_push(&w.vq, id, 0);
	vq_flush(&w.vq);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	end();
}

/* ---- event suppression ---- */

/* Each distance of the event from where the ring is, each number of answers at once. */
static void test_event_offsets(void **state)
{
	unsigned int round, i, n, k;
	uint16_t ids[5];

	(void)state;
	begin(5, EVENT);
	add(1);
	assert_int_equal(vq_pop(&w.vq, &ids[0]), 1);
	vq_push(&w.vq, ids[0], 0);
	vq_flush(&w.vq); /* the first call is always raised */
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	called();
	for (round = 0; round < 2000; round++) {
		n = round / 5 % 10; /* on to two laps */
		k = 1 + round % 5;
		drv_event(&w.ring, n);
		for (i = 0; i < k; i++) {
			assert_true(add(1) >= 0);
			assert_int_equal(vq_pop(&w.vq, &ids[i]), 1);
		}
		for (i = 0; i < k; i++)
			vq_push(&w.vq, ids[i], 0);
		vq_flush(&w.vq);
		if (called() != (n < k))
			fail_msg("%u answers, the event %u behind: %s call", k, n,
				 n < k ? "no" : "a");
		for (i = 0; i < k; i++)
			assert_true(drv_get(&w.ring, NULL) >= 0);
	}
	/* an offset that is none: one call too many does no harm */
	w.ring.packed.driver->off_wrap = 0x7fff;
	add(1);
	assert_int_equal(vq_pop(&w.vq, &ids[0]), 1);
	vq_push(&w.vq, ids[0], 0);
	vq_flush(&w.vq);
	assert_true(called());
	end();
}

/* Flags without EVENT_IDX, among them the one that would need it. */
static void test_event_flags(void **state)
{
	static const struct {
		uint16_t flags;
		bool called;
	} cases[] = { { VRING_PACKED_EVENT_FLAG_ENABLE, true },
		      { VRING_PACKED_EVENT_FLAG_DISABLE, false },
		      { VRING_PACKED_EVENT_FLAG_DESC, true },
		      { 3, true },
		      { 0xfff0 | VRING_PACKED_EVENT_FLAG_DISABLE, false } };
	unsigned int i;
	uint16_t id;

	(void)state;
	begin(8, 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		w.ring.packed.driver->flags = cases[i].flags;
		w.ring.packed.driver->off_wrap = 3;
		add(1);
		assert_int_equal(vq_pop(&w.vq, &id), 1);
		vq_push(&w.vq, id, 0);
		vq_flush(&w.vq);
		assert_int_equal(called(), cases[i].called);
		assert_int_equal(drv_get(&w.ring, NULL), 0);
	}
	vq_suppress(&w.vq);
	assert_int_equal(w.ring.packed.device->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	assert_false(vq_arm(&w.vq));
	assert_int_equal(w.ring.packed.device->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	end();
	begin(8, EVENT);
	add(3);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_false(vq_arm(&w.vq));
	assert_int_equal(w.ring.packed.device->flags, VRING_PACKED_EVENT_FLAG_DESC);
	assert_int_equal(w.ring.packed.device->off_wrap, 0x8003);
	end();
}

/* ---- drivers that break the rules ---- */

static void expect_broken(const char *what)
{
	struct pollfd pfd = { .fd = w.err_fd, .events = POLLIN };
	struct iovec iov[6];
	struct vq_buffers got = { .iov = iov, .max = 6 };
	uint16_t id;
	int ret;

	ret = vq_pop(&w.vq, &id);
	if (ret == 1)
		ret = vq_chain(&w.vq, id, &got);
	if (ret != -EPROTO)
		fail_msg("%s: expected -EPROTO, got %d", what, ret);
	assert_true(w.vq.broken);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(vq_pop(&w.vq, &id), -EPROTO);
	assert_false(vq_has_work(&w.vq));
	assert_false(vq_arm(&w.vq));
	end();
}

static void test_hostile_ring(void **state)
{
	unsigned int i;
	uint16_t id;

	(void)state;
	/* flags that say nothing to this lap */
	begin(8, 0);
	set_desc(&w.desc[0], DRV_GPA, 8, USED);
	assert_int_equal(vq_pop(&w.vq, &id), 0);
	set_desc(&w.desc[0], DRV_GPA, 8, USED | AVAIL);
	assert_int_equal(vq_pop(&w.vq, &id), 0);
	set_desc(&w.desc[0], DRV_GPA, 8, 0);
	assert_int_equal(vq_pop(&w.vq, &id), 0);
	assert_false(w.vq.broken);
	end();

	begin(8, 0); /* it never ends */
	for (i = 0; i < 8; i++)
		set_desc(&w.desc[i], DRV_GPA, 1, AVAIL | NEXT);
	expect_broken("a list round the ring");
	begin(8, 0);
	for (i = 0; i < 8; i++)
		set_desc(&w.desc[i], DRV_GPA, 0, AVAIL | NEXT);
	expect_broken("an empty list round the ring");

	/* made available again before it was used, and with the answer not shown */
	begin(4, 0);
	for (i = 0; i < 4; i++)
		set_desc(&w.desc[i], DRV_GPA, 1, AVAIL);
	for (i = 0; i < 4; i++)
		assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(vq_pop(&w.vq, &id), 0);
	vq_push(&w.vq, id, 0);
	set_desc(&w.desc[0], DRV_GPA, 1, USED);
	expect_broken("more than the ring has");
	/* ... in part: there is room for the first descriptor only */
	begin(4, 0);
	for (i = 0; i < 3; i++)
		set_desc(&w.desc[i], DRV_GPA, 1, AVAIL);
	for (i = 0; i < 3; i++)
		assert_int_equal(vq_pop(&w.vq, &id), 1);
	set_desc(&w.desc[3], DRV_GPA, 1, AVAIL | NEXT);
	set_desc(&w.desc[0], DRV_GPA, 1, USED);
	expect_broken("a list over what is in use");
}

static void test_hostile_chains(void **state)
{
	const uint64_t end_of_memory = DRV_GPA + MEMORY;
	uint64_t table;
	struct vring_packed_desc *d;
	unsigned int i;

	(void)state;
#define BEGIN(features)                        \
	do {                                   \
		begin(8, features);            \
		table = drv_gpa(&w.dmem, w.data); \
		d = (void *)w.data;            \
	} while (0)
	BEGIN(0);
	set_desc(&w.desc[0], DRV_GPA - 1, 8, AVAIL);
	expect_broken("below the memory");
	BEGIN(0);
	set_desc(&w.desc[0], end_of_memory - 4, 8, AVAIL);
	expect_broken("over the end");
	BEGIN(0);
	set_desc(&w.desc[0], UINT64_MAX - 3, 8, AVAIL);
	expect_broken("wraps");
	BEGIN(0);
	set_desc(&w.desc[0], DRV_GPA, UINT32_MAX, AVAIL);
	expect_broken("longer than the memory");
	BEGIN(0);
	set_desc(&w.desc[0], DRV_GPA, 8, AVAIL | NEXT | WRITE);
	set_desc(&w.desc[1], DRV_GPA, 8, AVAIL);
	expect_broken("to read behind to write");
	BEGIN(0);
	for (i = 0; i < 7; i++)
		set_desc(&w.desc[i], DRV_GPA, 8, AVAIL | (i < 6 ? NEXT : 0));
	expect_broken("more buffers than room");

	BEGIN(0);
	set_desc(&w.desc[0], table, 16, AVAIL | TABLE);
	expect_broken("indirect, not negotiated");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 16, AVAIL | TABLE | NEXT);
	set_desc(&w.desc[1], DRV_GPA, 8, AVAIL);
	expect_broken("indirect that continues");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], DRV_GPA, 8, AVAIL | NEXT);
	set_desc(&w.desc[1], table, 16, AVAIL | TABLE);
	expect_broken("a list that ends in a table");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 0, AVAIL | TABLE);
	expect_broken("indirect, empty");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 24, AVAIL | TABLE);
	expect_broken("indirect, one and a half");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 0xfffffff0, AVAIL | TABLE);
	expect_broken("indirect, too long");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], end_of_memory - 8, 32, AVAIL | TABLE);
	expect_broken("indirect over the end");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], UINT64_MAX - 15, 32, AVAIL | TABLE);
	expect_broken("indirect that wraps");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 16, AVAIL | TABLE);
	set_desc(&d[0], table, 16, TABLE);
	expect_broken("indirect in indirect");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 32, AVAIL | TABLE);
	set_desc(&d[0], DRV_GPA, 8, WRITE);
	set_desc(&d[1], DRV_GPA, 8, 0);
	expect_broken("to read behind to write, in a table");
	BEGIN(INDIRECT);
	set_desc(&w.desc[0], table, 32, AVAIL | TABLE);
	set_desc(&d[1], end_of_memory, 1, 0);
	expect_broken("outside of the memory, in a table");
#undef BEGIN
}

/* All of a table is the request: it has no links. It may begin at an odd address. */
static void test_tables(void **state)
{
	struct vring_packed_desc d[40];
	struct iovec iov[64];
	struct vq_buffers got = { .iov = iov, .max = 64 };
	unsigned int i;
	uint16_t id;

	(void)state;
	begin(8, INDIRECT);
	for (i = 0; i < 40; i++) /* longer than the ring */
		set_desc(&d[i], DRV_GPA + 100 * i, i % 4 ? 10 : 0, i & 1 ? NEXT | AVAIL : USED);
	memcpy(w.data + 3, d, sizeof(d));
	set_desc(&w.desc[0], drv_gpa(&w.dmem, w.data + 3), sizeof(d), AVAIL | TABLE);
	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(vq_chain(&w.vq, id, &got), 0);
	assert_int_equal(got.out_num, 30); /* empty ones are passed over */
	assert_int_equal(got.out_len, 300);
	end();
}

/* ---- start ---- */

static void test_setups(void **state)
{
	struct vq_setup bad;
	struct virtqueue vq;

	(void)state;
	begin(12, 0); /* a size that is good here */
#define BAD(field, value)                                       \
	do {                                                    \
		bad = w.setup;                                  \
		bad.field = value;                              \
		assert_int_equal(vq_start(&vq, &bad), -EINVAL); \
	} while (0)
	BAD(num, 0);
	BAD(num, 32769);
	BAD(num, 65536);
	BAD(desc_uva, DRV_UVA + 8);
	BAD(avail_uva, DRV_UVA + 2);
	BAD(used_uva, DRV_UVA + 2);
	BAD(desc_uva, 0);
	BAD(desc_uva, DRV_UVA + MEMORY - 11 * 16);
	BAD(avail_uva, DRV_UVA - 4);
	BAD(used_uva, DRV_UVA + MEMORY);
	BAD(desc_uva, UINT64_MAX & ~15ULL);
	/* positions outside of the ring, and more than a ring apart */
	BAD(base, 0x8000800c);
	BAD(base, 0x800c8000);
	BAD(base, 0x80058004);
	BAD(base, 0x80040005);
	BAD(base, 0x00040003);
	BAD(base, 0x00048005);
#undef BAD
	w.setup.base = 0x80040004; /* just a ring */
	assert_int_equal(vq_start(&vq, &w.setup), 0);
	assert_int_equal(vq_stop(&vq), 0x80040004);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_buffers_outlive_the_ring),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_stop_and_go),
		cmocka_unit_test(test_untake_behind_answers),
		cmocka_unit_test(test_given_back_over_the_end),
		cmocka_unit_test(test_event_offsets),
		cmocka_unit_test(test_event_flags),
		cmocka_unit_test(test_hostile_ring),
		cmocka_unit_test(test_hostile_chains),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_setups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
