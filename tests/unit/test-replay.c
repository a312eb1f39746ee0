// SPDX-License-Identifier: BSD-3-Clause
/*
 * Replay by the kernel's record, against a model: a driver that adds and takes, back-ends that
 * complete out of order and die at any moment. Each request must be completed exactly once, in
 * whatever order. And where a packed ring goes on, by the in-flight record.
 */
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/replay.h"
#include "check.h"
#include "common/util.h"

#define NUM_MAX 64
#define ROUNDS 200
#define STEPS 400

/* A ring, its driver, and whoever serves it. */
struct model {
	unsigned int num;
	struct vring_avail *avail;
	struct vring_used *used;
	/* driver */
	uint16_t avail_idx;
	uint16_t taken;
	bool in_use[NUM_MAX]; /* head is the driver's to wait for */
	uint32_t request[NUM_MAX]; /* which request it carries */
	uint16_t order[NUM_MAX]; /* heads outstanding, in the order of publication */
	unsigned int count;
	uint32_t next_request;
	uint8_t *times; /* each request was taken back */
	/* back-end */
	uint16_t last_avail;
	uint16_t used_idx;
	uint16_t held[NUM_MAX];
	unsigned int num_held;
	uint64_t random;
};

static unsigned int pick(struct model *m, unsigned int below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (unsigned int)(m->random % below);
}

static void model_init(struct model *m, unsigned int num, uint64_t seed, uint16_t start)
{
	*m = (struct model){ .num = num, .random = seed };
	m->avail = calloc(1, sizeof(*m->avail) + 2 * num + 2);
	m->used = calloc(1, sizeof(*m->used) + 8 * num + 2);
	m->times = calloc(STEPS + NUM_MAX + 1, 1);
	assert_non_null(m->avail);
	assert_non_null(m->used);
	assert_non_null(m->times);
	/* anywhere, so that indices wrap */
	m->avail_idx = m->taken = m->last_avail = m->used_idx = start;
	m->avail->idx = m->used->idx = start;
}

static void model_finish(struct model *m)
{
	free(m->avail);
	free(m->used);
	free(m->times);
}

static void driver_add(struct model *m)
{
	uint16_t head = (uint16_t)pick(m, m->num);

	if (m->count == m->num)
		return;
	while (m->in_use[head])
		head = (uint16_t)((head + 1) % m->num);
	m->in_use[head] = true;
	m->request[head] = m->next_request++;
	m->order[m->count++] = head;
	m->avail->ring[m->avail_idx & (m->num - 1)] = head;
	m->avail->idx = ++m->avail_idx;
}

static void driver_take(struct model *m)
{
	uint16_t head;
	unsigned int i;

	if (m->taken == m->used->idx)
		return;
	head = (uint16_t)m->used->ring[m->taken & (m->num - 1)].id;
	m->taken++;
	assert_true(head < m->num);
	assert_true(m->in_use[head]); /* else virtio_ring: "id is not a head" */
	m->times[m->request[head]]++;
	m->in_use[head] = false;
	for (i = 0; m->order[i] != head; i++)
		assert_true(i < m->count);
	memmove(&m->order[i], &m->order[i + 1], (m->count - i - 1) * sizeof(m->order[0]));
	m->count--;
}

static void backend_pop(struct model *m)
{
	uint16_t head;

	if (m->last_avail == m->avail->idx)
		return;
	head = m->avail->ring[m->last_avail++ & (m->num - 1)];
	m->held[m->num_held++] = head;
}

static void backend_complete(struct model *m)
{
	unsigned int i;

	if (!m->num_held)
		return;
	i = pick(m, m->num_held);
	m->used->ring[m->used_idx & (m->num - 1)].id = m->held[i];
	m->used->idx = ++m->used_idx;
	m->held[i] = m->held[--m->num_held];
}

static int replay(struct model *m, uint16_t *base)
{
	const struct replay_ring ring = {
		.num = m->num,
		.avail = m->avail,
		.used = m->used,
		.taken = m->taken,
		.heads = m->order,
		.count = m->count,
	};

	return replay_split(&ring, m->avail->idx, base);
}

