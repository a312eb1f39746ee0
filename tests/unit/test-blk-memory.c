// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-blk from outside: the memory that its front-end shares comes and goes. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blk-tester.h"

#define REQUESTS 16

struct memory_test {
	struct fe fe;
	struct request near[REQUESTS]; /* in the first half of the memory */
	struct request far; /* in the second */
};

static void memory_begin(struct memory_test *t, bool record)
{
	unsigned int i;

	bt_make_image(IMAGE_SIZE);
	assert_int_equal(fe_init(&t->fe, MEMORY, 1, 128, true), 0);
	t->fe.no_record = !record;
	t->fe.nregions = 2;
	bt_spawn(&t->fe, NULL);
	assert_int_equal(fe_handshake(&t->fe, ALL_FEATURES), 0);
	for (i = 0; i < REQUESTS; i++)
		bt_make_request(&t->fe, &t->near[i], 65536);
	assert_non_null(drv_alloc(&t->fe.mem, MEMORY / 2, 4096));
	bt_make_request(&t->fe, &t->far, 65536);
}

static void submit_near(struct memory_test *t)
{
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		*t->near[i].status = 0xff;
		assert_true(bt_submit(&t->fe, &t->near[i], VIRTIO_BLK_T_IN, i * 128, 65536) >= 0);
	}
	drv_kick(&t->fe.rings[0]);
}

static void take_near(struct memory_test *t)
{
	unsigned int i;

	for (i = 0; i < REQUESTS; i++)
		if (drv_wait(&t->fe.rings[0], NULL, FE_TIMEOUT_MS) < 0)
			fail_msg("%u requests are never answered", REQUESTS - i);
	for (i = 0; i < REQUESTS; i++)
		assert_int_equal(*t->near[i].status, VIRTIO_BLK_S_OK);
}

/*
 * A request that needs memory which is not there breaks its queue. It is not lost: when the memory
 * has come it is answered, and those behind it are.
 *
 * @stop: the queue is stopped meanwhile, and not only by the message that brings the memory
 */
static void far_request(struct memory_test *t, bool stop)
{
	struct drv_ring *ring = &t->fe.rings[0];
	uint32_t base;
	int head;

	head = bt_submit(&t->fe, &t->far, VIRTIO_BLK_T_IN, 0, 65536);
	assert_true(head >= 0);
	submit_near(t);
	assert_int_equal(drv_wait(ring, NULL, 20), -1);
	if (stop) {
		assert_int_equal(fe_get_base(&t->fe, 0, &base), 0);
		assert_int_equal(base, drv_base(ring));
	}
	assert_int_equal(fe_change_memory(&t->fe, VHOST_USER_ADD_MEM_REG, 1), 0);
	if (stop)
		assert_int_equal(fe_start_ring(&t->fe, 0, base), 0);
	if (drv_wait(ring, NULL, FE_TIMEOUT_MS) != head)
		fail_msg("the request that broke the queue: expected its answer first");
	assert_int_equal(*t->far.status, VIRTIO_BLK_S_OK);
	take_near(t);
}

static void memory_under_load(bool record)
{
	struct memory_test t;
	unsigned int round;

	memory_begin(&t, record);
	for (round = 0; round < 40; round++) {
		submit_near(&t);
		assert_int_equal(fe_change_memory(&t.fe, VHOST_USER_REM_MEM_REG, 1), 0);
		take_near(&t);
		if (round % 4 < 2) {
			far_request(&t, round % 4);
		} else {
			submit_near(&t);
			assert_int_equal(fe_change_memory(&t.fe, VHOST_USER_ADD_MEM_REG, 1), 0);
			take_near(&t);
		}
		submit_near(&t);
		t.fe.nregions = 1;
		assert_int_equal(fe_set_memory(&t.fe), 0);
		take_near(&t);
		t.fe.nregions = 2;
		assert_int_equal(fe_set_memory(&t.fe), 0);
	}
	/* what is there cannot be added, nor what is not there removed: the table is as before */
	assert_int_equal(fe_change_memory(&t.fe, VHOST_USER_ADD_MEM_REG, 1), 1);
	assert_int_equal(fe_change_memory(&t.fe, VHOST_USER_REM_MEM_REG, 2), 1);
	submit_near(&t);
	take_near(&t);
	bt_finish(&t.fe);
}

/* The memory table is replaced, and a region added and removed, while requests are in flight. */
static void test_memory_under_load(void **state)
{
	uint64_t slots = 0;
	struct fe fe;

	(void)state;
	memory_under_load(true);
	memory_under_load(false);
	bt_start(&fe, NULL);
	assert_int_equal(fe_get_u64(&fe, VHOST_USER_GET_MAX_MEM_SLOTS, &slots), 0);
	assert_true(slots >= 2);
	bt_finish(&fe);
}

/* The front-end takes back memory that it shared: the program says so and ends. */
static void test_truncated_memory(void **state)
{
	uint64_t one = 1;
	struct fe fe;
	int status;

	(void)state;
	bt_start(&fe, NULL);
	assert_int_equal(ftruncate(fe.mem.fd, 0), 0);
	assert_int_equal(write(fe.rings[0].kick_fd, &one, sizeof(one)), sizeof(one));
	status = fe_wait(&fe);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(ftruncate(fe.mem.fd, MEMORY), 0);
	fe_finish(&fe);
	unlink(bt_image);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_under_load),
		cmocka_unit_test(test_truncated_memory),
	};

	return bt_main(tests, argc, argv);
}
