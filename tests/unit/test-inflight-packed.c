// SPDX-License-Identifier: BSD-3-Clause
/*
 * The in-flight record of a packed virtqueue: its layout, and records that are not what they should
 * be. Deaths are in test-inflight.c and test-inflight-steps.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "backends/common/virtqueue.h"
#include "check.h"
#include "driver.h"

#define NUM 7
#define MEMORY 65536
#define FEATURES (BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC))

static struct drv_mem dmem;
static struct drv_ring ring;
static struct mem_table mem;
static struct inflight_area area;
static int area_fd;
static uint8_t *data;

static int setup(void **state)
{
	struct vhost_user_memory_region region = { DRV_GPA, MEMORY, DRV_UVA, 0 };
	struct vhost_user_inflight desc;

	(void)state;
	assert_int_equal(drv_mem_init(&dmem, MEMORY), 0);
	assert_int_equal(drv_ring_init_layout(&ring, &dmem, NUM, false, true), 0);
	data = drv_alloc(&dmem, 4096, 64);
	assert_non_null(data);
	mem_init(&mem);
	assert_int_equal(mem_add(&mem, &region, dmem.fd), 0);
	inflight_area_init(&area);
	area_fd = inflight_area_create(2, NUM, &desc);
	assert_true(area_fd >= 0);
	assert_int_equal(inflight_area_attach(&area, &desc, area_fd), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	inflight_area_finish(&area);
	close(area_fd);
	mem_finish(&mem);
	drv_ring_finish(&ring);
	drv_mem_finish(&dmem);
	return 0;
}

static int start_at(struct virtqueue *vq, uint32_t base)
{
	struct vq_setup s = {
		.index = 1, /* the second one, so that where it begins counts */
		.num = NUM,
		.features = FEATURES,
		.mem = &mem,
		.desc_uva = drv_uva(&dmem, ring.desc),
		.avail_uva = drv_uva(&dmem, ring.avail),
		.used_uva = drv_uva(&dmem, ring.used),
		.base = base,
		.call_fd = -1,
		.err_fd = -1,
		.inflight = &area,
	};

	return vq_start(vq, &s);
}

static int start(struct virtqueue *vq)
{
	return start_at(vq, PACKED_BASE_FRESH);
}

static struct packed_record *record(void)
{
	return (void *)(area.base + packed_record_size(NUM));
}

/* A request of @n descriptors. Its length tells which one it is. */
static void add(uint32_t serial, unsigned int n)
{
	struct drv_buf bufs[NUM];
	unsigned int i;

	for (i = 0; i < n; i++)
		bufs[i] = (struct drv_buf){ data, i ? 8 : serial, false };
	assert_true(drv_add(&ring, bufs, n, false) >= 0);
}

static uint32_t serial_of(struct virtqueue *vq, uint16_t id, unsigned int *n)
{
	struct iovec iov[NUM];
	struct vq_buffers bufs = { .iov = iov, .max = NUM };

	assert_int_equal(vq_chain(vq, id, &bufs), 0);
	*n = bufs.out_num;
	return (uint32_t)iov[0].iov_len;
}

/* Gone between two steps */
static void die(struct virtqueue *vq)
{
	assert_int_equal(vq->npushed, 0);
	vq_stop(vq);
}

/* ---- step by step ---- */

static void expect_next(struct virtqueue *vq, uint32_t serial, unsigned int n, uint16_t *id)
{
	unsigned int got;

	assert_int_equal(vq_pop(vq, id), 1);
	assert_int_equal(serial_of(vq, *id, &got), serial);
	assert_int_equal(got, n);
}

/* The layout is the document's: what another back-end would find. */
static void test_layout(void **state)
{
	const struct packed_record *r = record();
	struct virtqueue vq;
	uint16_t a, b;

	(void)state;
	assert_int_equal(start(&vq), 0);
	assert_int_equal(r->version, 1);
	assert_int_equal(r->desc_num, NUM);
	assert_int_equal(r->free_head, 0);
	assert_int_equal(r->used_wrap_counter, 1);
	assert_int_equal(r->old_used_wrap_counter, 1);
	add(11, 3);
	add(12, 2);
	expect_next(&vq, 11, 3, &a);
	expect_next(&vq, 12, 2, &b);
	assert_int_equal(r->desc[0].inflight, 1);
	assert_int_equal(r->desc[0].num, 3);
	assert_int_equal(r->desc[0].last, 2);
	assert_int_equal(r->desc[0].counter, 0);
	assert_int_equal(r->desc[0].len, 11);
	assert_int_equal(r->desc[0].addr, drv_gpa(&dmem, data));
	assert_int_equal(r->desc[2].id, DRV_PACKED_ID);
	assert_int_equal(r->desc[1].flags & VRING_DESC_F_NEXT, VRING_DESC_F_NEXT);
	assert_int_equal(r->desc[3].inflight, 1);
	assert_int_equal(r->desc[3].counter, 1);
	assert_int_equal(r->free_head, 5);
	assert_int_equal(r->old_free_head, 5);
	vq_push(&vq, a, 0);
	vq_flush(&vq);
	assert_int_equal(r->desc[0].inflight, 0);
	assert_int_equal(r->free_head, 0);
	assert_int_equal(r->old_free_head, 0);
	assert_int_equal(r->desc[2].next, 5);
	assert_int_equal(r->used_idx, 3);
	assert_int_equal(r->old_used_idx, 3);
	vq_push(&vq, b, 0);
	vq_stop(&vq);
	assert_int_equal(r->used_idx, 5);
	assert_int_equal(r->free_head, 3);
}

