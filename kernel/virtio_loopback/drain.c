// SPDX-License-Identifier: GPL-2.0-only
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "device.h"
#include "drain.h"
#include "fence.h"
#include "post.h"
#include "relay.h"

/* Some drivers take their buffers back in a work item of their own. */
#define VLB_DRAIN_PATIENCE	(2 * HZ)
/* That for all ids together, when each is offered: a ring may have 32768. */
#define VLB_DRAIN_IDS_PATIENCE	(10 * HZ)

/* Puts heads into the used ring, behind what is there, and calls the driver. */
static void vlb_drain_use(struct vlb_queue *queue, struct virtqueue *vq,
			  const struct vlb_outstanding *list, unsigned int count)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	u16 next = virtio16_to_cpu(vq->vdev, READ_ONCE(vring->used->idx));
	unsigned int i;

	/* A queue that a forged entry broke would ignore what comes. */
	__virtqueue_unbreak(vq);
	for (i = 0; i < count; i++) {
		struct vring_used_elem *elem = &vring->used->ring[next++ & (vring->num - 1)];

		if (vlb_fence_carried(queue->dev->device_id))
			vlb_fence_answer(&queue->dev->bounce, vring, list[i].head);
		elem->id = cpu_to_virtio32(vq->vdev, list[i].head);
		elem->len = 0;
	}
	/* The entries before the index, as a device would (virtio 2.7.8). */
	smp_wmb();
	WRITE_ONCE(vring->used->idx, cpu_to_virtio16(vq->vdev, next));
	vlb_queue_call_sync(queue);
}

/* Has the driver something to take? */
static bool vlb_drain_waits(struct virtqueue *vq)
{
	return (u16)virtqueue_enable_cb_prepare(vq) !=
	       virtio16_to_cpu(vq->vdev, READ_ONCE(virtqueue_get_vring(vq)->used->idx));
}

/*
 * Gives back as failed what is out. Returns whether there was anything, or the driver has not taken
 * all yet: the queue may have broken before it did. What is posted it takes when it comes by.
 */
static bool vlb_drain_relayed(struct vlb_queue *queue)
{
	struct vlb_outstanding *list = queue->dev->outstanding;
	struct virtqueue *vq = vlb_queue_vq(queue);
	unsigned int count;

	if (!vq || !queue->relay)
		return false;
	count = vlb_relay_take_back(queue->relay, vq, list);
	if (!count && !vlb_drain_waits(vq))
		return false;
	vlb_drain_use(queue, vq, list, count);
	return true;
}

/*
 * A driver that has reset the device is on its way out: it looks at no ring any more and
 * takes its buffers back by itself. virtio_console would read again what was in them,
 * while it lets its ports go.
 */
static bool vlb_drain_is_wanted(struct vlb_device *dev)
{
	return READ_ONCE(dev->status);
}

/* Until the driver has all, also what it was about to add. */
static void vlb_drain_split(struct vlb_device *dev)
{
	unsigned long end = jiffies + VLB_DRAIN_PATIENCE;
	bool more = true;
	unsigned int i;

	while (more && vlb_drain_is_wanted(dev) && time_before(jiffies, end)) {
		more = false;
		for (i = 0; i < dev->num_queues; i++)
			more |= vlb_drain_relayed(&dev->queues[i]);
		if (more)
			usleep_range(500, 1000);
	}
}

/*
 * Of packed rings nobody knows what is out. And where the driver will look next is asked of the
 * ring's owner, in what follows, and not read from shared memory.
 */

static struct vring_packed_desc *vlb_drain_packed(struct vlb_queue *queue, struct virtqueue *vq)
{
	return vlb_bounce_memory(&queue->dev->bounce, virtqueue_get_desc_addr(vq),
				 array_size(virtqueue_get_vring_size(vq),
					    sizeof(struct vring_packed_desc)));
}

#define VLB_DRAIN_WRAP	BIT(VRING_PACKED_EVENT_F_WRAP_CTR)

/* Of a used descriptor at a place of a packed ring (virtio 2.8.1). */
static __le16 vlb_drain_used_flags(u16 place)
{
	const u16 used = BIT(VRING_PACKED_DESC_F_AVAIL) | BIT(VRING_PACKED_DESC_F_USED);

	return cpu_to_le16(place & VLB_DRAIN_WRAP ? used : 0);
}

