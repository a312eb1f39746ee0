// SPDX-License-Identifier: BSD-3-Clause
/* When to let answers collect: pace.h against loads that a little model makes. */
#include "backends/blk/pace.h"
#include "check.h"

struct model {
	struct pace pace;
	uint64_t now;
	uint64_t wakes;
	uint64_t batch_wakes; /* of them in SCHED_BATCH */
	unsigned int changes;
};

/* @n wakings, @normal or @batch answers each by what was chosen, @ns apart */
static void load(struct model *m, unsigned int n, unsigned int normal, unsigned int batch,
		 uint64_t ns)
{
	while (n--) {
		m->wakes++;
		m->batch_wakes += m->pace.batch;
		m->now += ns;
		if (pace_wake(&m->pace, m->pace.batch ? batch : normal))
			m->changes += pace_choose(&m->pace, m->now);
	}
}

static struct model start(void)
{
	struct model m = { .now = 1000 };

	pace_init(&m.pace, m.now);
	return m;
}

/* Much to collect: found soon, and kept. */
static void test_deep(void **state)
{
	struct model m = start();

	(void)state;
	load(&m, 1000, 1, 10, 10000);
	assert_true(m.pace.batch);
	load(&m, 1000000, 1, 10, 10000);
	assert_true(m.pace.batch);
	assert_int_equal(m.changes, 1);
}

/* One request at a time: tried seldom. */
static void test_shallow(void **state)
{
	struct model m = start();

	(void)state;
	load(&m, 1000000, 1, 1, 10000);
	print_message("%.1f %% in SCHED_BATCH\n", 100.0 * (double)m.batch_wakes / (double)m.wakes);
	assert_true(m.batch_wakes * 100 < m.wakes * 7);
	/* and when the load becomes deep it is found again soon */
	load(&m, 256 * 20, 1, 10, 10000);
	assert_true(m.pace.batch);
	/* ... and shallow again: left at the end of the window */
	load(&m, 512, 1, 1, 10000);
	assert_false(m.pace.batch);
}

static void test_idle(void **state)
{
	struct model m = start();

	(void)state;
	load(&m, 100000, 1, 10, 10000000);
	assert_int_equal(m.changes, 0);
	/* a load that fades is not held on to */
	load(&m, 1000, 1, 10, 10000);
	assert_true(m.pace.batch);
	load(&m, 600, 1, 10, 10000000);
	assert_false(m.pace.batch);
}

/* Collected anyhow: nothing to gain. */
static void test_collected(void **state)
{
	struct model m = start();

	(void)state;
	load(&m, 100000, 12, 14, 10000);
	assert_true(m.batch_wakes * 100 < m.wakes * 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_shallow),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_collected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