/* The back-end dies, and another one begins where it is told. */
static void backend_dies(struct model *m)
{
	uint16_t base;

	/* an entry that was written and not shown is worth nothing */
	if (m->num_held)
		m->used->ring[m->used_idx & (m->num - 1)].id = m->held[0];
	assert_int_equal(replay(m, &base), 0);
	assert_int_equal(base, m->used->idx);
	m->num_held = 0;
	m->last_avail = base;
	m->used_idx = m->used->idx;
}

static void step(struct model *m)
{
	unsigned int what = pick(m, 100);

	if (what < 35)
		driver_add(m);
	else if (what < 55)
		driver_take(m);
	else if (what < 75)
		backend_pop(m);
	else if (what < 95)
		backend_complete(m);
	else
		backend_dies(m);
}

static void drain(struct model *m)
{
	while (m->count) {
		backend_pop(m);
		backend_complete(m);
		driver_take(m);
	}
}

static void test_exactly_once(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 4, 16, 64 };
	unsigned int round, i;
	struct model m;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		unsigned int num = sizes[round % ARRAY_SIZE(sizes)];

		model_init(&m, num, 1234567 + round, (uint16_t)(65536 - STEPS / 4 + round));
		for (i = 0; i < STEPS; i++)
			step(&m);
		backend_dies(&m);
		drain(&m);
		for (i = 0; i < m.next_request; i++)
			assert_int_equal(m.times[i], 1);
		assert_true(m.next_request > 0);
		model_finish(&m);
	}
}

static void test_order_is_kept(void **state)
{
	struct model m;
	uint16_t base;

	(void)state;
	model_init(&m, 8, 1, 0);
	while (m.count < 6)
		driver_add(&m);
	/* the third and the first are used, one of them taken */
	m.used->ring[0].id = m.order[2];
	m.used->ring[1].id = m.order[0];
	m.used->idx = m.used_idx = 2;
	driver_take(&m);
	assert_int_equal(m.count, 5);
	/* outstanding: 0 1 3 4 5 of the first six, of which 0 waits to be taken */
	assert_int_equal(replay(&m, &base), 0);
	assert_int_equal(base, 2);
	assert_int_equal(m.avail->ring[2], m.order[1]);
	assert_int_equal(m.avail->ring[3], m.order[2]);
	assert_int_equal(m.avail->ring[4], m.order[3]);
	assert_int_equal(m.avail->ring[5], m.order[4]);
	model_finish(&m);
}

/* What a hostile back-end may have left in the used ring. */
static void test_nonsense(void **state)
{
	struct model m;
	uint16_t base = 77;

	(void)state;
	model_init(&m, 8, 1, 0);
	while (m.count < 5)
		driver_add(&m);
	m.used->idx = 1;
	m.used->ring[0].id = 8; /* no head */
	assert_int_equal(replay(&m, &base), -EPROTO);
	m.used->ring[0].id = UINT32_MAX;
	assert_int_equal(replay(&m, &base), -EPROTO);
	m.used->idx = 2; /* the same twice */
	m.used->ring[0].id = m.used->ring[1].id = m.order[0];
	assert_int_equal(replay(&m, &base), -EPROTO);
	m.used->idx = 9; /* more than the ring has */
	assert_int_equal(replay(&m, &base), -EPROTO);
	m.used->idx = UINT16_MAX; /* back */
	assert_int_equal(replay(&m, &base), -EPROTO);
	m.used->idx = 6; /* more than was published, all different */
	for (unsigned int i = 0; i < 8; i++)
		m.used->ring[i].id = i;
	assert_int_equal(replay(&m, &base), -EPROTO);
	assert_int_equal(base, 77);
	m.used->idx = 0; /* and nothing wrong at all */
	assert_int_equal(replay(&m, &base), 0);
	assert_int_equal(base, 0);
	model_finish(&m);
}