static void test_replay_in_order(void **state)
{
	struct virtqueue vq;
	uint16_t ids[4], id;
	int i;

	(void)state;
	add(11, 1);
	add(12, 2);
	add(13, 3);
	add(14, 1);
	assert_int_equal(start(&vq), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(vq_pop(&vq, &ids[i]), 1);
	vq_push(&vq, ids[1], 0);
	vq_flush(&vq);
	die(&vq);
	/* a base that is wrong does not matter */
	assert_int_equal(start_at(&vq, 0x00030003), 0);
	assert_true(vq_replay_pending(&vq));
	expect_next(&vq, 11, 1, &ids[0]);
	expect_next(&vq, 13, 3, &ids[1]);
	assert_false(vq_replay_pending(&vq));
	expect_next(&vq, 14, 1, &ids[2]);
	assert_int_equal(vq_pop(&vq, &id), 0);
	assert_int_equal(vq_base(&vq), 0x80020000);
	die(&vq);
	/* after a second death the order is still that of the first taking */
	assert_int_equal(start(&vq), 0);
	expect_next(&vq, 11, 1, &ids[0]);
	expect_next(&vq, 13, 3, &ids[1]);
	expect_next(&vq, 14, 1, &ids[2]);
	for (i = 2; i >= 0; i--)
		vq_push(&vq, ids[i], 0);
	assert_int_equal(vq_stop(&vq), 0x00000000);
	for (i = 0; i < 4; i++)
		assert_true(drv_get(&ring, NULL) >= 0);
	assert_int_equal(drv_get(&ring, NULL), -1);
}

/* The queue is larger than the record, or the record has no room for this layout. */
static void test_area(void **state)
{
	struct vhost_user_inflight desc = { .num_queues = 2, .queue_size = NUM };
	struct virtqueue vq;

	(void)state;
	desc.mmap_size = 2 * packed_record_size(NUM) - 64;
	assert_int_equal(inflight_area_attach(&area, &desc, area_fd), 0);
	assert_int_equal(start(&vq), -EINVAL);
	desc.mmap_size = 2 * packed_record_size(NUM);
	desc.queue_size = NUM - 1;
	assert_int_equal(inflight_area_attach(&area, &desc, area_fd), 0);
	assert_int_equal(start(&vq), -EINVAL);
	desc.queue_size = NUM;
	desc.num_queues = 1;
	assert_int_equal(inflight_area_attach(&area, &desc, area_fd), 0);
	assert_int_equal(start(&vq), -EINVAL);
	desc.num_queues = 2;
	assert_int_equal(inflight_area_attach(&area, &desc, area_fd), 0);
	assert_int_equal(start(&vq), 0);
	vq_stop(&vq);
}

/* ---- records that are not what they should be ---- */

/* A record with chains of 2 and 3 descriptors in flight, which begin at entries 0 and 2. */
static void begin_two_chains(void)
{
	struct virtqueue vq;
	uint16_t id;

	inflight_area_clear(&area);
	drv_ring_finish(&ring);
	dmem.used = 0;
	assert_int_equal(drv_ring_init_layout(&ring, &dmem, NUM, false, true), 0);
	data = drv_alloc(&dmem, 4096, 64);
	add(11, 2);
	add(12, 3);
	assert_int_equal(start(&vq), 0);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, 0);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, 2);
	die(&vq);
}

