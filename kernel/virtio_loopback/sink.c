// SPDX-License-Identifier: GPL-2.0-only
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kcov.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "device.h"
#include "fence.h"
#include "relay.h"
#include "sink.h"

/* A driver takes its buffers back in a work item of its own. */
#define VLB_SINK_PATIENCE	(2 * HZ)

/**
 * vlb_sink_wanted() - is the driver one that needs its queues to the end?
 * @dev: the device
 */
bool vlb_sink_wanted(const struct vlb_device *dev)
{
	return dev->device_id == VIRTIO_ID_GPU;
}

/* Puts a head into the used ring, behind those that are there. */
static void vlb_sink_use(struct vlb_queue *queue, struct virtqueue *vq, u16 head)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	struct vring_used_elem *elem = &vring->used->ring[queue->sink_used & (vring->num - 1)];

	if (vlb_fence_carried(queue->dev->device_id))
		vlb_fence_answer(&queue->dev->bounce, vring, head);
	elem->id = cpu_to_virtio32(vq->vdev, head);
	elem->len = 0;
	queue->sink_used++;
}

/* Lets the driver see them. */
static void vlb_sink_publish(struct vlb_queue *queue, struct virtqueue *vq)
{
	const struct vring *vring = virtqueue_get_vring(vq);

	/* The entries before the index, as a device would (virtio 2.7.8). */
	smp_wmb();
	WRITE_ONCE(vring->used->idx, cpu_to_virtio16(vq->vdev, queue->sink_used));
	vlb_queue_call_sync(queue);
}

/* Gives back what has been made available since the last time; false: nothing was. */
static bool vlb_sink_pass(struct vlb_queue *queue, struct virtqueue *vq)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	u16 end, before = queue->sink_used;

	/* Kicks are wanted: by the flag, or from this entry on (virtio 2.7.10). */
	WRITE_ONCE(vring->used->flags, 0);
	if (virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX))
		WRITE_ONCE(vring_avail_event(vring), cpu_to_virtio16(vq->vdev, queue->sink_avail));
	/* Either the driver sees that, or its entry is seen here. */
	smp_mb();
	end = virtio16_to_cpu(vq->vdev, READ_ONCE(vring->avail->idx));
	/* The entries after the index that they are counted in. */
	smp_rmb();
	if ((u16)(end - queue->sink_avail) > vring->num)
		return false;
	for (; queue->sink_avail != end; queue->sink_avail++) {
		u16 slot = queue->sink_avail & (vring->num - 1);

		vlb_sink_use(queue, vq, virtio16_to_cpu(vq->vdev, vring->avail->ring[slot]));
	}
	if (queue->sink_used == before)
		return false;
	vlb_sink_publish(queue, vq);
	return true;
}

/* A kick, or the beginning. */
void vlb_sink_work(struct work_struct *work)
{
	struct vlb_device *dev = container_of(work, struct vlb_device, sink_work);
	unsigned int i;

	kcov_remote_start_common(dev->kcov);
	mutex_lock(&dev->vq_lock);
	for (i = 0; i < dev->num_queues; i++) {
		struct virtqueue *vq = vlb_queue_vq(&dev->queues[i]);

		/* A driver that adds without end is let wait a while by the work queue. */
		if (vq && dev->queues[i].sink && vlb_sink_pass(&dev->queues[i], vq))
			vlb_sink_kick(dev);
	}
	mutex_unlock(&dev->vq_lock);
	kcov_remote_stop();
}

/*
 * Waits until the driver has taken what the back-end has used. The back-end has lost the ring:
 * nothing comes besides.
 */
static bool vlb_sink_wait_taken(struct vlb_queue *queue, struct virtqueue *vq)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	unsigned long end = jiffies + VLB_SINK_PATIENCE;
	u16 used;

	while (!virtqueue_is_broken(vq)) {
		/* Of a relayed queue the used ring is what has come by calls. */
		vlb_queue_call_sync(queue);
		used = virtio16_to_cpu(vq->vdev, READ_ONCE(vring->used->idx));
		if ((u16)virtqueue_enable_cb_prepare(vq) == used)
			return true;
		if (time_after(jiffies, end))
			return false;
		usleep_range(500, 1000);
	}
	return false;
}

static bool vlb_sink_begin_queue(struct vlb_queue *queue, struct virtqueue *vq)
{
	struct vlb_outstanding *list = queue->dev->outstanding;
	unsigned int i, count;

	if (!queue->relay)
		return false;
	vlb_relay_cut(queue->relay);
	count = vlb_relay_take_back(queue->relay, vq, list);
	queue->sink_avail = vlb_relay_seen(queue->relay);
	/* Behind what has come last, which the driver need not have looked at. */
	queue->sink_used = virtio16_to_cpu(vq->vdev,
					   READ_ONCE(virtqueue_get_vring(vq)->used->idx));
	for (i = 0; i < count; i++)
		vlb_sink_use(queue, vq, list[i].head);
	WRITE_ONCE(queue->sink, true);
	vlb_sink_publish(queue, vq);
	return true;
}

/**
 * vlb_sink_begin() - complete what is outstanding as failed, and all that follows
 * @dev: its lock is held; its queues are disarmed, and the back-end has lost the pool
 *
 * Sleeps, for a bounded time.
 *
 * Return: false when the back-end has left the rings in no order, or the driver does not
 * take its buffers: then the queues have to be broken.
 */
bool vlb_sink_begin(struct vlb_device *dev)
{
	struct virtqueue *vq;
	bool well = true;
	unsigned int i;

	mutex_lock(&dev->vq_lock);
	/* What was done before the end counts as done. */
	for (i = 0; well && i < dev->num_queues; i++) {
		vq = vlb_queue_vq(&dev->queues[i]);
		/* A posted queue has a device in the kernel already. */
		well = !vq || (!dev->queues[i].post && vlb_sink_wait_taken(&dev->queues[i], vq));
	}
	if (well)
		vlb_bounce_poison(&dev->bounce);
	for (i = 0; well && i < dev->num_queues; i++) {
		vq = vlb_queue_vq(&dev->queues[i]);
		well = !vq || vlb_sink_begin_queue(&dev->queues[i], vq);
	}
	for (i = 0; !well && i < dev->num_queues; i++)
		WRITE_ONCE(dev->queues[i].sink, false);
	WRITE_ONCE(dev->sinking, well);
	mutex_unlock(&dev->vq_lock);
	if (well)
		vlb_sink_kick(dev);
	return well;
}

/**
 * vlb_sink_end() - the driver resets the device: no buffer comes back from here on
 * @dev: the device
 */
void vlb_sink_end(struct vlb_device *dev)
{
	unsigned int i;

	mutex_lock(&dev->vq_lock);
	for (i = 0; i < dev->num_queues; i++)
		WRITE_ONCE(dev->queues[i].sink, false);
	mutex_unlock(&dev->vq_lock);
}