/* A head that is free and stands in the used ring: counts agree, heads do not. */
static void test_free_head(void **state)
{
	struct model m;
	uint16_t base, head = 0;

	(void)state;
	model_init(&m, 8, 3, 0);
	while (m.count < 3)
		driver_add(&m);
	while (m.in_use[head])
		head++;
	m.used->ring[0].id = head;
	m.used->idx = 1;
	assert_int_equal(replay(&m, &base), -EPROTO);
	model_finish(&m);
}

/* ---- packed ---- */

#define PACKED_NUM 5
#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED (1U << VRING_PACKED_DESC_F_USED)

struct packed {
	struct vring_packed_desc ring[PACKED_NUM];
	union {
		struct packed_record record;
		uint8_t bytes[256];
	};
};

/* Chains of these lengths in flight, in entries from 0 on; the used position at @idx, @wrap */
static void packed_init(struct packed *p, uint16_t idx, bool wrap, const unsigned int *lengths)
{
	struct packed_record *r = &p->record;
	uint16_t at = 0, i;

	*p = (struct packed){ 0 };
	r->version = 1;
	r->desc_num = PACKED_NUM;
	r->used_idx = r->old_used_idx = idx;
	r->used_wrap_counter = r->old_used_wrap_counter = wrap;
	for (i = 0; i < PACKED_NUM; i++)
		r->desc[i].next = (uint16_t)(i + 1);
	for (i = 0; lengths[i]; i++) {
		r->desc[at].inflight = 1;
		r->desc[at].num = (uint16_t)lengths[i];
		r->desc[at].counter = i;
		r->desc[at].last = (uint16_t)(at + lengths[i] - 1);
		at = (uint16_t)(at + lengths[i]);
	}
	r->free_head = r->old_free_head = at;
}

static int packed_base(const struct packed *p, uint32_t *base)
{
	return replay_packed(&p->record, packed_record_size(PACKED_NUM), PACKED_NUM, p->ring, base);
}

static void expect_base(const struct packed *p, uint32_t expected)
{
	uint32_t base = 77;

	assert_int_equal(packed_base(p, &base), 0);
	assert_int_equal(base, expected);
}

static void test_packed_bases(void **state)
{
	static const struct {
		uint16_t idx;
		bool wrap;
		unsigned int lengths[6];
		uint32_t base; /* used position, taken position */
	} cases[] = {
		{ 0, true, { 0 }, 0x80008000 },	       { 4, false, { 0 }, 0x00040004 },
		{ 0, true, { 2, 0 }, 0x80008002 },     { 3, true, { 1, 0 }, 0x80038004 },
		{ 3, true, { 2, 0 }, 0x80030000 },     { 3, true, { 2, 1, 0 }, 0x80030001 },
		{ 4, false, { 1, 2, 0 }, 0x00048002 }, { 2, false, { 5, 0 }, 0x00028002 },
		{ 0, true, { 1, 1, 1, 1, 1 }, 0x80000000 },
	};
	struct packed p;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		packed_init(&p, cases[i].idx, cases[i].wrap, cases[i].lengths);
		expect_base(&p, cases[i].base);
	}
	/* made, and no ring begun: whatever else is in it */
	packed_init(&p, 3, true, cases[2].lengths);
	p.record.version = 0;
	expect_base(&p, PACKED_BASE_FRESH);
}

