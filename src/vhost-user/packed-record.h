/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight record of a packed virtqueue, as the vhost-user document lays it out ("Inflight
 * I/O tracking"). The back-end writes it; whoever comes after a back-end that died reads it: the
 * next back-end, to go on, and the front-end, to say in SET_VRING_BASE where.
 *
 * A packed ring forgets: what was used is written over what was available. So the record holds a
 * copy of each descriptor that is in flight, in entries that are linked to chains. Entries that
 * hold nothing are linked as well: the free list. The chain that begins at an entry with @inflight
 * set, and that is not on the free list, was taken and not answered.
 *
 * There are two states in it: the one that is being made (@free_head, @used_idx,
 * @used_wrap_counter), and the last one that was complete (@old_...). Which of them counts is told
 * by the ring: whether the answer stands there.
 */
#ifndef VHOST_USER_PACKED_RECORD_H
#define VHOST_USER_PACKED_RECORD_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "common/util.h"

#define PACKED_RECORD_VERSION 1
#define PACKED_RECORD_ALIGN 64

/* SET_VRING_BASE and GET_VRING_BASE of a packed ring: an index and its wrap counter, twice */
#define PACKED_BASE_WRAP 0x8000U
#define PACKED_BASE_USED_SHIFT 16
/* ... of one that was never used */
#define PACKED_BASE_FRESH 0x80008000U

/* Index and wrap counter as they stand in each half of a base, and in event offsets (2.8.10) */
static inline uint16_t packed_position(uint16_t idx, bool wrap)
{
	return (uint16_t)(idx | (wrap ? PACKED_BASE_WRAP : 0));
}

/* The position that is @steps, at most a whole ring, behind another one */
static inline void packed_advance(uint16_t *idx, bool *wrap, unsigned int steps, unsigned int num)
{
	unsigned int at = *idx + steps;

	if (at >= num) {
		at -= num;
		*wrap = !*wrap;
	}
	*idx = (uint16_t)at;
}

#define PACKED_AVAIL BIT_ULL(VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED BIT_ULL(VRING_PACKED_DESC_F_USED)

/* What the flags of a descriptor say to the one whose wrap counter it is (2.8.1) */
static inline bool packed_is_available(uint16_t flags, bool wrap)
{
	bool avail = flags & PACKED_AVAIL;
	bool used = flags & PACKED_USED;

	return avail == wrap && used != wrap;
}

static inline bool packed_is_used(uint16_t flags, bool wrap)
{
	bool avail = flags & PACKED_AVAIL;
	bool used = flags & PACKED_USED;

	return avail == wrap && used == wrap;
}

/* "DescStatePacked" */
struct packed_record_desc {
	uint8_t inflight; /* taken and not answered; of the first of a chain */
	uint8_t padding;
	uint16_t next; /* in the chain or the free list, which both go on there */
	uint16_t last; /* of the chain; in its first */
	uint16_t num; /* length of the chain; in its first */
	uint64_t counter; /* order in which they were taken; in the first */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};
static_assert(sizeof(struct packed_record_desc) == 32, "DescStatePacked");

/*
 * "QueueRegionPacked". What belongs together is also one word, to be stored at once: then there is
 * no moment at which half of it is new.
 */
struct packed_record {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	union {
		struct {
			uint16_t free_head;
			uint16_t old_free_head;
		};
		uint32_t free_heads;
	};
	union {
		struct {
			uint16_t used_idx;
			uint16_t old_used_idx;
			uint8_t used_wrap_counter;
			uint8_t old_used_wrap_counter;
		};
		uint64_t used;
	};
	uint64_t padding;
	struct packed_record_desc desc[];
};
static_assert(offsetof(struct packed_record, old_free_head) == 14, "QueueRegionPacked");
static_assert(offsetof(struct packed_record, used_idx) == 16, "QueueRegionPacked");
static_assert(offsetof(struct packed_record, old_used_wrap_counter) == 21, "QueueRegionPacked");
static_assert(sizeof(struct packed_record) == 32, "QueueRegionPacked");

/* packed_record_size() - bytes of one virtqueue; the next one's record begins behind them */
static inline size_t packed_record_size(unsigned int queue_size)
{
	return ALIGN_UP(sizeof(struct packed_record) +
				queue_size * sizeof(struct packed_record_desc),
			PACKED_RECORD_ALIGN);
}

/* A chain in flight */
struct packed_record_chain {
	uint64_t counter;
	uint16_t head; /* its first entry */
};

/* What a record says, once the step in which the back-end ended is settled */
struct packed_record_state {
	uint16_t used_idx; /* next to be used */
	bool used_wrap;
	uint16_t avail_idx; /* next to be taken */
	bool avail_wrap;
	uint16_t free_head;
	unsigned int count; /* chains in flight */
};

/**
 * packed_record_read() - understand a record
 * @record:	a private copy of it, with @num entries
 * @num:	descriptors of the ring
 * @ring:	the ring; one descriptor is looked at
 * @state:	filled in
 * @chains:	room for @num; filled in, in the order in which they were taken
 *
 * All of it is hostile: entries that are linked in circles, in two chains at once, or not at all.
 *
 * Return: 0, -EINVAL for what cannot be a record of such a ring, -ENOMEM.
 */
int packed_record_read(const struct packed_record *record, unsigned int num,
		       const struct vring_packed_desc *ring, struct packed_record_state *state,
		       struct packed_record_chain *chains);

#endif
