// SPDX-License-Identifier: GPL-2.0-only
#include <linux/rbtree.h>

#include "ranges.h"

static struct vlb_range *vlb_range_of(struct rb_node *node)
{
	return node ? rb_entry(node, struct vlb_range, node) : NULL;
}

/**
 * vlb_ranges_init() - all pages free
 * @ranges: to be set up
 * @nr:     pages
 */
void vlb_ranges_init(struct vlb_ranges *ranges, u64 nr)
{
	ranges->root = RB_ROOT;
	ranges->nr = nr;
	ranges->hint = 0;
	ranges->used = 0;
}

/* The first run that ends behind a page. */
static struct vlb_range *vlb_ranges_behind(const struct vlb_ranges *ranges, u64 page)
{
	struct rb_node *node = ranges->root.rb_node;
	struct vlb_range *found = NULL;

	while (node) {
		struct vlb_range *range = vlb_range_of(node);

		if (page < range->first + range->count) {
			found = range;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/* The first gap of @count pages in [@from, @to), or @to. */
static u64 vlb_ranges_search(const struct vlb_ranges *ranges, u64 from, u64 to, u64 count)
{
	struct vlb_range *range = vlb_ranges_behind(ranges, from);

	while (from < to && count <= to - from) {
		if (!range || (range->first > from && range->first - from >= count))
			return from;
		from = range->first + range->count;
		range = vlb_range_of(rb_next(&range->node));
	}
	return to;
}

static void vlb_ranges_insert(struct vlb_ranges *ranges, struct vlb_range *range)
{
	struct rb_node **link = &ranges->root.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (range->first < vlb_range_of(parent)->first)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&range->node, parent, link);
	rb_insert_color(&range->node, &ranges->root);
}

/**
 * vlb_ranges_take() - take a run of pages
 * @ranges: the allocator
 * @range:  filled in; the caller's memory, until it is given back
 * @count:  pages, not 0
 *
 * Return: false when there is no such run.
 */
bool vlb_ranges_take(struct vlb_ranges *ranges, struct vlb_range *range, u64 count)
{
	u64 first;

	if (!count || count > ranges->nr)
		return false;
	first = vlb_ranges_search(ranges, ranges->hint, ranges->nr, count);
	if (first == ranges->nr) {
		/* What begins before the hint may reach beyond it. */
		first = vlb_ranges_search(ranges, 0, ranges->nr, count);
		if (first == ranges->nr)
			return false;
	}
	range->first = first;
	range->count = count;
	vlb_ranges_insert(ranges, range);
	ranges->hint = first + count;
	ranges->used += count;
	return true;
}

/**
 * vlb_ranges_give() - give a run back
 * @ranges: the allocator
 * @range:  from vlb_ranges_take()
 */
void vlb_ranges_give(struct vlb_ranges *ranges, struct vlb_range *range)
{
	rb_erase(&range->node, &ranges->root);
	ranges->used -= range->count;
}

/**
 * vlb_ranges_find() - the run that a page belongs to
 * @ranges: the allocator
 * @page:   any number
 *
 * Return: the run or NULL.
 */
struct vlb_range *vlb_ranges_find(const struct vlb_ranges *ranges, u64 page)
{
	struct vlb_range *range = vlb_ranges_behind(ranges, page);

	return range && range->first <= page ? range : NULL;
}

/* Any run that is taken, or NULL. */
struct vlb_range *vlb_ranges_first(const struct vlb_ranges *ranges)
{
	return vlb_range_of(rb_first(&ranges->root));
}
