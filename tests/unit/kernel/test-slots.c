// SPDX-License-Identifier: BSD-3-Clause
/* The pool's allocator: never twice the same granule, aligned, and nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "slots.h"
#include "shim/shim.h"


#define GRANULES 2048

struct held {
	u32 first;
	unsigned int order;
};

static void own(bool *owned, const struct held *slot, bool owner)
{
	for (u32 i = slot->first; i < slot->first + (1U << slot->order); i++) {
		assert_true(i < GRANULES);
		if (owned[i] == owner)
			fail_msg("granule %u: expected %s, saw otherwise", i,
				 owner ? "free" : "handed out");
		owned[i] = owner;
	}
}

/* Random sizes, random order of return; a reference keeps account. */
static void test_random(void **state)
{
	struct vlb_slots slots;
	static struct held held[GRANULES];
	static bool owned[GRANULES];
	unsigned int count = 0, used = 0, refused = 0;

	(void)state;
	srand(1);
	assert_int_equal(vlb_slots_init(&slots, GRANULES), 0);
	for (int i = 0; i < 400000; i++) {
		if (rand() % 2 || !count) {
			struct held *slot = &held[count];

			slot->order = rand() % 8;
			slot->first = vlb_slots_get(&slots, slot->order);
			if (slot->first == VLB_SLOT_NONE) {
				refused++;
				continue;
			}
			assert_int_equal(slot->first & ((1U << slot->order) - 1), 0);
			own(owned, slot, true);
			used += 1U << slot->order;
			vlb_slots_tag(&slots, slot->first, 7);
			count++;
		} else {
			unsigned int victim = rand() % count;

			assert_int_equal(vlb_slots_tag_of(&slots, held[victim].first), 7);
			own(owned, &held[victim], false);
			used -= 1U << held[victim].order;
			vlb_slots_put(&slots, held[victim].first, held[victim].order);
			held[victim] = held[--count];
		}
		assert_int_equal(slots.used, used);
	}
	/* The walk has to have met a full pool, or it has shown nothing of that. */
	assert_true(refused > 0);
	while (count) {
		count--;
		vlb_slots_put(&slots, held[count].first, held[count].order);
	}
	assert_int_equal(slots.used, 0);
	vlb_slots_finish(&slots);
}

/* What one size has parked is there for every other: no hoarding. */
static void test_no_hoard(void **state)
{
	struct vlb_slots slots;
	u32 first[GRANULES];

	(void)state;
	assert_int_equal(vlb_slots_init(&slots, GRANULES), 0);
	for (unsigned int order = 0; order < VLB_SLOT_ORDERS; order++) {
		u32 n = 0, all = GRANULES >> order;

		while (n < GRANULES && (first[n] = vlb_slots_get(&slots, order)) != VLB_SLOT_NONE)
			n++;
		if (n != all)
			fail_msg("order %u: expected all %u slots, got %u", order, all, n);
		while (n)
			vlb_slots_put(&slots, first[--n], order);
	}
	vlb_slots_finish(&slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_no_hoard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
