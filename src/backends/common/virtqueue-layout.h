/* SPDX-License-Identifier: BSD-3-Clause */
/* What virtqueue-split.c and virtqueue-packed.c share; not for devices. */
#ifndef VU_VIRTQUEUE_LAYOUT_H
#define VU_VIRTQUEUE_LAYOUT_H

#include <endian.h>

#include "backends/common/virtqueue.h"

static inline uint16_t load_acquire16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void store_release16(__virtio16 *p, uint16_t value)
{
	__atomic_store_n(p, htole16(value), __ATOMIC_RELEASE);
}

/* vq_take_replayed() - the next request that an earlier instance left; there is one */
static inline uint16_t vq_take_replayed(struct virtqueue *vq)
{
	vq->last_id = vq->replay[vq->replay_next++];
	vq->last_replayed = true;
	vq->taken++;
	return vq->last_id;
}

/* vq_..._start() - @vq has what both layouts have; Return: as vq_start() */
int vq_split_start(struct virtqueue *vq, const struct vq_setup *setup);
int vq_packed_start(struct virtqueue *vq, const struct vq_setup *setup);

/* vq_..._finish() - release what vq_..._start() got */
void vq_split_finish(struct virtqueue *vq);
void vq_packed_finish(struct virtqueue *vq);

#endif
