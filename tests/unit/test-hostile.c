// SPDX-License-Identifier: BSD-3-Clause
/*
 * The hostile back-end itself: a correct disk unless its script says otherwise, and then just
 * that.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blk-tester.h"
#include "script.h"

#define REQUESTS 8

/* ---- scripts ---- */

static void test_script(void **state)
{
	const struct rule *rule;
	struct script s;
	char why[80];

	(void)state;
	assert_int_equal(script_parse(&s, "", why, sizeof(why)), 0);
	assert_null(script_event(&s, "kick"));
	assert_int_equal(script_parse(&s,
				      " GET_FEATURES#2: value 0x8000000000000000; kick: storm;\n"
				      "complete#1:used-id 7 ;complete: drop;",
				      why, sizeof(why)),
			 0);
	assert_null(script_event(&s, "GET_FEATURES"));
	rule = script_event(&s, "GET_FEATURES");
	assert_non_null(rule);
	assert_int_equal(rule->action, ACTION_VALUE);
	assert_true(rule->number == INT64_MIN);
	assert_null(script_event(&s, "GET_FEATURES"));
	assert_int_equal(script_event(&s, "kick")->number, 100000);
	assert_int_equal(script_event(&s, "complete")->action, ACTION_USED_ID);
	assert_int_equal(script_event(&s, "complete")->action, ACTION_DROP);
	assert_int_equal(script_parse(&s, "connect: value -1", why, sizeof(why)), 0);
	assert_int_equal(script_event(&s, "connect")->number, -1);
}

static void test_bad_script(void **state)
{
	static const char *const bad[] = { "kick",	     "kick:",	      "kick: frobnicate",
					   "lunch: close",   "kick#0: close", "kick#x: close",
					   "kick: storm 7x", ": close" };
	struct script s;
	char why[80];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		if (script_parse(&s, bad[i], why, sizeof(why)) != -EINVAL || !why[0])
			fail_msg("'%s' is taken", bad[i]);
	}
}

/* ---- a correct disk ---- */

static void write_and_read(struct fe *fe, const char *const *options)
{
	struct request req[REQUESTS];
	unsigned int i, order = 0, last = 0;
	int heads[REQUESTS];

	bt_start(fe, options);
	for (i = 0; i < REQUESTS; i++) {
		bt_make_request(fe, &req[i], 8 * SECTOR);
		bt_fill(req[i].data, 8 * SECTOR, i);
		heads[i] = bt_submit(fe, &req[i], VIRTIO_BLK_T_OUT, i * 8, 8 * SECTOR);
		assert_true(heads[i] >= 0);
	}
	drv_kick(&fe->rings[0]);
	for (i = 0; i < REQUESTS; i++) {
		int head = drv_wait(&fe->rings[0], NULL, FE_TIMEOUT_MS);
		unsigned int n;

		assert_true(head >= 0);
		for (n = 0; heads[n] != head; n++)
			assert_true(n < REQUESTS);
		order += i && n > last;
		last = n;
	}
	/* --hold lets all of them gather: backwards means backwards */
	if (options[0] && !strcmp(options[1], "lifo"))
		assert_int_equal(order, 0);
	for (i = 0; i < REQUESTS; i++) {
		uint8_t expected[8 * SECTOR];

		assert_int_equal(*req[i].status, VIRTIO_BLK_S_OK);
		memset(req[i].data, 0, sizeof(expected));
		assert_int_equal(bt_run(fe, &req[i], VIRTIO_BLK_T_IN, i * 8, sizeof(expected)),
				 VIRTIO_BLK_S_OK);
		bt_fill(expected, sizeof(expected), i);
		assert_memory_equal(req[i].data, expected, sizeof(expected));
		bt_image_read(i * sizeof(expected), req[i].data, sizeof(expected));
		assert_memory_equal(req[i].data, expected, sizeof(expected));
	}
	assert_int_equal(bt_run(fe, &req[0], VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(bt_run(fe, &req[0], VIRTIO_BLK_T_IN, IMAGE_SIZE / SECTOR, SECTOR),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(fe, &req[0], 99, 0, SECTOR), VIRTIO_BLK_S_UNSUPP);
	bt_finish(fe);
}

static void test_correct(void **state)
{
	static const char *const orders[][6] = {
		{ NULL },
		{ "--order", "lifo", "--hold", "8", NULL },
		{ "--order", "random", "--hold", "4", "--suppress", NULL },
		{ "--delay", "5", NULL },
	};
	struct fe fe;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(orders); i++)
		write_and_read(&fe, orders[i]);
}

/* ---- what a script does ---- */

static void start_with_script(struct fe *fe, const char *script)
{
	const char *options[] = { "--script", script, NULL };

	bt_start(fe, options);
}

static int run_one(struct fe *fe, struct request *req)
{
	bt_make_request(fe, req, SECTOR);
	assert_true(bt_submit(fe, req, VIRTIO_BLK_T_IN, 0, SECTOR) >= 0);
	drv_kick(&fe->rings[0]);
	return drv_wait(&fe->rings[0], NULL, 1000);
}

static void test_completions(void **state)
{
	struct request req;
	struct fe fe;

	(void)state;
	start_with_script(&fe, "complete#1: used-id 77");
	assert_int_equal(run_one(&fe, &req), -2);
	bt_finish(&fe);
	start_with_script(&fe, "complete#1: drop");
	assert_int_equal(run_one(&fe, &req), -1);
	assert_true(run_one(&fe, &req) >= 0);
	bt_finish(&fe);
	start_with_script(&fe, "complete#1: again");
	assert_true(run_one(&fe, &req) >= 0);
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 1000), -2);
	bt_finish(&fe);
}

