/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ranges - which parts of a window's address space are taken
 *
 * Hands out runs of pages, the next one always behind the last, so that an address that
 * somebody still has in mind is used again as late as can be. It knows numbers of pages
 * only: no addresses, no memory, no locks (the caller serialises).
 */
#ifndef VLB_RANGES_H
#define VLB_RANGES_H

#include <linux/rbtree.h>
#include <linux/types.h>

/**
 * struct vlb_range - a run of pages that is taken; part of what the caller keeps about it
 * @node:  in the tree, by @first
 * @first: first page
 * @count: pages
 */
struct vlb_range {
	struct rb_node node;
	u64 first;
	u64 count;
};

/**
 * struct vlb_ranges - the allocator
 * @root: the runs that are taken
 * @nr:   pages
 * @hint: where the search goes on
 * @used: pages that are taken
 */
struct vlb_ranges {
	struct rb_root root;
	u64 nr;
	u64 hint;
	u64 used;
};

void vlb_ranges_init(struct vlb_ranges *ranges, u64 nr);
bool vlb_ranges_take(struct vlb_ranges *ranges, struct vlb_range *range, u64 count);
void vlb_ranges_give(struct vlb_ranges *ranges, struct vlb_range *range);
struct vlb_range *vlb_ranges_find(const struct vlb_ranges *ranges, u64 page);
struct vlb_range *vlb_ranges_first(const struct vlb_ranges *ranges);

#endif /* VLB_RANGES_H */
