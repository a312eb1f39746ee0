/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slots - which parts of the pool are in use
 *
 * Hands out naturally aligned runs of 2^order granules of 512 bytes. It knows
 * numbers of granules only: no addresses, no kernel DMA API, no locks (the caller
 * serialises).
 */
#ifndef VLB_SLOTS_H
#define VLB_SLOTS_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

#define VLB_GRANULE_SHIFT	9
#define VLB_GRANULE_SIZE	BIT(VLB_GRANULE_SHIFT)
#define VLB_SLOT_ORDERS		12	/* 512 B to 1 MiB */
#define VLB_SLOT_NONE		U32_MAX

/**
 * struct vlb_slots - the allocator
 * @nr:     granules
 * @hint:   where the search for a fresh run goes on
 * @used:   granules in slots that are handed out
 * @taken:  bit set: the granule is handed out or parked on a list
 * @link:   one word a granule, meaningful for the first of each slot. Parked: the next
 *          on its list. Handed out: the caller's, see vlb_slots_tag()
 * @parked: by order, slots that came back last: still warm, and found without a
 *          search
 */
struct vlb_slots {
	u32 nr;
	u32 hint;
	u32 used;
	unsigned long *taken;
	u32 *link;
	u32 parked[VLB_SLOT_ORDERS];
};

int vlb_slots_init(struct vlb_slots *slots, u32 nr);
void vlb_slots_finish(struct vlb_slots *slots);
u32 vlb_slots_get_fresh(struct vlb_slots *slots, unsigned int order);

/**
 * vlb_slots_get() - take a run of 2^order granules
 * @slots: the allocator
 * @order: less than VLB_SLOT_ORDERS
 *
 * Return: the first granule, a multiple of 2^order, or VLB_SLOT_NONE.
 */
static inline u32 vlb_slots_get(struct vlb_slots *slots, unsigned int order)
{
	u32 first = slots->parked[order];

	if (unlikely(first == VLB_SLOT_NONE))
		return vlb_slots_get_fresh(slots, order);
	slots->parked[order] = slots->link[first];
	slots->used += 1U << order;
	return first;
}

/**
 * vlb_slots_put() - give a run back
 * @slots: the allocator
 * @first: from vlb_slots_get()
 * @order: the same
 */
static inline void vlb_slots_put(struct vlb_slots *slots, u32 first, unsigned int order)
{
	slots->link[first] = slots->parked[order];
	slots->parked[order] = first;
	slots->used -= 1U << order;
}

/* The caller's word for a slot that is handed out. */
static inline void vlb_slots_tag(struct vlb_slots *slots, u32 first, u32 tag)
{
	slots->link[first] = tag;
}

static inline u32 vlb_slots_tag_of(const struct vlb_slots *slots, u32 granule)
{
	return slots->link[granule];
}

#endif /* VLB_SLOTS_H */
