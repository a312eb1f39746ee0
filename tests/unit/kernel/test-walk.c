// SPDX-License-Identifier: BSD-3-Clause
/* The way through a chain comes to its end, whatever is written into the shared ring meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "shim/linux/virtio_ring.h"
#include "walk.h"
#include "zeroed.h"

#define NUM	16

struct world {
	struct vring vring;
	struct vring_desc *shared;
	struct vring_desc *copy;
};

static void device_joins_all(struct world *w)
{
	for (u16 i = 0; i < NUM; i++)
		w->shared[i].flags |= VRING_DESC_F_NEXT;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	vring_init(&w->vring, NUM, zeroed(64, vring_size(NUM, 64)), 64);
	w->shared = w->vring.desc;
	w->copy = calloc(NUM, sizeof(*w->copy));
	for (u16 i = 0; i < NUM; i++) {
		u16 flag = i & 1 ? VRING_DESC_F_WRITE : VRING_DESC_F_INDIRECT;

		w->shared[i] = (struct vring_desc){ 0x1000UL * i, 100 + i, flag, 0 };
	}
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	free(w->shared);
	free(w->copy);
	free(w);
	return 0;
}

/*
 * As the virtio core does it, which knows the next one by itself: at each step what it finds there
 * is noticed, and the device side is quicker than the core.
 */
static unsigned int walk(struct world *w)
{
	unsigned int i = 0, steps = 0;

	while ((w->vring.desc[i].flags & VRING_DESC_F_NEXT) && steps++ < 10 * NUM) {
		vlb_walk_end(&w->vring, w->copy);
		device_joins_all(w);
		i = (i + 1) % NUM;
	}
	return steps;
}

static void test_ends(void **state)
{
	struct world *w = *state;

	device_joins_all(w);
	assert_int_equal(walk(w), 1);
	device_joins_all(w);
	assert_int_equal(walk(w), 0);
}

/* What else the descriptors say stays, and is the copy's alone from then on. */
static void test_copy(void **state)
{
	struct world *w = *state;

	device_joins_all(w);
	vlb_walk_end(&w->vring, w->copy);
	memset(w->shared, 0xff, NUM * sizeof(*w->shared));
	vlb_walk_end(&w->vring, w->copy);
	for (u16 i = 0; i < NUM; i++) {
		assert_int_equal(w->vring.desc[i].addr, 0x1000UL * i);
		assert_int_equal(w->vring.desc[i].len, 100 + i);
		assert_int_equal(w->vring.desc[i].flags,
				 i & 1 ? VRING_DESC_F_WRITE : VRING_DESC_F_INDIRECT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