/* Puts one buffer id into a packed ring (virtio 2.8.6), and calls the driver. */
static void vlb_drain_use_packed(struct vlb_queue *queue, struct virtqueue *vq, u16 id)
{
	struct vring_packed_desc *desc = vlb_drain_packed(queue, vq);
	u16 next;

	if (WARN_ON_ONCE(!desc))
		return;
	__virtqueue_unbreak(vq);
	next = virtqueue_enable_cb_prepare(vq);
	queue->drained = next;
	queue->drained_id = id;
	desc += next & ~VLB_DRAIN_WRAP;
	desc->id = cpu_to_le16(id);
	desc->len = 0;
	/* The rest before the flags, as a device would (virtio 2.8.21). */
	smp_wmb();
	WRITE_ONCE(desc->flags, vlb_drain_used_flags(next));
	vlb_queue_call_sync(queue);
}

/*
 * Is there still what was put last into the ring? The back-end has lost the pool, but for pages
 * that one of its calls, or an io_uring of its, holds pinned: those it can still write to.
 */
static bool vlb_drain_stands(struct vlb_queue *queue, struct virtqueue *vq)
{
	const struct vring_packed_desc *desc = vlb_drain_packed(queue, vq);

	desc += queue->drained & ~VLB_DRAIN_WRAP;
	return le16_to_cpu(READ_ONCE(desc->id)) == queue->drained_id &&
	       READ_ONCE(desc->flags) == vlb_drain_used_flags(queue->drained);
}

/*
 * Has the driver looked at what was put into the used ring? One that looks when it is called has,
 * already; for the others there is time until @end.
 */
static void vlb_drain_wait_taken(struct virtqueue *vq, unsigned int before, unsigned long end)
{
	unsigned int tries;

	for (tries = 0; tries < 20 && time_before(jiffies, end); tries++) {
		if (virtqueue_is_broken(vq) || virtqueue_enable_cb_prepare(vq) != before)
			return;
		usleep_range(500, 1000);
	}
}

/*
 * The driver knows each of its buffers: offered every id in turn it takes those that are its own,
 * and breaks on the others, from which it is brought back.
 *
 * Returns whether what was offered is what the driver has seen.
 */
static bool vlb_drain_every_id(struct vlb_queue *queue, unsigned long end)
{
	struct virtqueue *vq = vlb_queue_vq(queue);
	unsigned int before, id;
	bool stands = true;

	if (!vq || !vlb_vq_is_packed(vq) || queue->post)
		return true;
	/* The core tells of each that is not out, and a console may take its time for that. */
	for (id = 0; id < virtqueue_get_vring_size(vq) && vlb_bounce_live(&queue->dev->bounce) &&
	     time_before(jiffies, end + VLB_DRAIN_IDS_PATIENCE); id++) {
		if (!vlb_drain_is_wanted(queue->dev))
			return true;
		before = virtqueue_enable_cb_prepare(vq);
		vlb_drain_use_packed(queue, vq, id);
		vlb_drain_wait_taken(vq, before, end);
		cond_resched();
		/* Where it has taken a descriptor it may have put another one there. */
		if (virtqueue_enable_cb_prepare(vq) == before)
			stands &= vlb_drain_stands(queue, vq);
	}
	return stands;
}

static void vlb_drain_packed_rings(struct vlb_device *dev)
{
	unsigned long end = jiffies + VLB_DRAIN_IDS_PATIENCE;
	unsigned int i;
	bool stands;

	do {
		stands = true;
		for (i = 0; i < dev->num_queues; i++)
			stands &= vlb_drain_every_id(&dev->queues[i], end);
	} while (!stands && vlb_drain_is_wanted(dev) && vlb_bounce_live(&dev->bounce) &&
		 time_before(jiffies, end));
}

/**
 * vlb_drain() - complete everything that is outstanding as failed, and break the device
 * @dev: its bounce is closed and its queues are disarmed; the back-end has lost the pool
 *
 * Sleeps, for a bounded time.
 */
void vlb_drain(struct vlb_device *dev)
{
	unsigned int i;

	mutex_lock(&dev->vq_lock);
	/* What was done before the end counts as done. */
	for (i = 0; i < dev->num_queues; i++) {
		if (dev->queues[i].post)
			vlb_post_discard(dev->queues[i].post);
		vlb_queue_call_sync(&dev->queues[i]);
		if (dev->queues[i].relay)
			vlb_relay_cut(dev->queues[i].relay);
	}
	vlb_bounce_poison(&dev->bounce);
	vlb_drain_split(dev);
	vlb_drain_packed_rings(dev);
	mutex_unlock(&dev->vq_lock);

	vlb_drain_break(dev);
}

/**
 * vlb_drain_break() - the driver can add nothing any more
 * @dev: the device
 */
void vlb_drain_break(struct vlb_device *dev)
{
	struct virtqueue *vq;
	unsigned int i;

	mutex_lock(&dev->vq_lock);
	for (i = 0; i < dev->num_queues; i++) {
		vq = vlb_queue_vq(&dev->queues[i]);
		if (vq)
			__virtqueue_break(vq);
	}
	mutex_unlock(&dev->vq_lock);
}
