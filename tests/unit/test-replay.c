// SPDX-License-Identifier: BSD-3-Clause
/*
 * Replay by the kernel's record, against a model: a driver that adds and takes, back-ends that
 * complete out of order and die at any moment. Each request must be completed exactly once, in
 * whatever order.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_once),
		cmocka_unit_test(test_order_is_kept),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_free_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
