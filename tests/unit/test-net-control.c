// SPDX-License-Identifier: BSD-3-Clause
/* Reading a network device's control queue, which the back-end can write into as well. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "adapter/net-control.h"
#include "check.h"
#include "common/log.h"
#include "common/util.h"

#define POOL_SIZE (64U << 10)
#define NUM 8
#define AVAIL_AT 4096
#define USED_AT 8192
#define DATA_AT 16384
#define RANDOM_ROUNDS 20000

struct side {
	struct pool pool;
	uint8_t *memory;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct virtio_loopback_queue queue;
	struct net_control nc;
};

static int setup(void **state)
{
	static struct side s;
	struct failure failure = { 0 };

	memset(&s, 0, sizeof(s));
	assert_int_equal(pool_init(&s.pool, "test", POOL_SIZE, 4096, &failure), 0);
	s.memory = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s.pool.fd, 0);
	assert_true(s.memory != MAP_FAILED);
	s.desc = (void *)s.memory;
	s.avail = (void *)(s.memory + AVAIL_AT);
	s.used = (void *)(s.memory + USED_AT);
	s.queue = (struct virtio_loopback_queue){
		.num = NUM,
		.desc_addr = s.pool.base,
		.driver_addr = s.pool.base + AVAIL_AT,
		.device_addr = s.pool.base + USED_AT,
	};
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	net_control_stop(&s->nc);
	munmap(s->memory, POOL_SIZE);
	pool_finish(&s->pool);
	return 0;
}

static void start(struct side *s, bool event_idx)
{
	assert_int_equal(net_control_start(&s->nc, &s->pool, &s->queue, event_idx), 0);
}

static void describe(struct side *s, unsigned int i, uint64_t offset, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	s->desc[i] = (struct vring_desc){ htole64(s->pool.base + offset), htole32(len),
					  htole16(flags), htole16(next) };
}

static void publish(struct side *s, uint16_t head)
{
	s->avail->ring[s->avail->idx & (NUM - 1)] = htole16(head);
	s->avail->idx++;
}

/* A command as the kernel passes it on: in one piece or, across the end of its area, in two. */
static void send(struct side *s, uint16_t head, const uint8_t *bytes, uint32_t length,
		 uint32_t first)
{
	uint64_t at = DATA_AT + 256 * head;

	memcpy(s->memory + at, bytes, first);
	memcpy(s->memory + at + 128, bytes + first, length - first);
	describe(s, head, at, first, first < length ? VRING_DESC_F_NEXT : 0, (uint16_t)(head + 1));
	describe(s, head + 1U, at + 128, length - first, 0, 0);
	publish(s, head);
}

static void test_commands(void **state)
{
	struct net_command command;
	struct side *s = *state;
	unsigned int turn;

	start(s, true);
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 0);
	/* more than once around the ring */
	for (turn = 0; turn < 3 * NUM; turn++) {
		const uint8_t bytes[] = { 4, 0, (uint8_t)turn, 1 };

		send(s, (turn * 2) % NUM, bytes, 4, 1 + turn % 4);
		assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 1);
		assert_int_equal(command.class, 4);
		assert_int_equal(command.command, 0);
		assert_int_equal(command.data[0], turn);
		assert_int_equal(command.data[1], 1);
		assert_int_equal(command.length, 4);
		assert_int_equal(s->used->idx, turn);
		net_control_done(&s->nc);
		assert_int_equal(s->used->idx, turn + 1);
		assert_int_equal(s->used->ring[turn % NUM].id, (turn * 2) % NUM);
		assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 0);
		/* the next one is to be kicked for */
		assert_int_equal(*(uint16_t *)&s->used->ring[NUM], turn + 1);
	}
}

static void test_length(void **state)
{
	static const uint8_t bytes[100] = { 1, 2, 3, 4, 5 };
	struct net_command command;
	struct side *s = *state;

	start(s, false);
	send(s, 0, bytes, 100, 2);
	send(s, 2, bytes, 1, 1);
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 1);
	assert_int_equal(command.length, 100);
	assert_memory_equal(command.data, bytes + 2, 2);
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 1);
	assert_int_equal(command.length, 1);
	assert_int_equal(command.class, 1);
	assert_int_equal(command.command, 0);
}