static void test_memory(void **state)
{
	struct request req;
	struct fe fe;
	uint8_t *mark;

	(void)state;
	start_with_script(&fe, "kick#2: punch");
	mark = drv_alloc(&fe.mem, 4096, 4096);
	memset(mark, 0x55, 4096);
	assert_true(run_one(&fe, &req) >= 0);
	assert_int_equal(mark[7], 0x55);
	bt_make_request(&fe, &req, SECTOR);
	bt_submit(&fe, &req, VIRTIO_BLK_T_IN, 0, SECTOR);
	drv_kick(&fe.rings[0]);
	/* the hole is punched before the ring is looked at, which then is as empty as all else */
	assert_true(poll_fd(fe.rings[0].call_fd, POLLIN, deadline_after_ms(FE_TIMEOUT_MS)) > 0);
	assert_int_equal(mark[7], 0);
	bt_finish(&fe);
	start_with_script(&fe, "kick#1: scribble-pool");
	mark = drv_alloc(&fe.mem, 4096, 4096);
	bt_make_request(&fe, &req, SECTOR);
	bt_submit(&fe, &req, VIRTIO_BLK_T_IN, 0, SECTOR);
	drv_kick(&fe.rings[0]);
	assert_true(poll_fd(fe.rings[0].call_fd, POLLIN, deadline_after_ms(FE_TIMEOUT_MS)) > 0);
	assert_true(mark[0] || mark[1] || mark[2] || mark[3]);
	fe_kill(&fe, SIGKILL);
	fe_finish(&fe);
	unlink(bt_image);
}

/* Each of these breaks the very exchange that it names. */
static void test_messages(void **state)
{
	static const struct {
		const char *script;
		int error;
	} cases[] = {
		{ "GET_FEATURES: close", -ECONNRESET },
		{ "GET_FEATURES: short 6", -ECONNRESET },
		{ "GET_FEATURES: garbage 64", -EPROTO },
		{ "GET_FEATURES: claim 0x7fffffff", -EPROTO },
		{ "GET_FEATURES: size 4000", -EPROTO },
		{ "GET_FEATURES: fds 8", -EPROTO },
		{ "GET_FEATURES: request 43", -EPROTO },
		{ "GET_FEATURES: flags 1", -EPROTO },
		{ "connect: close", -ECONNRESET },
		{ "GET_FEATURES: exit 3", -ECONNRESET },
	};
	struct fe fe;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *options[] = { "--script", cases[i].script, NULL };

		bt_make_image(IMAGE_SIZE);
		assert_int_equal(fe_init(&fe, MEMORY, 1, 128, false), 0);
		bt_spawn(&fe, options);
		ret = fe_handshake(&fe, ALL_FEATURES);
		if (ret != cases[i].error)
			fail_msg("%s: expected %d, saw %d", cases[i].script, cases[i].error, ret);
		fe_kill(&fe, SIGKILL);
		fe_finish(&fe);
		unlink(bt_image);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_script),	cmocka_unit_test(test_bad_script),
		cmocka_unit_test(test_correct), cmocka_unit_test(test_completions),
		cmocka_unit_test(test_memory),	cmocka_unit_test(test_messages),
	};

	return bt_main(tests, argc, argv);
}
