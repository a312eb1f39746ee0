// SPDX-License-Identifier: BSD-3-Clause
#include "backends/common/inflight-packed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void write_state(struct inflight_packed *q, const struct packed_record_state *state)
{
	q->used_idx = state->used_idx;
	q->used_wrap = state->used_wrap;
	inflight_packed_free_heads(q->record, state->free_head, state->free_head);
	inflight_barrier();
	inflight_packed_used(q, state->used_idx, state->used_wrap);
}

/* A record of a ring in which nothing is in flight. It does not count before it has its version. */
static void begin_record(struct inflight_packed *q, unsigned int queue_size, unsigned int num,
			 const struct packed_record_state *state)
{
	struct packed_record *record = q->record;
	unsigned int i;

	WRITE_ONCE(record->version, 0);
	inflight_barrier();
	record->features = 0;
	record->desc_num = (uint16_t)queue_size;
	for (i = 0; i < num; i++)
		record->desc[i] = (struct packed_record_desc){ .next = (uint16_t)(i + 1) };
	write_state(q, state);
	inflight_barrier();
	WRITE_ONCE(record->version, PACKED_RECORD_VERSION);
}

static bool anything_inflight(const struct packed_record *record, unsigned int num)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		if (record->desc[i].inflight)
			return true;
	return false;
}

/*
 * Settles what the last instance was doing. What was found out before stays true at each step: a
 * death in between changes nothing.
 */
static void settle(struct inflight_packed *q, unsigned int num,
		   const struct packed_record_state *state, struct packed_record_desc *entries)
{
	uint16_t i = state->free_head;

	while (i < num) {
		WRITE_ONCE(q->record->desc[i].inflight, 0);
		entries[i].inflight = 0;
		i = entries[i].next;
	}
	inflight_barrier();
	write_state(q, state);
}

/* @copy: of the record, which the front-end could change meanwhile */
static int resume(struct inflight_packed *q, const struct packed_record *copy, unsigned int num,
		  const struct vring_packed_desc *ring, struct packed_record_state *state,
		  struct packed_record_desc *entries, uint16_t *replay)
{
	struct packed_record_chain *chains;
	struct packed_record_state found;
	unsigned int i;
	int ret;

	chains = calloc(num, sizeof(*chains));
	if (!chains)
		return -ENOMEM;
	ret = packed_record_read(copy, num, ring, &found, chains);
	for (i = 0; !ret && i < found.count; i++)
		replay[i] = chains[i].head;
	free(chains);
	if (ret)
		return ret;
	memcpy(entries, copy->desc, num * sizeof(*entries));
	*state = found;
	settle(q, num, state, entries);
	return (int)found.count;
}

static int take_over(struct inflight_packed *q, const struct packed_record *copy,
		     unsigned int queue_size, unsigned int num,
		     const struct vring_packed_desc *ring, struct packed_record_state *state,
		     struct packed_record_desc *entries, uint16_t *replay)
{
	bool ours = copy->version == PACKED_RECORD_VERSION && copy->desc_num == queue_size;
	int ret = -EINVAL;

	if (ours)
		ret = resume(q, copy, num, ring, state, entries, replay);
	/*
	 * Fresh memory; or a record of another ring, e.g. of another size, in which all was
	 * answered: the driver began anew.
	 */
	if (copy->version == 0 || (ours && ret == -EINVAL && !anything_inflight(copy, num))) {
		begin_record(q, queue_size, num, state);
		ret = 0;
	}
	return ret;
}

/* Return: NULL when there is no room for it. */
static struct packed_record *find_record(const struct inflight_area *area, unsigned int index,
					 unsigned int num)
{
	size_t stride = packed_record_size(area->queue_size);

	if (!area->map || index >= area->num_queues || num > area->queue_size ||
	    area->len < stride * area->num_queues)
		return NULL;
	return (struct packed_record *)(void *)(area->base + index * stride);
}

void inflight_packed_forget(const struct inflight_area *area, unsigned int index, unsigned int num)
{
	struct packed_record *record = find_record(area, index, num);

	if (record && !anything_inflight(record, num))
		WRITE_ONCE(record->version, 0);
}

int inflight_packed_start(struct inflight_packed *q, const struct inflight_area *area,
			  unsigned int index, unsigned int num,
			  const struct vring_packed_desc *ring, struct packed_record_state *state,
			  struct packed_record_desc *entries, uint16_t *replay)
{
	size_t size = sizeof(struct packed_record) + num * sizeof(struct packed_record_desc);
	struct packed_record *copy;
	int ret;

	*q = (struct inflight_packed){ 0 };
	if (!area->map)
		return 0;
	q->record = find_record(area, index, num);
	if (!q->record)
		return -EINVAL;
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, q->record, size);
	ret = take_over(q, copy, area->queue_size, num, ring, state, entries, replay);
	free(copy);
	return ret;
}
