// SPDX-License-Identifier: BSD-3-Clause
/* The window's allocator: never twice the same page, nothing is lost, old addresses come last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "ranges.h"
#include "shim/shim.h"

#define PAGES 1000

static u8 owner[PAGES]; /* 0: free, else who + 1 */

static void own(const struct vlb_range *range, u8 from, u8 to)
{
	for (u64 i = range->first; i < range->first + range->count; i++) {
		if (i >= PAGES || owner[i] != from)
			fail_msg("page %llu: expected owner %u", (unsigned long long)i, from);
		owner[i] = to;
	}
}

/* Is there a gap of this size? */
static bool has_gap(u64 count)
{
	u64 run = 0;

	for (u64 i = 0; i < PAGES && run < count; i++)
		run = owner[i] ? 0 : run + 1;
	return run >= count;
}

/* Every page is found in its run, and free ones in none. */
static void check_find(const struct vlb_ranges *ranges, const struct vlb_range *held)
{
	for (u64 i = 0; i < PAGES; i++) {
		const struct vlb_range *range = vlb_ranges_find(ranges, i);

		if (range != (owner[i] ? &held[owner[i] - 1] : NULL))
			fail_msg("page %llu of owner %u: another range was found",
				 (unsigned long long)i, owner[i]);
	}
	assert_null(vlb_ranges_find(ranges, PAGES));
	assert_null(vlb_ranges_find(ranges, UINT64_MAX));
}

static void test_random(void **state)
{
	static struct vlb_range held[255];
	static bool is_held[255];
	struct vlb_ranges ranges;
	u64 used = 0, refused = 0;

	(void)state;
	srand(1);
	vlb_ranges_init(&ranges, PAGES);
	for (int i = 0; i < 100000; i++) {
		unsigned int who = rand() % 255;

		if (is_held[who]) {
			own(&held[who], (u8)(who + 1), 0);
			used -= held[who].count;
			vlb_ranges_give(&ranges, &held[who]);
			is_held[who] = false;
		} else {
			u64 count = 1 + rand() % (rand() % 8 ? 12 : 200);

			if (vlb_ranges_take(&ranges, &held[who], count)) {
				assert_int_equal(held[who].count, count);
				own(&held[who], 0, (u8)(who + 1));
				used += count;
				is_held[who] = true;
			} else {
				assert_false(has_gap(count));
				refused++;
			}
		}
		assert_int_equal(ranges.used, used);
		if (i % 100 == 0)
			check_find(&ranges, held);
	}
	/* The walk has to have met a window without room, or it has shown nothing of that. */
	assert_true(refused > 0);
}

static void test_edges(void **state)
{
	struct vlb_range all, one;
	struct vlb_ranges ranges;

	(void)state;
	vlb_ranges_init(&ranges, PAGES);
	assert_false(vlb_ranges_take(&ranges, &all, 0));
	assert_false(vlb_ranges_take(&ranges, &all, PAGES + 1));
	assert_false(vlb_ranges_take(&ranges, &all, UINT64_MAX));
	assert_null(vlb_ranges_first(&ranges));
	assert_true(vlb_ranges_take(&ranges, &all, PAGES));
	assert_int_equal(all.first, 0);
	assert_false(vlb_ranges_take(&ranges, &one, 1));
	assert_ptr_equal(vlb_ranges_first(&ranges), &all);
	vlb_ranges_give(&ranges, &all);
	assert_true(vlb_ranges_take(&ranges, &one, 1));
}

/* An address that was given back is the last to be used again. */
static void test_order(void **state)
{
	struct vlb_ranges ranges;
	struct vlb_range range;

	(void)state;
	vlb_ranges_init(&ranges, PAGES);
	for (u64 i = 0; i < 3 * PAGES; i += 10) {
		assert_true(vlb_ranges_take(&ranges, &range, 10));
		assert_int_equal(range.first, i % PAGES);
		vlb_ranges_give(&ranges, &range);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
