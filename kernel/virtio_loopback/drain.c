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
/* That for all heads together, when each is offered: a ring may have 32768. */
#define VLB_DRAIN_HEADS_PATIENCE (10 * HZ)

/*
 * Where the driver will look next is asked of the ring's owner, in what follows, and not read
 * from shared memory.
 */

/* Puts heads into the used ring, and calls the driver. */
static void vlb_drain_use(struct vlb_queue *queue, struct virtqueue *vq,
			  const struct vlb_outstanding *list, unsigned int count)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	unsigned int i;
	u16 next;

	/* A queue that a forged entry broke would ignore what comes. */
	__virtqueue_unbreak(vq);
	next = virtqueue_enable_cb_prepare(vq);
	for (i = 0; i < count; i++) {
		struct vring_used_elem *elem = &vring->used->ring[(u16)(next + i) &
								  (vring->num - 1)];

		if (vlb_fence_carried(queue->dev->device_id))
			vlb_fence_answer(&queue->dev->bounce, vring, list[i].head);
		elem->id = cpu_to_virtio32(vq->vdev, list[i].head);
		elem->len = 0;
	}
	/* The entries before the index, as a device would (virtio 2.7.8). */
	smp_wmb();
	queue->drained = next + count;
	queue->drained_head = list[count - 1].head;
	queue->drained_any = true;
	WRITE_ONCE(vring->used->idx, cpu_to_virtio16(vq->vdev, queue->drained));
	vlb_queue_call_sync(queue);
}

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
	queue->drained_head = id;
	queue->drained_any = true;
	desc += next & ~VLB_DRAIN_WRAP;
	desc->id = cpu_to_le16(id);
	desc->len = 0;
	/* The rest before the flags, as a device would (virtio 2.8.21). */
	smp_wmb();
	WRITE_ONCE(desc->flags, vlb_drain_used_flags(next));
	vlb_queue_call_sync(queue);
}

/*
 * Is there still what was put last into the used ring? The back-end has lost the pool, but for
 * pages that one of its calls, or an io_uring of its, holds pinned: those it can still write to.
 */
static bool vlb_drain_stands(struct vlb_queue *queue, struct virtqueue *vq)
{
	const struct vring_packed_desc *desc;
	const struct vring *vring;
	u16 last = queue->drained - 1;

	if (!queue->drained_any)
		return true;
	if (vlb_vq_is_packed(vq)) {
		desc = vlb_drain_packed(queue, vq) + (queue->drained & ~VLB_DRAIN_WRAP);
		return le16_to_cpu(READ_ONCE(desc->id)) == queue->drained_head &&
		       READ_ONCE(desc->flags) == vlb_drain_used_flags(queue->drained);
	}
	vring = virtqueue_get_vring(vq);
	last &= vring->num - 1;
	return virtio16_to_cpu(vq->vdev, READ_ONCE(vring->used->idx)) == queue->drained &&
	       virtio32_to_cpu(vq->vdev, READ_ONCE(vring->used->ring[last].id)) ==
	       queue->drained_head;
}

/*
 * The same when the driver has had its time. It finds no nonsense there either where what it was
 * offered was right, as the record was.
 */
static bool vlb_drain_stood(struct vlb_queue *queue, bool recorded)
{
	struct virtqueue *vq = vlb_queue_vq(queue);

	if (!vq || !queue->drained_any)
		return true;
	return vlb_drain_stands(queue, vq) && !(recorded && virtqueue_is_broken(vq));
}

/* Returns whether that was all: the driver could believe the ring, and there is a record. */
static bool vlb_drain_recorded(struct vlb_queue *queue)
{
	struct virtqueue *vq = vlb_queue_vq(queue);
	const struct vlb_outstanding *list;
	unsigned int count;
	bool was_broken;

	if (!vq || queue->post)
		return true;
	if (vlb_vq_is_packed(vq))
		return false;
	was_broken = virtqueue_is_broken(vq);
	list = vlb_record_list(&queue->dev->bounce, queue->index, &count);
	if (count)
		vlb_drain_use(queue, vq, list, min(count, virtqueue_get_vring_size(vq)));
	return !was_broken && !virtqueue_is_broken(vq);
}

static bool vlb_drain_is_empty(struct vlb_device *dev)
{
	unsigned int i;

	/* What is posted is used; the driver takes it back when it comes by. */
	for (i = 0; i < dev->num_queues; i++)
		if (!dev->queues[i].post && vlb_record_count(&dev->bounce, i))
			return false;
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

static void vlb_drain_wait(struct vlb_device *dev)
{
	unsigned long end = jiffies + VLB_DRAIN_PATIENCE;

	while (vlb_drain_is_wanted(dev) && !vlb_drain_is_empty(dev) && time_before(jiffies, end))
		usleep_range(500, 1000);
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
 * There is no record, or the back-end has scribbled and it may be wrong. The driver knows each
 * of its buffers: offered every head (of a packed ring: every id) in turn it takes those that
 * are its own, and breaks on the others, from which it is brought back.
 *
 * Returns whether what was offered is what the driver has seen.
 */
static bool vlb_drain_every_head(struct vlb_queue *queue, unsigned long end)
{
	struct virtqueue *vq = vlb_queue_vq(queue);
	struct vlb_outstanding one = { 0 };
	unsigned int before, num;
	bool stands = true;

	if (!vq || queue->post)
		return true;
	num = virtqueue_get_vring_size(vq);
	for (; one.head < num && vlb_bounce_live(&queue->dev->bounce); one.head++) {
		if (!vlb_drain_is_wanted(queue->dev))
			return true;
		before = virtqueue_enable_cb_prepare(vq);
		if (vlb_vq_is_packed(vq))
			vlb_drain_use_packed(queue, vq, one.head);
		else
			vlb_drain_use(queue, vq, &one, 1);
		vlb_drain_wait_taken(vq, before, end);
		cond_resched();
		/* Where it has taken a packed descriptor it may have put another one there. */
		if (!vlb_vq_is_packed(vq) || virtqueue_enable_cb_prepare(vq) == before)
			stands &= vlb_drain_stands(queue, vq);
	}
	return stands;
}

/* Has the driver buffers that are to come back? */
static bool vlb_drain_is_left(struct vlb_device *dev, bool recorded)
{
	if (!vlb_drain_is_wanted(dev))
		return false;
	return recorded ? !vlb_drain_is_empty(dev) : vlb_bounce_live(&dev->bounce);
}

/**
 * vlb_drain() - complete everything that is outstanding as failed, and break the device
 * @dev: its bounce is closed and its queues are disarmed; the back-end has lost the pool
 *
 * Sleeps, for a bounded time.
 */
void vlb_drain(struct vlb_device *dev)
{
	bool complete = true, stands = true;
	unsigned long end;
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
	for (i = 0; vlb_drain_is_wanted(dev) && i < dev->num_queues; i++)
		complete &= vlb_drain_recorded(&dev->queues[i]);
	/* Counted up to here: reading the record is what finds them. */
	complete &= !vlb_record_anomalies(&dev->bounce);
	vlb_drain_wait(dev);
	for (i = 0; vlb_drain_is_wanted(dev) && i < dev->num_queues; i++)
		stands &= vlb_drain_stood(&dev->queues[i], complete);
	end = jiffies + VLB_DRAIN_HEADS_PATIENCE;
	do {
		for (i = 0; (!complete || !stands) && i < dev->num_queues; i++)
			stands &= vlb_drain_every_head(&dev->queues[i], end);
	} while (!stands && vlb_drain_is_left(dev, complete) && time_before(jiffies, end));
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
