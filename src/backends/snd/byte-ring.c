// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/byte-ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

int byte_ring_init(struct byte_ring *ring, size_t room)
{
	size_t size = 4096;

	while (size < room)
		size *= 2;
	*ring = (struct byte_ring){ .data = malloc(size), .size = size };
	return ring->data ? 0 : -ENOMEM;
}

void byte_ring_finish(struct byte_ring *ring)
{
	free(ring->data);
	*ring = (struct byte_ring){ 0 };
}

void byte_ring_reset(struct byte_ring *ring, uint64_t at)
{
	__atomic_store_n(&ring->put, at, __ATOMIC_RELEASE);
	__atomic_store_n(&ring->taken, at, __ATOMIC_RELEASE);
}

void byte_ring_put(struct byte_ring *ring, const void *buf, size_t len)
{
	size_t at = (size_t)ring->put & (ring->size - 1);
	size_t part = MIN(len, ring->size - at);

	memcpy(ring->data + at, buf, part);
	memcpy(ring->data, (const uint8_t *)buf + part, len - part);
	__atomic_store_n(&ring->put, ring->put + len, __ATOMIC_RELEASE);
}

void byte_ring_take(struct byte_ring *ring, void *buf, size_t len)
{
	size_t at = (size_t)ring->taken & (ring->size - 1);
	size_t part = MIN(len, ring->size - at);

	memcpy(buf, ring->data + at, part);
	memcpy((uint8_t *)buf + part, ring->data, len - part);
	__atomic_store_n(&ring->taken, ring->taken + len, __ATOMIC_RELEASE);
}