/* The back-end ended while it answered the second of two requests: the ring tells whether it did */
static void test_packed_half_way(void **state)
{
	static const unsigned int lengths[] = { 3, 2, 0 };
	struct packed p;

	(void)state;
	packed_init(&p, 4, true, lengths);
	p.record.desc[4].next = p.record.old_free_head;
	p.record.free_head = 3;
	p.record.used_idx = 1;
	p.record.used_wrap_counter = 0;
	p.ring[4].flags = AVAIL; /* as the driver made it available */
	expect_base(&p, 0x80040004);
	p.ring[4].flags = AVAIL | USED; /* answered */
	expect_base(&p, 0x00010004);
	p.ring[4].flags = USED; /* answered, and available again in the next lap */
	expect_base(&p, 0x00010004);

	/* a request as long as the ring: only the wrap counter moves */
	packed_init(&p, 2, false, (const unsigned int[]){ 5, 0 });
	p.record.desc[4].next = PACKED_NUM;
	p.record.free_head = 0;
	p.record.used_wrap_counter = 1;
	p.ring[2].flags = USED;
	expect_base(&p, 0x00028002);
	p.ring[2].flags = 0;
	expect_base(&p, 0x80028002);

	/* a request that was taken by half counts for nothing */
	packed_init(&p, 1, true, (const unsigned int[]){ 2, 0 });
	p.record.desc[2].inflight = 1;
	p.record.desc[2].num = 2;
	p.record.free_head = 4;
	expect_base(&p, 0x80018003);
}

static void test_packed_nonsense(void **state)
{
	static const unsigned int lengths[] = { 2, 1, 0 };
	const size_t size = packed_record_size(PACKED_NUM);
	struct packed p;
	uint32_t base = 77;

	(void)state;
#define BAD(field, value)                                                    \
	do {                                                                 \
		packed_init(&p, 1, true, lengths);                           \
		p.record.field = value;                                      \
		if (packed_base(&p, &base) != -EPROTO)                       \
			fail_msg("%s = %d is taken", #field, (int)(value)); \
	} while (0)
	BAD(version, 2);
	BAD(desc_num, PACKED_NUM - 1);
	BAD(used_idx, PACKED_NUM);
	BAD(old_used_idx, UINT16_MAX);
	BAD(old_free_head, 4);
	BAD(desc[0].num, 0);
	BAD(desc[0].num, 3);
	BAD(desc[0].num, UINT16_MAX);
	BAD(desc[0].last, 0);
	BAD(desc[0].next, 0);
	BAD(desc[0].next, UINT16_MAX);
	BAD(desc[1].inflight, 1);
	BAD(desc[2].inflight, 0);
	BAD(desc[4].next, 3);
#undef BAD
	packed_init(&p, 1, true, lengths);
	assert_int_equal(replay_packed(&p.record, 31, PACKED_NUM, p.ring, &base), -EPROTO);
	assert_int_equal(replay_packed(&p.record, 32 + 4 * 32, PACKED_NUM, p.ring, &base), -EPROTO);
	assert_int_equal(replay_packed(&p.record, size, 0, p.ring, &base), -EPROTO);
	assert_int_equal(base, 77);
	assert_int_equal(packed_base(&p, &base), 0);
}

/* Bytes at random: no answer is a position outside of the ring. */
static void test_packed_random(void **state)
{
	static const unsigned int lengths[] = { 2, 1, 0 };
	unsigned int round, i, taken = 0;
	struct packed p;

	(void)state;
	srandom(3);
	for (round = 0; round < 20000; round++) {
		uint32_t base;

		packed_init(&p, 1, true, lengths);
		for (i = (unsigned int)random() % 4; i; i--)
			p.bytes[(size_t)random() % packed_record_size(PACKED_NUM)] =
				(uint8_t)(random() % (random() % 2 ? 256 : 8));
		if (packed_base(&p, &base))
			continue;
		taken++;
		assert_true((base & 0x7fff) < PACKED_NUM);
		assert_true((base >> 16 & 0x7fff) < PACKED_NUM);
	}
	assert_true(taken > 1000);
}

/* A split ring goes on behind what is used, unless that cannot be. */
static void test_behind_the_used(void **state)
{
	static const struct {
		uint16_t used, published;
		int result;
	} rows[] = { { 0, 0, 0 },	   { 7, 15, 0 },	 { 7, 16, -EPROTO },
		     { 8, 7, -EPROTO },	   { 65530, 2, 0 },	 { 65530, 3, -EPROTO } };
	struct virtio_loopback_queue queue = { .num = 8 };
	struct failure failure = { 0 };
	struct pool_window w = { 0 };
	struct pool pool;
	uint32_t base;
	size_t i;

	(void)state;
	assert_int_equal(pool_init(&pool, "test", 65536, 4096, &failure), 0);
	queue.driver_addr = pool.base;
	queue.device_addr = pool.base + 4096;
	assert_int_equal(pool_map(&pool, pool.base, 8192, &w), 0);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		((struct vring_avail *)w.data)->idx = htole16(rows[i].published);
		((struct vring_used *)(void *)((char *)w.data + 4096))->idx = htole16(rows[i].used);
		base = 77777;
		assert_int_equal(replay_from_inflight(&pool, &queue, &base, &failure),
				 rows[i].result);
		assert_int_equal(base, rows[i].result ? 77777 : rows[i].used);
	}
	pool_unmap(&w);
	pool_finish(&pool);
}