/* Another adapter goes on where the last one stopped, with what that one was about to do. */
static void test_goes_on(void **state)
{
	const uint8_t bytes[] = { 4, 0, 2, 0 }, other[] = { 4, 0, 3, 0 };
	struct net_command command;
	struct side *s = *state;

	start(s, true);
	send(s, 0, bytes, 4, 4);
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 1);
	net_control_done(&s->nc);
	send(s, 2, other, 4, 4);
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 1);
	net_control_stop(&s->nc);
	net_control_done(&s->nc);
	assert_false(net_control_started(&s->nc));
	start(s, true);
	assert_true(net_control_started(&s->nc));
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 1);
	assert_int_equal(command.data[0], other[2]);
	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), 0);
}

static void expect_nonsense(struct side *s)
{
	struct net_command command;

	assert_int_equal(net_control_take(&s->nc, &s->pool, &command), -EPROTO);
}

static void test_nonsense(void **state)
{
	struct side *s = *state;

	start(s, true);
	/* no such descriptor */
	publish(s, NUM);
	expect_nonsense(s);
	/* beyond the pool, and across its end */
	describe(s, 0, POOL_SIZE, 4, 0, 0);
	s->avail->ring[0] = 0;
	expect_nonsense(s);
	describe(s, 0, POOL_SIZE - 2, 4, 0, 0);
	expect_nonsense(s);
	/* a chain without an end */
	describe(s, 0, DATA_AT, 0, VRING_DESC_F_NEXT, 1);
	describe(s, 1, DATA_AT, 0, VRING_DESC_F_NEXT, 0);
	expect_nonsense(s);
	/* more than a ring holds */
	s->avail->idx = NUM + 1;
	expect_nonsense(s);
}

static void test_bad_queue(void **state)
{
	struct virtio_loopback_queue good;
	struct side *s = *state;

	good = s->queue;
	s->queue.num = 0;
	assert_int_equal(net_control_start(&s->nc, &s->pool, &s->queue, true), -EINVAL);
	s->queue.num = 6;
	assert_int_equal(net_control_start(&s->nc, &s->pool, &s->queue, true), -EINVAL);
	s->queue = good;
	s->queue.device_addr = s->pool.base + POOL_SIZE - 8;
	assert_int_equal(net_control_start(&s->nc, &s->pool, &s->queue, true), -ERANGE);
	assert_false(net_control_started(&s->nc));
	assert_null(s->nc.desc_window.map);
}

/* Whatever is in there: an answer, no access elsewhere, and an end. */
static void test_random(void **state)
{
	uint64_t random = 88172645463325252ULL;
	struct net_command command;
	unsigned int round, i, taken = 0;
	struct side *s = *state;

	start(s, true);
	for (round = 0; round < RANDOM_ROUNDS; round++) {
		for (i = 0; i < NUM; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			describe(s, i, random % (POOL_SIZE + 64), (uint32_t)(random >> 32) % 64,
				 (uint16_t)(random >> 20 & 7),
				 (uint16_t)(random >> 24) % (NUM + 1));
			s->avail->ring[i] = htole16((uint16_t)(random >> 40) % (NUM + 1));
		}
		s->avail->idx = (uint16_t)(s->used->idx + random % (NUM + 2));
		while (net_control_take(&s->nc, &s->pool, &command) > 0)
			taken++;
		net_control_done(&s->nc);
	}
	assert_true(taken > RANDOM_ROUNDS / 10);
}

/* ---- with the rest of the adapter ---- */

#define TURNS 100

/* A back-end that is always a ring ahead of the reader ends its device, and not the others' log. */
static void test_ends(void **state)
{
	static struct adapter a;
	struct adapter_options o = { .name = "unit" };
	struct side *s = *state;
	unsigned int turn;

	device_type_find("net", &o.type);
	adapter_init(&a, &o);
	a.plan = (struct queue_plan){ .total = 5, .served = 4 };
	a.queues = calloc(a.plan.total, sizeof(*a.queues));
	a.queues[4].kick_fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	a.pool = s->pool;
	assert_int_equal(net_control_start(&a.net_control, &a.pool, &s->queue, false), 0);
	describe(s, 0, DATA_AT, 4, 0, 0);
	log_set_level(LOG_LEVEL_ERROR);
	for (turn = 0; turn < TURNS && a.phase != ADAPTER_OVER; turn++) {
		s->avail->idx = (uint16_t)(a.net_control.seen + NUM);
		net_work(&a);
	}
	if (a.phase != ADAPTER_OVER)
		fail_msg("expected the device's end, saw %u turns", turn);
	assert_non_null(strstr(a.failure.text, "nonsense"));
	net_stop(&a);
	close(a.queues[4].kick_fd);
	free(a.queues);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
