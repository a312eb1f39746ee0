// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "slots.h"

/**
 * vlb_slots_init() - all granules free
 * @slots: to be set up
 * @nr:    granules
 *
 * Return: 0 or -ENOMEM.
 */
int vlb_slots_init(struct vlb_slots *slots, u32 nr)
{
	unsigned int order;

	slots->nr = nr;
	slots->hint = 0;
	slots->used = 0;
	for (order = 0; order < VLB_SLOT_ORDERS; order++)
		slots->parked[order] = VLB_SLOT_NONE;
	slots->taken = bitmap_zalloc(nr, GFP_KERNEL_ACCOUNT);
	if (!slots->taken)
		return -ENOMEM;
	slots->link = kvmalloc_array(nr, sizeof(*slots->link), GFP_KERNEL_ACCOUNT);
	if (!slots->link) {
		bitmap_free(slots->taken);
		return -ENOMEM;
	}
	memset(slots->link, 0xff, nr * sizeof(*slots->link));
	return 0;
}

void vlb_slots_finish(struct vlb_slots *slots)
{
	kvfree(slots->link);
	bitmap_free(slots->taken);
}

/* Give everything that is parked back to the bitmap, so that neighbours join. */
static void vlb_slots_flush(struct vlb_slots *slots)
{
	unsigned int order;
	u32 first;

	for (order = 0; order < VLB_SLOT_ORDERS; order++) {
		while ((first = slots->parked[order]) != VLB_SLOT_NONE) {
			slots->parked[order] = slots->link[first];
			slots->link[first] = VLB_SLOT_NONE;
			bitmap_clear(slots->taken, first, 1U << order);
		}
	}
}

static u32 vlb_slots_search(struct vlb_slots *slots, unsigned int order)
{
	u32 count = 1U << order;
	unsigned long first;

	first = bitmap_find_next_zero_area(slots->taken, slots->nr, slots->hint, count, count - 1);
	if (first >= slots->nr && slots->hint)
		first = bitmap_find_next_zero_area(slots->taken, slots->nr, 0, count, count - 1);
	if (first >= slots->nr)
		return VLB_SLOT_NONE;
	bitmap_set(slots->taken, first, count);
	slots->hint = first + count < slots->nr ? first + count : 0;
	return first;
}

/**
 * vlb_slots_get_fresh() - take a run that is not parked
 * @slots: the allocator
 * @order: less than VLB_SLOT_ORDERS
 *
 * Return: as vlb_slots_get().
 */
u32 vlb_slots_get_fresh(struct vlb_slots *slots, unsigned int order)
{
	u32 first = vlb_slots_search(slots, order);

	if (first == VLB_SLOT_NONE) {
		/* What other orders have parked may be all that is left. */
		vlb_slots_flush(slots);
		first = vlb_slots_search(slots, order);
	}
	if (first != VLB_SLOT_NONE)
		slots->used += 1U << order;
	return first;
}