static void test_hostile_record(void **state)
{
	struct packed_record *r = record();
	struct virtqueue vq;

	(void)state;
	begin_two_chains();
	assert_int_equal(start(&vq), 0);
	assert_int_equal(vq.replay_count, 2);
	die(&vq);
#define BAD(field, value)                                                    \
	do {                                                                 \
		begin_two_chains();                                          \
		r->field = value;                                            \
		if (start(&vq) != -EINVAL)                                   \
			fail_msg("%s = %d is taken", #field, (int)(value)); \
	} while (0)
	BAD(version, 2);
	BAD(desc_num, NUM + 1);
	BAD(desc_num, NUM - 1);
	BAD(used_idx, NUM);
	BAD(old_used_idx, 0xffff);
	BAD(desc[0].num, 0);
	BAD(desc[0].num, 1); /* an entry is lost */
	BAD(desc[0].num, 3); /* the other's is taken */
	BAD(desc[2].num, 4); /* one of the free ones is taken */
	BAD(desc[2].num, 0xffff);
	BAD(desc[0].last, 0);
	BAD(desc[0].last, NUM);
	BAD(desc[0].next, 0);
	BAD(desc[0].next, NUM);
	BAD(desc[2].next, 1);
	BAD(desc[1].inflight, 1); /* a chain in a chain */
	BAD(desc[0].inflight, 0); /* entries that are nowhere */
	BAD(old_free_head, 6); /* free entries that are nowhere */
	BAD(old_free_head, NUM);
	BAD(old_free_head, 3);
	BAD(desc[5].next, 5);
	BAD(desc[6].next, 5);
	BAD(desc[6].next, 0);
#undef BAD
}

/* What is free is not in flight, whatever its marks say; unknown bits do no harm. */
static void test_odd_record(void **state)
{
	struct packed_record *r = record();
	struct virtqueue vq;

	(void)state;
	begin_two_chains();
	r->desc[5].inflight = 1;
	r->desc[0].inflight = 0x80;
	r->free_head = 0x1234; /* only the old one counts */
	r->used_wrap_counter = 0xff;
	r->old_used_wrap_counter = 0x03;
	r->desc[6].padding = 0xff;
	r->padding = UINT64_MAX;
	assert_int_equal(start(&vq), 0);
	assert_int_equal(vq.replay_count, 2);
	assert_int_equal(r->desc[5].inflight, 0);
	assert_int_equal(r->free_head, 5);
	assert_int_equal(r->used_wrap_counter, 1);
	die(&vq);
	/* equal counters: by entry */
	r->desc[0].counter = r->desc[2].counter = UINT64_MAX;
	assert_int_equal(start(&vq), 0);
	assert_int_equal(vq.replay[0], 0);
	assert_int_equal(vq.replay[1], 2);
	/* while it runs, the record is not read any more */
	memset(r, 0xff, packed_record_size(NUM));
	vq_push(&vq, 2, 0);
	vq_push(&vq, 0, 0);
	vq_stop(&vq);
	assert_int_equal(drv_get(&ring, NULL), 1);
	assert_int_equal(drv_get(&ring, NULL), 0);
}

/* Nothing in flight, and nonsense: the driver began anew, with a ring of another kind. */
static void test_nothing_in_flight(void **state)
{
	struct packed_record *r = record();
	struct virtqueue vq;

	(void)state;
	assert_int_equal(start(&vq), 0);
	vq_stop(&vq);
	r->desc[3].next = 3;
	r->old_used_idx = 0x7000;
	assert_int_equal(start_at(&vq, 0x80028002), 0);
	assert_int_equal(vq_base(&vq), 0x80028002);
	assert_int_equal(r->old_used_idx, 2);
	assert_int_equal(r->desc[3].next, 4);
	vq_stop(&vq);
}

/* Whatever is in it, nothing outside of it is touched, and no request comes twice. */
static void test_random_records(void **state)
{
	uint8_t *bytes = (uint8_t *)record();
	unsigned int round, i, taken = 0;

	(void)state;
	srandom(12);
	for (round = 0; round < 3000; round++) {
		struct virtqueue vq;
		uint8_t seen[NUM] = { 0 };
		uint16_t id;

		if (round % 16 == 0)
			begin_two_chains();
		for (i = (unsigned int)random() % 3 + 1; i; i--)
			bytes[12 + (size_t)random() % (20 + 32 * NUM)] =
				(uint8_t)(random() % (random() % 2 ? 256 : NUM + 1));
		if (start(&vq))
			continue;
		taken++;
		while (vq_pop(&vq, &id) > 0) {
			assert_true(id < NUM);
			assert_false(seen[id]);
			seen[id] = 1;
		}
		for (i = 0; i < NUM; i++)
			if (seen[i])
				vq_push(&vq, (uint16_t)i, 0);
		vq_stop(&vq);
		begin_two_chains();
	}
	assert_true(taken > 100); /* or it tries nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_layout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replay_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_area, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_records, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
