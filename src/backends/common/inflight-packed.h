/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeping the in-flight record of a packed virtqueue. Its layout, and what can be read from it, is
 * in vhost-user/packed-record.h.
 *
 * As with the record of a split virtqueue, the order of the stores is what counts, and compiler
 * barriers are enough; and while the queue runs it is only written: the queue has its own copy of
 * all entries, which it works with (struct vq_packed), and which the record follows.
 *
 * One answer is under way at a time. With several, the ring would have used descriptors that lie
 * behind one that is not used yet; a process that dies there leaves them, and they would count as
 * soon as the next one answers the request before them.
 */
#ifndef VU_INFLIGHT_PACKED_H
#define VU_INFLIGHT_PACKED_H

#include "backends/common/inflight.h"
#include "vhost-user/packed-record.h"

/* @record is NULL when there is none: then nothing is done. */
struct inflight_packed {
	struct packed_record *record;
	uint16_t used_idx;
	bool used_wrap;
};

/**
 * inflight_packed_start() - take over the record of a queue that is about to run
 * @q:		filled in
 * @area:	the memory; without any there is no record
 * @index:	of the queue
 * @num:	size of the queue
 * @ring:	its descriptors
 * @state:	where the front-end says that the ring goes on; where the record says it, if there
 *		is one
 * @entries:	[@num] filled in if there is a record that was in use
 * @replay:	room for @num: the first entries of the chains to be submitted again, in their order
 *
 * Return: number of entries in @replay, or -EINVAL for a record that cannot be of this
 * queue, -ENOMEM.
 */
int inflight_packed_start(struct inflight_packed *q, const struct inflight_area *area,
			  unsigned int index, unsigned int num,
			  const struct vring_packed_desc *ring, struct packed_record_state *state,
			  struct packed_record_desc *entries, uint16_t *replay);

/*
 * inflight_packed_forget() - the front-end has been told where the ring was stopped
 *
 * With nothing in flight the record begins anew at the next start, where the front-end says: the
 * driver may have reset the queue. After a death it is the record that knows, and the front-end
 * may have to guess.
 */
void inflight_packed_forget(const struct inflight_area *area, unsigned int index, unsigned int num);

static inline void inflight_packed_free_heads(struct packed_record *record, uint16_t new,
					      uint16_t old)
{
	union {
		uint16_t heads[2];
		uint32_t word;
	} both = { .heads = { new, old } };

	WRITE_ONCE(record->free_heads, both.word);
}

/* The answer that is being given ends at @idx, @wrap; @q knows where the last one did. */
static inline void inflight_packed_used(const struct inflight_packed *q, uint16_t idx, bool wrap)
{
	struct packed_record both = {
		.used_idx = idx,
		.old_used_idx = q->used_idx,
		.used_wrap_counter = wrap,
		.old_used_wrap_counter = q->used_wrap,
	};

	WRITE_ONCE(q->record->used, both.used);
}

/*
 * inflight_packed_take() - a chain was taken. Its entries count once they are off the free list.
 */
static inline void inflight_packed_take(struct inflight_packed *q,
					const struct packed_record_desc *entries, uint16_t head,
					uint16_t free_head)
{
	uint16_t n, i = head;

	if (!q->record)
		return;
	for (n = 0; n < entries[head].num; n++) {
		q->record->desc[i] = entries[i];
		i = entries[i].next;
	}
	inflight_barrier();
	inflight_packed_free_heads(q->record, free_head, free_head);
}

/* inflight_packed_untake() - @head, which is linked to the free list, was not taken after all */
static inline void inflight_packed_untake(struct inflight_packed *q,
					  const struct packed_record_desc *entries, uint16_t head)
{
	uint16_t last = entries[head].last;

	if (!q->record)
		return;
	WRITE_ONCE(q->record->desc[last].next, entries[last].next);
	inflight_barrier();
	inflight_packed_free_heads(q->record, head, head);
	inflight_barrier();
	WRITE_ONCE(q->record->desc[head].inflight, 0);
}

/**
 * inflight_packed_answer() - a chain is about to be answered
 * @q:		the record
 * @entries:	the queue's entries
 * @head:	the chain, which is linked to the free list
 * @free_head:	the free list as it is without it
 * @idx:	where the used position will be
 * @wrap:	with its wrap counter
 */
static inline void inflight_packed_answer(struct inflight_packed *q,
					  const struct packed_record_desc *entries, uint16_t head,
					  uint16_t free_head, uint16_t idx, bool wrap)
{
	if (!q->record)
		return;
	WRITE_ONCE(q->record->desc[entries[head].last].next, free_head);
	inflight_packed_free_heads(q->record, head, free_head);
	inflight_barrier();
	inflight_packed_used(q, idx, wrap);
	inflight_barrier();
}

/* inflight_packed_answered() - the driver can see that answer */
static inline void inflight_packed_answered(struct inflight_packed *q, uint16_t head, uint16_t idx,
					    bool wrap)
{
	if (!q->record)
		return;
	inflight_barrier();
	WRITE_ONCE(q->record->desc[head].inflight, 0);
	inflight_barrier();
	inflight_packed_free_heads(q->record, head, head);
	inflight_barrier();
	q->used_idx = idx;
	q->used_wrap = wrap;
	inflight_packed_used(q, idx, wrap);
}

#endif