/* Of one virtqueue of a device: found in the file, whatever the back-end made of that. */
static void test_packed_of_a_device(void **state)
{
	static const unsigned int lengths[] = { 2, 1, 0 };
	const size_t size = packed_record_size(PACKED_NUM);
	struct virtio_loopback_queue queue = { .index = 1, .num = PACKED_NUM };
	struct inflight inflight = { .num_queues = 2, .queue_size = PACKED_NUM };
	struct failure failure = { 0 };
	struct pool pool;
	struct packed p;
	uint32_t base = 77;
	int pipes[2];

	(void)state;
	assert_int_equal(pool_init(&pool, "test", 65536, 4096, &failure), 0);
	queue.desc_addr = pool.base + 4096;
	packed_init(&p, 3, true, lengths);
	inflight.fd = memfd_create("record", MFD_CLOEXEC);
	inflight.mmap_offset = 8;
	inflight.mmap_size = 2 * size;
	assert_int_equal(ftruncate(inflight.fd, (off_t)(8 + 2 * size)), 0);
	assert_int_equal(pwrite(inflight.fd, p.bytes, size, (off_t)(8 + size)), size);
	assert_int_equal(replay_from_packed_inflight(&pool, &queue, &inflight, &base, &failure), 0);
	assert_int_equal(base, 0x80030001);
	queue.index = 0; /* whose record was never begun */
	assert_int_equal(replay_from_packed_inflight(&pool, &queue, &inflight, &base, &failure), 0);
	assert_int_equal(base, PACKED_BASE_FRESH);
#define REFUSED(error)                                                                           \
	assert_int_equal(replay_from_packed_inflight(&pool, &queue, &inflight, &base, &failure), \
			 error)
	queue.index = 2;
	REFUSED(-EPROTO);
	queue.index = 1;
	queue.desc_addr = pool.base + 65536 - 64;
	REFUSED(-ERANGE);
	queue.desc_addr = pool.base;
	inflight.mmap_size = 2 * size - 1;
	REFUSED(-EPROTO);
	inflight.mmap_size = UINT64_MAX;
	inflight.mmap_offset = UINT64_MAX - 64;
	REFUSED(-EPROTO);
	inflight.mmap_offset = 1ULL << 62;
	REFUSED(-EPROTO);
	inflight.mmap_offset = 8;
	assert_int_equal(ftruncate(inflight.fd, (off_t)(8 + 2 * size - 1)), 0);
	REFUSED(-EPROTO);
	close(inflight.fd);
	/* nothing would ever come out of it */
	assert_int_equal(pipe(pipes), 0);
	inflight.fd = pipes[0];
	REFUSED(-EPROTO);
#undef REFUSED
	close(pipes[0]);
	close(pipes[1]);
	pool_finish(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_once),
		cmocka_unit_test(test_order_is_kept),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_free_head),
		cmocka_unit_test(test_packed_bases),
		cmocka_unit_test(test_packed_half_way),
		cmocka_unit_test(test_packed_nonsense),
		cmocka_unit_test(test_packed_random),
		cmocka_unit_test(test_behind_the_used),
		cmocka_unit_test(test_packed_of_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
