// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/replay.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

/* The driver fills its ring and then waits: after so many looks it has come to rest. */
#define SNAPSHOT_TRIES 1000

/* Ring fields are little-endian: VIRTIO_F_VERSION_1 is always on. */
static uint16_t ring_u16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
}

/* Marks in @used which heads stand in the used ring and have not been taken. */
static int mark_used(const struct replay_ring *ring, uint16_t end, uint8_t *used)
{
	uint16_t i;

	if ((uint16_t)(end - ring->taken) > ring->num)
		return -EPROTO;
	for (i = ring->taken; i != end; i++) {
		uint32_t id = le32toh(READ_ONCE(ring->used->ring[i & (ring->num - 1)].id));

		if (id >= ring->num || used[id])
			return -EPROTO;
		used[id] = 1;
	}
	return 0;
}

int replay_split(const struct replay_ring *ring, uint16_t published, uint16_t *base)
{
	_cleanup_free_ uint8_t *used = calloc(ring->num, 1);
	uint16_t end = ring_u16(&ring->used->idx);
	uint16_t unused = (uint16_t)(published - end);
	unsigned int i, left = 0;
	uint16_t at;
	int ret;

	if (!used)
		return -ENOMEM;
	ret = mark_used(ring, end, used);
	if (ret)
		return ret; /* NOLINT(clang-analyzer-unix.Malloc) */
	for (i = 0; i < ring->count; i++) {
		if (ring->heads[i] >= ring->num)
			return -EPROTO;
		left += !used[ring->heads[i]];
	}
	/* two ways to count the same, and only one of them is the back-end's word */
	if (left != unused)
		return -EPROTO;
	at = (uint16_t)(published - unused);
	*base = at;
	for (i = 0; i < ring->count; i++) {
		if (used[ring->heads[i]])
			continue;
		ring->avail->ring[at & (ring->num - 1)] = htole16(ring->heads[i]);
		at++;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return 0;
}

/* ---- one virtqueue of a device ---- */

struct windows {
	struct pool_window avail;
	struct pool_window used;
};

static void windows_unmap(struct windows *w)
{
	pool_unmap(&w->avail);
	pool_unmap(&w->used);
}

static int windows_map(const struct pool *pool, const struct virtio_loopback_queue *queue,
		       struct windows *w, struct failure *failure)
{
	int ret;

	if (!queue->num || (queue->num & (queue->num - 1)))
		return failure_set(failure, -EINVAL, "virtqueue %u: %u entries are no split ring's",
				   queue->index, queue->num);
	ret = pool_map(pool, queue->driver_addr, sizeof(uint16_t) * (3ULL + queue->num), &w->avail);
	if (!ret)
		ret = pool_map(pool, queue->device_addr,
			       sizeof(uint16_t) * 3 +
				       sizeof(struct vring_used_elem) * (uint64_t)queue->num,
			       &w->used);
	return ret ? failure_set(failure, ret, "virtqueue %u: cannot map its rings: %s",
				 queue->index, strerror(-ret)) :
		     0;
}

/*
 * Reads the kernel's record and the two indices that go with it such that they belong together:
 * nothing was taken and nothing published in between.
 */
static int snapshot(struct device *device, struct replay_ring *ring, unsigned int index,
		    uint16_t *heads, uint16_t *published)
{
	struct virtio_loopback_queue before, after;
	unsigned int try;
	int ret;

	for (try = 0; try < SNAPSHOT_TRIES; try++) {
		uint16_t first = ring_u16(&ring->avail->idx);

		ret = device_get_queue(device, index, &before);
		if (!ret)
			ret = device_get_outstanding(device, index, heads, ring->num, &ring->count);
		if (!ret)
			ret = device_get_queue(device, index, &after);
		if (ret)
			return ret;
		*published = ring_u16(&ring->avail->idx);
		ring->taken = (uint16_t)after.used_index;
		/* The last condition waits for a request that is recorded and not yet published. */
		if (first == *published && before.used_index == after.used_index &&
		    ring->count <= ring->num && ring->count == (uint16_t)(*published - ring->taken))
			return 0;
	}
	return -EBUSY;
}

int replay_from_record(struct device *device, const struct pool *pool,
		       const struct virtio_loopback_queue *queue, uint32_t *base,
		       struct failure *failure)
{
	_cleanup_free_ uint16_t *heads = NULL;
	_cleanup_(windows_unmap) struct windows w = { 0 };
	struct replay_ring ring = { .num = queue->num };
	uint16_t published, first;
	int ret;

	if (!(device->info.capabilities & VIRTIO_LOOPBACK_CAP_OUTSTANDING))
		return failure_set(failure, -EOPNOTSUPP,
				   "the kernel module keeps no record of outstanding requests");
	ret = windows_map(pool, queue, &w, failure);
	if (ret)
		return ret;
	heads = calloc(queue->num, sizeof(*heads));
	if (!heads)
		return -ENOMEM;
	ring.avail = w.avail.data;
	ring.used = w.used.data;
	ring.heads = heads;
	ret = snapshot(device, &ring, queue->index, heads, &published);
	if (!ret)
		ret = replay_split(&ring, published, &first);
	if (ret) /* NOLINT(clang-analyzer-unix.Malloc) */
		return failure_set(
			failure, ret,
			"virtqueue %u: its used ring and the kernel's record contradict each "
			"other: nothing can be offered again",
			queue->index);
	*base = first;
	return 0;
}

int replay_from_inflight(const struct pool *pool, const struct virtio_loopback_queue *queue,
			 uint32_t *base, struct failure *failure)
{
	_cleanup_(windows_unmap) struct windows w = { 0 };
	uint16_t used, published;
	int ret;

	ret = windows_map(pool, queue, &w, failure);
	if (ret)
		return ret;
	/* In this order: the driver may publish more, and no more than fits behind what is used. */
	used = ring_u16(&((const struct vring_used *)w.used.data)->idx);
	published = ring_u16(&((const struct vring_avail *)w.avail.data)->idx);
	if ((uint16_t)(published - used) > queue->num)
		return failure_set(failure, -EPROTO,
				   "virtqueue %u: its back-end left nonsense in the used ring: "
				   "nothing can be offered again",
				   queue->index);
	*base = used;
	return 0;
}

/* ---- packed ---- */

int replay_packed(const struct packed_record *record, size_t size, unsigned int num,
		  const struct vring_packed_desc *ring, uint32_t *base)
{
	_cleanup_free_ struct packed_record_chain *chains = NULL;
	struct packed_record_state state;
	int ret;

	if (size < sizeof(*record))
		return -EPROTO;
	if (!record->version) { /* it was made, and no ring begun */
		*base = PACKED_BASE_FRESH;
		return 0;
	}
	if (!num || (size - sizeof(*record)) / sizeof(record->desc[0]) < num)
		return -EPROTO;
	chains = calloc(num, sizeof(*chains));
	if (!chains)
		return -ENOMEM;
	ret = packed_record_read(record, num, ring, &state, chains);
	if (ret) /* NOLINT(clang-analyzer-unix.Malloc) */
		return ret == -EINVAL ? -EPROTO : ret;
	*base = packed_position(state.avail_idx, state.avail_wrap) |
		(uint32_t)packed_position(state.used_idx, state.used_wrap)
			<< PACKED_BASE_USED_SHIFT;
	return 0;
}

/*
 * Reads one virtqueue's part of the record. Not by a mapping: the file is the back-end's, who could
 * cut it off meanwhile. And only of files in memory: the reading of others can take for ever.
 */
static int read_record(const struct inflight *inflight, unsigned int index,
		       struct packed_record *record, size_t size)
{
	uint64_t at, skip = (uint64_t)index * size;
	size_t done = 0;

	if (index >= inflight->num_queues || skip + size > inflight->mmap_size ||
	    __builtin_add_overflow(inflight->mmap_offset, skip, &at) || at > INT64_MAX - size)
		return -EPROTO;
	if (fcntl(inflight->fd, F_GET_SEALS) < 0 || lseek(inflight->fd, (off_t)at, SEEK_SET) < 0)
		return -EPROTO;
	while (done < size) {
		ssize_t n = read(inflight->fd, (char *)record + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPROTO;
		done += (size_t)n;
	}
	return 0;
}

int replay_from_packed_inflight(const struct pool *pool, const struct virtio_loopback_queue *queue,
				const struct inflight *inflight, uint32_t *base,
				struct failure *failure)
{
	_cleanup_(pool_unmap) struct pool_window ring = { 0 };
	struct packed_record *record;
	size_t size = packed_record_size(inflight->queue_size);
	int ret;

	ret = pool_map(pool, queue->desc_addr,
		       sizeof(struct vring_packed_desc) * (uint64_t)queue->num, &ring);
	if (ret)
		return failure_set(failure, ret, "virtqueue %u: cannot map its ring: %s",
				   queue->index, strerror(-ret));
	record = calloc(1, size);
	if (!record)
		return -ENOMEM;
	ret = read_record(inflight, queue->index, record, size);
	if (!ret)
		ret = replay_packed(record, size, queue->num, ring.data, base);
	free(record);
	return ret ? failure_set(failure, ret,
				 "virtqueue %u: the record of requests in flight that its back-end "
				 "left is not one: nothing can be offered again",
				 queue->index) :
		     0;
}
