/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes on their way between two threads, without a lock: one puts, the other takes. Both count
 * them as the stream does, so that a count is a position in the stream.
 */
#ifndef SND_BYTE_RING_H
#define SND_BYTE_RING_H

#include <stddef.h>
#include <stdint.h>

struct byte_ring {
	uint8_t *data;
	size_t size; /* a power of two */
	uint64_t put; /* written by the one */
	uint64_t taken; /* written by the other */
};

/* byte_ring_init() - room for at least @room bytes; Return: 0 or -ENOMEM */
int byte_ring_init(struct byte_ring *ring, size_t room);
void byte_ring_finish(struct byte_ring *ring);

/* byte_ring_reset() - empty, at position @at; nobody may work on it meanwhile */
void byte_ring_reset(struct byte_ring *ring, uint64_t at);

static inline uint64_t byte_ring_put_position(const struct byte_ring *ring)
{
	return __atomic_load_n(&ring->put, __ATOMIC_ACQUIRE);
}

static inline uint64_t byte_ring_taken_position(const struct byte_ring *ring)
{
	return __atomic_load_n(&ring->taken, __ATOMIC_ACQUIRE);
}

/* byte_ring_used(), byte_ring_room() - bytes that can be taken, that can be put */
static inline size_t byte_ring_used(const struct byte_ring *ring)
{
	return (size_t)(byte_ring_put_position(ring) - byte_ring_taken_position(ring));
}

static inline size_t byte_ring_room(const struct byte_ring *ring)
{
	return ring->size - byte_ring_used(ring);
}

/* byte_ring_put(), byte_ring_take() - @len must be there to be put, or taken */
void byte_ring_put(struct byte_ring *ring, const void *buf, size_t len);
void byte_ring_take(struct byte_ring *ring, void *buf, size_t len);

#endif
