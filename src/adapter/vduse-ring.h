/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split virtqueues of a device of VDUSE, as this side sees them, and which requests in them
 * nobody has completed.
 *
 * VDUSE keeps no record of what its driver waits for, and the rings alone do not tell it when they
 * were completed out of order. But each call comes by this process: what has come to either ring
 * since the last one is counted then. A request was published once more than it was completed.
 */
#ifndef ADAPTER_VDUSE_RING_H
#define ADAPTER_VDUSE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "adapter/pool.h"

/* Of devices of this transport: the record of them all is locked memory. */
#define VDUSE_QUEUES_MAX 64
#define VDUSE_QUEUE_SIZE_MAX 1024

/* Where its DMA addresses end: buffers first, rings at the end. */
#define VDUSE_MEMORY_MAX ((1024ULL + 128) << 20)

/* struct vduse_ring - one virtqueue, mapped; num is 0 while it is not */
struct vduse_ring {
	unsigned int num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct pool_window windows[3];
};

struct vduse_ring_place {
	unsigned int num;
	uint64_t desc, avail, used; /* DMA addresses */
};

/* vduse_ring_locate() - where the driver has it; 0, or -ENOENT: it has not set it up */
int vduse_ring_locate(int node, unsigned int index, struct vduse_ring_place *place);

/* vduse_ring_map() - 0; -EINVAL for what is no split ring; or another negative errno */
int vduse_ring_map(struct vduse_ring *ring, const struct pool *pool,
		   const struct vduse_ring_place *place);
void vduse_ring_unmap(struct vduse_ring *ring);

/* vduse_ring_end() - the address behind it */
uint64_t vduse_ring_end(const struct vduse_ring_place *place);

/**
 * struct vduse_record - of one virtqueue, shared with the process that outlives this one
 * @live:	the driver uses the ring. Without it the ring is not to be touched: its pages go
 *		when the driver has the answer to its reset, and the kernel goes on naming their
 *		address for a moment
 * @busy:	it is being brought up to date: who finds it so cannot rely on it
 * @avail:	index of the available ring up to which it was
 * @used:	... and of the used ring
 * @out:	how many are known to be outstanding
 * @whole:	no others are
 * @state:	of each head, enum vduse_head
 */
struct vduse_record {
	uint8_t live;
	uint8_t busy;
	uint8_t whole;
	uint16_t avail;
	uint16_t used;
	uint16_t out;
	uint8_t state[VDUSE_QUEUE_SIZE_MAX];
};

enum vduse_head {
	VDUSE_HEAD_FREE,
	VDUSE_HEAD_OUT,
	VDUSE_HEAD_UNKNOWN,
};

/* vduse_record_begin() - there is no ring, or a new one: nothing is outstanding */
void vduse_record_begin(struct vduse_record *record);

/**
 * vduse_record_look() - bring the record up to date
 * @record:	the record
 * @ring:	its ring
 *
 * Entries that were overwritten since the last look are lost; what becomes of each head then is
 * unknown until it moves again, or until as many are known to be outstanding as the indices say.
 */
void vduse_record_look(struct vduse_record *record, const struct vduse_ring *ring);

/**
 * vduse_record_list() - the heads that are outstanding
 * @record:	up to date
 * @ring:	its ring
 * @heads:	room for ring->num
 *
 * Where some are unknown the youngest of these are taken for it: a device that works in order
 * leaves those.
 *
 * Return: how many.
 */
unsigned int vduse_record_list(const struct vduse_record *record, const struct vduse_ring *ring,
			       uint16_t *heads);

/**
 * vduse_ring_fail() - complete a request as one that failed
 * @ring:	its ring; nobody else completes requests in it
 * @head:	outstanding
 * @memory:	all of the device's memory, mapped: the address there is the DMA address
 * @size:	bytes of it
 * @status:	written into the last byte that the device may write, negative: nothing is
 */
void vduse_ring_fail(struct vduse_ring *ring, uint16_t head, void *memory, uint64_t size,
		     int status);

#endif
