/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight records, as the vhost-user document lays them out ("Inflight I/O tracking"): shared
 * memory that the front-end keeps when the back-end dies, so that the next one knows which requests
 * were taken and not answered, and in which order. Here are the memory itself and the records of
 * split virtqueues; those of packed ones are in inflight-packed.h.
 *
 * The record is written in the order of the document, step by step. It need not survive a crash of
 * the machine but of this process only, so the order of the stores is what counts, and compiler
 * barriers are enough.
 *
 * The front-end can write the record at any time. It is read once, at start, and checked; while
 * the queue runs it is only written, from values kept in private memory.
 */
#ifndef VU_INFLIGHT_H
#define VU_INFLIGHT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/util.h"
#include "vhost-user/protocol.h"

#define INFLIGHT_VERSION 1
#define INFLIGHT_ALIGN 64

/* "DescStateSplit" */
struct inflight_desc {
	uint8_t inflight; /* taken and not answered */
	uint8_t padding[5];
	uint16_t next; /* the entry before in the last batch of answers */
	uint64_t counter; /* order in which they were taken */
};
static_assert(sizeof(struct inflight_desc) == 16, "DescStateSplit");

/* "QueueRegionSplit" */
struct inflight_region {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_desc desc[];
};
static_assert(sizeof(struct inflight_region) == 16, "QueueRegionSplit");

/* The shared memory of all queues. How much of it is one queue's depends on the layout of rings. */
struct inflight_area {
	void *map;
	size_t map_len;
	uint8_t *base; /* of queue 0 */
	size_t len; /* from there on */
	unsigned int num_queues;
	unsigned int queue_size;
};

/*
 * The record of one queue, while it runs. @region is NULL when there is none: then nothing is
 * done.
 */
struct inflight_queue {
	struct inflight_region *region;
	uint64_t counter;
	uint16_t last_batch_head;
};

void inflight_area_init(struct inflight_area *area);
void inflight_area_finish(struct inflight_area *area);

/**
 * inflight_area_create() - make the memory, for GET_INFLIGHT_FD
 * @num_queues:	from the message
 * @queue_size:	from the message
 * @desc:	filled in for the reply
 *
 * There is room for either layout: which one it is to be need not be settled yet.
 *
 * Return: a memfd, sealed against shrinking and growing, which the caller owns, or a negative
 * errno.
 */
int inflight_area_create(unsigned int num_queues, unsigned int queue_size,
			 struct vhost_user_inflight *desc);

/**
 * inflight_area_attach() - map the memory, for SET_INFLIGHT_FD
 * @area:	initialised; what it held before is released
 * @desc:	from the message
 * @fd:		from the message; stays the caller's
 *
 * Return: 0, -EINVAL for numbers that do not fit together or a file too short, or a negative errno.
 */
int inflight_area_attach(struct inflight_area *area, const struct vhost_user_inflight *desc,
			 int fd);

/* inflight_area_clear() - forget all that is in flight: the device is reset */
void inflight_area_clear(const struct inflight_area *area);

/**
 * inflight_start() - take over the record of a queue that is about to run
 * @q:		filled in
 * @area:	the memory; without any there is no record, and nothing to do later
 * @index:	of the queue
 * @num:	size of the queue
 * @used_idx:	the index in the used ring
 * @replay:	room for @num heads: those to be submitted again, in their order
 *
 * Return: number of heads in @replay, or -EINVAL for a record that cannot be of this
 * queue, -ENOMEM.
 */
int inflight_start(struct inflight_queue *q, const struct inflight_area *area, unsigned int index,
		   unsigned int num, uint16_t used_idx, uint16_t *replay);

#define inflight_barrier() __asm__ __volatile__("" ::: "memory")

/* inflight_take() - a request was taken from the available ring */
static inline void inflight_take(struct inflight_queue *q, uint16_t head)
{
	struct inflight_desc *d;

	if (!q->region)
		return;
	d = &q->region->desc[head];
	WRITE_ONCE(d->counter, q->counter);
	q->counter++;
	inflight_barrier();
	WRITE_ONCE(d->inflight, 1);
}

/* inflight_untake() - the request that was taken last was not taken after all */
static inline void inflight_untake(struct inflight_queue *q, uint16_t head)
{
	if (q->region)
		WRITE_ONCE(q->region->desc[head].inflight, 0);
}

/* inflight_answer() - a request joins the batch of answers, before the used index moves */
static inline void inflight_answer(struct inflight_queue *q, uint16_t head)
{
	if (!q->region)
		return;
	WRITE_ONCE(q->region->desc[head].next, q->last_batch_head);
	inflight_barrier();
	WRITE_ONCE(q->region->last_batch_head, head);
	q->last_batch_head = head;
}

/* inflight_published() - the used index has moved past the batch */
static inline void inflight_published(struct inflight_queue *q, const uint16_t *batch,
				      unsigned int n, uint16_t used_idx)
{
	unsigned int i;

	if (!q->region)
		return;
	inflight_barrier();
	for (i = 0; i < n; i++)
		WRITE_ONCE(q->region->desc[batch[i]].inflight, 0);
	inflight_barrier();
	WRITE_ONCE(q->region->used_idx, used_idx);
}

#endif
