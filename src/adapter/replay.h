/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that one back-end left behind, offered to the next.
 *
 * In a split ring (virtio 2.7) each published request is one step of avail->idx, each completed one
 * a step of used->idx, so avail->idx - used->idx requests are outstanding in the back-end. When it
 * completed out of order they are not those of the last so many entries of the available ring.
 *
 * A packed ring (2.8) counts nothing. Where a back-end stood in it is known from what was written
 * down beside it.
 */
#ifndef ADAPTER_REPLAY_H
#define ADAPTER_REPLAY_H

#include <stdint.h>

#include <linux/virtio_ring.h>

#include "adapter/device.h"
#include "adapter/frontend.h"
#include "adapter/pool.h"
#include "common/failure.h"
#include "vhost-user/packed-record.h"

/**
 * struct replay_ring - one split virtqueue and the kernel's view of it
 * @num:	entries
 * @avail:	the driver area
 * @used:	the device area; what the old back-end wrote last stands in it
 * @taken:	index up to which the driver has taken used buffers
 * @heads:	buffers that the driver waits for, in the order of their publication
 * @count:	of them
 */
struct replay_ring {
	unsigned int num;
	struct vring_avail *avail;
	const struct vring_used *used;
	uint16_t taken;
	const uint16_t *heads;
	unsigned int count;
};

/**
 * replay_split() - make the available ring offer what is outstanding, and nothing else
 * @ring:	as above; the driver may publish more at the same time
 * @published:	avail->idx as it was before and after @taken and @heads were read
 * @base:	where the next back-end begins
 *
 * The heads that were not used are written, in order, into the entries just before @published. The
 * driver never reads these back, and adds behind them: no more than @num requests are outstanding
 * at once, so its entries and these never meet.
 *
 * Return: 0; -EPROTO when used ring and record contradict each other (the old back-end wrote
 * nonsense).
 */
int replay_split(const struct replay_ring *ring, uint16_t published, uint16_t *base);

/* replay_from_record() - the above for one virtqueue of a device, from the module's record */
int replay_from_record(struct device *device, const struct pool *pool,
		       const struct virtio_loopback_queue *queue, uint32_t *base,
		       struct failure *failure);

/*
 * replay_from_inflight() - with an in-flight record of its own the next back-end finds out by
 * itself; the base is where its predecessor stood in the used ring
 */
int replay_from_inflight(const struct pool *pool, const struct virtio_loopback_queue *queue,
			 uint32_t *base, struct failure *failure);

/**
 * replay_packed() - where the next back-end begins in a packed ring, by the in-flight record
 * @record:	from the beginning of the virtqueue's part
 * @size:	bytes of it
 * @num:	entries of the ring
 * @ring:	its descriptors
 * @base:	for SET_VRING_BASE: behind what was taken, and behind what was answered
 *
 * The record is the last back-end's, and may be anything.
 *
 * Return: 0, -EPROTO for nonsense, or -ENOMEM.
 */
int replay_packed(const struct packed_record *record, size_t size, unsigned int num,
		  const struct vring_packed_desc *ring, uint32_t *base);

/* replay_from_packed_inflight() - the above for one virtqueue of a device */
int replay_from_packed_inflight(const struct pool *pool, const struct virtio_loopback_queue *queue,
				const struct inflight *inflight, uint32_t *base,
				struct failure *failure);

#endif
