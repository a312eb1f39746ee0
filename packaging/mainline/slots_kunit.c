// SPDX-License-Identifier: GPL-2.0-only
/* KUnit tests of the pool's allocator: nothing twice, aligned, and nothing is lost. */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "slots.h"

#define GRANULES	2048
#define STEPS		100000
#define ORDERS		8

struct held {
	u32 first;
	unsigned int order;
};

struct account {
	struct vlb_slots slots;
	struct held held[GRANULES];
	unsigned int count;
	u32 used;
	u32 refused;
	bool owned[GRANULES];
};

static void vlb_slots_test_own(struct kunit *test, struct account *account,
			       const struct held *slot, bool owner)
{
	u32 i, end = slot->first + (1U << slot->order);

	KUNIT_ASSERT_LE(test, end, GRANULES);
	for (i = slot->first; i < end; i++) {
		KUNIT_ASSERT_NE(test, account->owned[i], owner);
		account->owned[i] = owner;
	}
}

static void vlb_slots_test_take(struct kunit *test, struct account *account, unsigned int order)
{
	u32 first = vlb_slots_get(&account->slots, order);
	struct held *slot;

	/* There is no room for what is refused when each granule is one of its own. */
	if (first == VLB_SLOT_NONE) {
		account->refused++;
		return;
	}
	KUNIT_ASSERT_LT(test, account->count, GRANULES);
	slot = &account->held[account->count];
	slot->first = first;
	slot->order = order;
	KUNIT_ASSERT_EQ(test, slot->first & ((1U << order) - 1), 0);
	vlb_slots_test_own(test, account, slot, true);
	vlb_slots_tag(&account->slots, slot->first, order);
	account->used += 1U << order;
	account->count++;
}

static void vlb_slots_test_give(struct kunit *test, struct account *account, unsigned int victim)
{
	struct held *slot = &account->held[victim];

	KUNIT_ASSERT_EQ(test, vlb_slots_tag_of(&account->slots, slot->first), slot->order);
	vlb_slots_test_own(test, account, slot, false);
	vlb_slots_put(&account->slots, slot->first, slot->order);
	account->used -= 1U << slot->order;
	*slot = account->held[--account->count];
}

static struct account *vlb_slots_test_account(struct kunit *test)
{
	struct account *account = kunit_kzalloc(test, sizeof(*account), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, account);
	KUNIT_ASSERT_EQ(test, vlb_slots_init(&account->slots, GRANULES), 0);
	return account;
}

/* Random sizes, random order of return; an account is kept beside. */
static void vlb_slots_test_random(struct kunit *test)
{
	struct account *account = vlb_slots_test_account(test);
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < STEPS; i++) {
		if (!account->count || prandom_u32_state(&rnd) % 2)
			vlb_slots_test_take(test, account, prandom_u32_state(&rnd) % ORDERS);
		else
			vlb_slots_test_give(test, account,
					    prandom_u32_state(&rnd) % account->count);
		KUNIT_ASSERT_EQ(test, account->slots.used, account->used);
	}
	/* Without a full pool nothing was shown of that. */
	KUNIT_EXPECT_GT(test, account->refused, 0);
	while (account->count)
		vlb_slots_test_give(test, account, account->count - 1);
	KUNIT_EXPECT_EQ(test, account->slots.used, 0);
	vlb_slots_finish(&account->slots);
}

/* What one size has parked is there for every other: no class hoards the pool. */
static void vlb_slots_test_no_hoard(struct kunit *test)
{
	struct account *account = vlb_slots_test_account(test);
	unsigned int order;

	for (order = 0; order < ORDERS; order++) {
		do {
			account->refused = 0;
			vlb_slots_test_take(test, account, order);
		} while (!account->refused);
		KUNIT_EXPECT_EQ(test, account->used, GRANULES);
		while (account->count)
			vlb_slots_test_give(test, account, account->count - 1);
	}
	vlb_slots_finish(&account->slots);
}

static struct kunit_case vlb_slots_cases[] = {
	KUNIT_CASE(vlb_slots_test_random),
	KUNIT_CASE(vlb_slots_test_no_hoard),
	{}
};

static struct kunit_suite vlb_slots_suite = {
	.name = "virtio_loopback_slots",
	.test_cases = vlb_slots_cases,
};

kunit_test_suites(&vlb_slots_suite);
