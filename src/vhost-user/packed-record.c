// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/packed-record.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/*
 * Which of the two states counts. When they differ, an answer was under way. It was given if the
 * descriptor where it belongs is not as the driver made it available: then it is used, or the
 * driver has taken the answer and made the descriptor available in its next lap.
 *
 * The indices alone do not tell whether the states differ: a chain as long as the ring ends where
 * it began.
 */
static int choose_state(const struct packed_record *record, unsigned int num,
			const struct vring_packed_desc *ring, struct packed_record_state *state)
{
	bool wrap = record->used_wrap_counter & 1;
	bool old_wrap = record->old_used_wrap_counter & 1;
	bool given = false;

	if (record->used_idx >= num || record->old_used_idx >= num)
		return -EINVAL;
	if (record->used_idx != record->old_used_idx || wrap != old_wrap) {
		const uint16_t *at = &ring[record->old_used_idx].flags;
		uint16_t flags = le16toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));

		given = !packed_is_available(flags, old_wrap);
	}
	state->used_idx = given ? record->used_idx : record->old_used_idx;
	state->used_wrap = given ? wrap : old_wrap;
	state->free_head = given ? record->free_head : record->old_free_head;
	return 0;
}

/* The free list ends with a link that is no entry. Return: its length. */
static int mark_free(const struct packed_record *record, unsigned int num, uint16_t free_head,
		     uint8_t *seen)
{
	uint16_t i = free_head;
	int length = 0;

	while (i < num) {
		if (seen[i])
			return -EINVAL;
		seen[i] = 1;
		length++;
		i = record->desc[i].next;
	}
	return length;
}

/* Return: its length. */
static int mark_chain(const struct packed_record *record, unsigned int num, uint16_t head,
		      uint8_t *seen)
{
	unsigned int length = record->desc[head].num;
	uint16_t i = head, last = head;
	unsigned int n;

	if (!length || length > num)
		return -EINVAL;
	for (n = 0; n < length; n++) {
		if (i >= num || seen[i])
			return -EINVAL;
		seen[i] = 1;
		last = i;
		i = record->desc[i].next;
	}
	return last == record->desc[head].last ? (int)length : -EINVAL;
}

static int compare_counters(const void *a, const void *b)
{
	const struct packed_record_chain *x = a;
	const struct packed_record_chain *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (int)x->head - (int)y->head;
}

/* @seen: [@num] zeroed */
static int find_chains(const struct packed_record *record, unsigned int num,
		       struct packed_record_state *state, struct packed_record_chain *chains,
		       uint8_t *seen)
{
	unsigned int i, slots = 0;
	int unused, ret;

	unused = mark_free(record, num, state->free_head, seen);
	if (unused < 0)
		return unused;
	for (i = 0; i < num; i++) {
		/* a mark on the free list was left by a request that was taken by half */
		if (seen[i] == 1 || !record->desc[i].inflight)
			continue;
		chains[state->count].counter = record->desc[i].counter;
		chains[state->count++].head = (uint16_t)i;
	}
	for (i = 0; i < state->count; i++) {
		ret = mark_chain(record, num, chains[i].head, seen);
		if (ret < 0)
			return ret;
		slots += (unsigned int)ret;
	}
	if (slots + (unsigned int)unused != num)
		return -EINVAL;
	qsort(chains, state->count, sizeof(*chains), compare_counters);
	state->avail_idx = state->used_idx;
	state->avail_wrap = state->used_wrap;
	packed_advance(&state->avail_idx, &state->avail_wrap, slots, num);
	return 0;
}

int packed_record_read(const struct packed_record *record, unsigned int num,
		       const struct vring_packed_desc *ring, struct packed_record_state *state,
		       struct packed_record_chain *chains)
{
	uint8_t *seen;
	int ret;

	*state = (struct packed_record_state){ 0 };
	if (record->version != PACKED_RECORD_VERSION || record->desc_num < num)
		return -EINVAL;
	ret = choose_state(record, num, ring, state);
	if (ret)
		return ret;
	seen = calloc(num, 1);
	if (!seen)
		return -ENOMEM;
	ret = find_chains(record, num, state, chains, seen);
	free(seen);
	return ret;
}
