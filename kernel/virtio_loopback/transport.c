// SPDX-License-Identifier: GPL-2.0-only
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "compat.h"
#include "device.h"
#include "drain.h"
#include "post.h"
#include "sink.h"
#include "transport.h"

/**
 * vlb_transport_features() - transport bits that may be offered: those that are tested
 *
 * Return: feature bits 24 to 49.
 */
u64 vlb_transport_features(void)
{
	return BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |
	       BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_RING_PACKED) |
	       BIT_ULL(VIRTIO_F_IN_ORDER) | BIT_ULL(VIRTIO_F_RING_RESET);
}

/* Drivers read with interrupts off: the answer is here, never in user space. */
static void vlb_config_get(struct virtio_device *vdev, unsigned int offset, void *buf,
			   unsigned int len)
{
	struct vlb_device *dev = vlb_device_of(vdev);
	unsigned long flags;

	memset(buf, 0, len);
	if (offset > dev->config_size)
		return;
	spin_lock_irqsave(&dev->config_lock, flags);
	memcpy(buf, dev->config + offset, min(len, dev->config_size - offset));
	spin_unlock_irqrestore(&dev->config_lock, flags);
}

static void vlb_config_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
			   unsigned int len)
{
	struct vlb_device *dev = vlb_device_of(vdev);

	if (offset > dev->config_size || len > dev->config_size - offset)
		return;
	while (len && !vlb_device_is_over(dev)) {
		unsigned int chunk = min_t(unsigned int, len, VIRTIO_LOOPBACK_MSG_DATA_MAX);
		struct virtio_loopback_msg msg;

		vlb_message_init(&msg, VIRTIO_LOOPBACK_MSG_SET_CONFIG);
		msg.config.offset = offset;
		msg.config.length = chunk;
		memcpy(msg.config.data, buf, chunk);
		if (vlb_messages_ask(dev, &msg) == -ETIMEDOUT)
			vlb_device_fail_async(dev);
		offset += chunk;
		buf += chunk;
		len -= chunk;
	}
}

static u32 vlb_config_generation(struct virtio_device *vdev)
{
	return READ_ONCE(vlb_device_of(vdev)->generation);
}

static u8 vlb_get_status(struct virtio_device *vdev)
{
	return READ_ONCE(vlb_device_of(vdev)->status);
}

static int vlb_ask_status(struct vlb_device *dev, struct virtio_device *vdev, u8 status)
{
	struct virtio_loopback_msg msg;

	vlb_message_init(&msg, VIRTIO_LOOPBACK_MSG_STATUS);
	msg.status.status = status;
	msg.status.features = vdev->features & ~BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	return vlb_messages_ask(dev, &msg);
}

static void vlb_set_status(struct virtio_device *vdev, u8 status)
{
	struct vlb_device *dev = vlb_device_of(vdev);
	u8 added = status & ~dev->status;
	int err = 0;

	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		vlb_queues_offer(dev);
	if (added & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK))
		err = vlb_device_is_over(dev) ? -ENODEV : vlb_ask_status(dev, vdev, status);
	if (err && (added & VIRTIO_CONFIG_S_DRIVER_OK)) {
		/* The driver cannot be refused here any more. */
		status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		vlb_device_fail_async(dev);
	} else if (err) {
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	}
	WRITE_ONCE(dev->status, status);
	/* Calls that came before were not for the driver. */
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		vlb_queues_call(dev);
	/* The core may have unbroken the queues on the way to DRIVER_OK. */
	if (vlb_device_is_over(dev) && !READ_ONCE(dev->sinking))
		vlb_drain_break(dev);
}

/* The device's side of posted queues is over; the driver's goes in vlb_del_vqs(). */
static void vlb_reset_posts(struct vlb_device *dev)
{
	unsigned int i;

	mutex_lock(&dev->vq_lock);
	for (i = 0; i < dev->num_queues; i++) {
		if (!dev->queues[i].post)
			continue;
		vlb_post_discard(dev->queues[i].post);
		vlb_post_release(dev->queues[i].post);
		vlb_post_forget(dev->queues[i].post);
	}
	mutex_unlock(&dev->vq_lock);
}

static void vlb_synchronize_cbs(struct virtio_device *vdev)
{
	struct vlb_device *dev = vlb_device_of(vdev);
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++)
		vlb_queue_sync(&dev->queues[i]);
}

static void vlb_reset(struct virtio_device *vdev)
{
	const u8 live = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;
	struct vlb_device *dev = vlb_device_of(vdev);
	struct virtio_loopback_msg msg;

	vlb_message_init(&msg, VIRTIO_LOOPBACK_MSG_RESET);
	/*
	 * If the adapter cannot promise that the back-end is quiet, the rings must not be
	 * used again: the device ends here.
	 */
	if ((dev->status & live) && !vlb_device_is_over(dev) && vlb_messages_ask(dev, &msg))
		vlb_device_fail_async(dev);
	vlb_sink_end(dev);
	WRITE_ONCE(dev->status, 0);
	/* From here on the driver is not called; what vlb_drain() has begun is waited for. */
	vlb_synchronize_cbs(vdev);
	vlb_reset_posts(dev);
}

static u64 vlb_get_features(struct virtio_device *vdev)
{
	return vlb_device_of(vdev)->features;
}

static int vlb_finalize_features(struct virtio_device *vdev)
{
	bool ring_reset = __virtio_test_bit(vdev, VIRTIO_F_RING_RESET);

	/* It knows of those that the ring has a part in. */
	vring_transport_features(vdev);
	if (ring_reset)
		__virtio_set_bit(vdev, VIRTIO_F_RING_RESET);
	/* Without these the driver would put physical addresses into the ring. */
	if (!__virtio_test_bit(vdev, VIRTIO_F_VERSION_1) ||
	    !__virtio_test_bit(vdev, VIRTIO_F_ACCESS_PLATFORM)) {
		dev_err(&vdev->dev,
			"the driver does not take VIRTIO_F_VERSION_1 and VIRTIO_F_ACCESS_PLATFORM\n");
		return -EINVAL;
	}
	/* A split ring would be shared then, see relay.h. */
	if ((vlb_device_of(vdev)->features & BIT_ULL(VIRTIO_F_RING_PACKED)) &&
	    !__virtio_test_bit(vdev, VIRTIO_F_RING_PACKED)) {
		dev_err(&vdev->dev, "the driver does not take VIRTIO_F_RING_PACKED\n");
		return -EINVAL;
	}
	return 0;
}

static const char *vlb_bus_name(struct virtio_device *vdev)
{
	return dev_name(&vlb_device_of(vdev)->parent->dev);
}

static void vlb_del_vqs(struct virtio_device *vdev)
{
	struct vlb_device *dev = vlb_device_of(vdev);
	struct virtqueue *vq, *next;

	mutex_lock(&dev->vq_lock);
	list_for_each_entry(vq, &vdev->vqs, list)
		vlb_queue_hide(vq->priv);
	/* once for all of them */
	synchronize_rcu();
	list_for_each_entry_safe(vq, next, &vdev->vqs, list) {
		vlb_queue_stop(vq->priv);
		vring_del_virtqueue(vq);
	}
	mutex_unlock(&dev->vq_lock);
}

/*
 * What the adapter has to have said of a queue, and nothing else. virtio_console waits without
 * sleeping for its output, by the odd queues (5.3.2), and does not send control messages twice;
 * virtio_net for the answers of its control queue, the only one that it wants no calls of. No
 * others are to be posted: a driver that refills its queue would have it back at once, without end.
 */
static u16 vlb_queue_flags_wanted(const struct vlb_device *dev, unsigned int index,
				  const struct virtqueue_info *info)
{
	const u16 strict = VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT;

	switch (dev->device_id) {
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_RPROC_SERIAL:
		if (index == 3)
			return strict;
		return index % 2 ? VIRTIO_LOOPBACK_QF_POSTED : 0;
	case VIRTIO_ID_NET:
		return info->callback ? 0 : strict;
	default:
		return 0;
	}
}

static struct virtqueue *vlb_setup_vq(struct virtio_device *vdev, unsigned int index,
				      const struct virtqueue_info *info)
{
	struct vlb_device *dev = vlb_device_of(vdev);
	struct vlb_queue *queue;
	struct virtqueue *vq;
	bool all_private;
	int err;

	if (index >= dev->num_queues || !dev->queues[index].max)
		return ERR_PTR(-ENOENT);
	queue = &dev->queues[index];
	if (rcu_access_pointer(queue->vq))
		return ERR_PTR(-EBUSY);
	if (queue->flags != vlb_queue_flags_wanted(dev, index, info)) {
		dev_warn_ratelimited(&vdev->dev, "queue %u: its flags are %#x, not %#x\n", index,
				     queue->flags, vlb_queue_flags_wanted(dev, index, info));
		return ERR_PTR(-EINVAL);
	}
	/* Drivers trust such rings: they spin on what is forged there, or count what is. */
	all_private = dev->bounce.private_rings;
	dev->bounce.private_rings |= !!queue->post;
	vq = vring_create_virtqueue(index, queue->max, SMP_CACHE_BYTES, vdev, true, true,
				    info->ctx, vlb_queue_notify, info->callback, info->name);
	dev->bounce.private_rings = all_private;
	if (!vq)
		return ERR_PTR(-ENOMEM);
	vq->num_max = queue->max;
	err = vlb_queue_attach(queue, vq);
	if (err) {
		vring_del_virtqueue(vq);
		return ERR_PTR(err);
	}
	return vq;
}

static int vlb_ask_queue(struct vlb_queue *queue, u32 type)
{
	struct virtio_loopback_msg msg;

	vlb_message_init(&msg, type);
	msg.queue.index = queue->index;
	return vlb_messages_ask(queue->dev, &msg);
}

/*
 * The driver takes one queue out of use (virtio 2.6.1). It is not called for it any more, and
 * takes its buffers back.
 */
static int vlb_disable_vq_and_reset(struct virtqueue *vq)
{
	struct vlb_queue *queue = vq->priv;
	struct vlb_device *dev = queue->dev;

	/* No driver resets a queue that it spins for; the new ring might not be a private one. */
	if (!virtio_has_feature(vq->vdev, VIRTIO_F_RING_RESET) || queue->post)
		return -ENOENT;
	/* Nor is one reset whose driver unmaps what is not mapped: the device ends soon. */
	if (vlb_device_is_over(dev) || READ_ONCE(dev->bounce.strayed))
		return -ENODEV;
	/* A back-end that comes just now is not to get what its predecessor is to leave. */
	mutex_lock(&dev->vq_lock);
	queue->resetting = true;
	mutex_unlock(&dev->vq_lock);
	/* The driver keeps its buffers there: the end of the device gives them back. */
	if (vlb_ask_queue(queue, VIRTIO_LOOPBACK_MSG_QUEUE_RESET)) {
		vlb_device_fail_async(dev);
		return -EIO;
	}
	mutex_lock(&dev->vq_lock);
	vlb_queue_detach(queue);
	mutex_unlock(&dev->vq_lock);
	vq->reset = true;
	return 0;
}

/* The driver takes it into use again, perhaps with another size. */
static int vlb_enable_vq_after_reset(struct virtqueue *vq)
{
	struct vlb_queue *queue = vq->priv;
	struct vlb_device *dev = queue->dev;
	int err;

	if (!vq->reset)
		return -EBUSY;
	mutex_lock(&dev->vq_lock);
	err = vlb_device_is_over(dev) ? -ENODEV : vlb_queue_attach(queue, vq);
	mutex_unlock(&dev->vq_lock);
	if (!err && vlb_ask_queue(queue, VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE)) {
		vlb_device_fail_async(dev);
		err = -EIO;
	}
	vq->reset = !!err;
	return err;
}

/**
 * vlb_transport_find_vqs() - the driver sets its virtqueues up
 * @vdev:  the virtio device
 * @nvqs:  entries of @vqs and @infos
 * @vqs:   filled in; NULL where @infos has no name
 * @infos: what the driver wants
 * @desc:  unused: calls are delivered where they are signalled
 *
 * Return: 0, -ENOENT (the device has no such queue), -ENOMEM, or -ENODEV (its I/O has
 * been ended).
 */
int vlb_transport_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
			   struct virtqueue *vqs[], struct virtqueue_info infos[],
			   struct irq_affinity *desc)
{
	struct vlb_device *dev = vlb_device_of(vdev);
	unsigned int i, index = 0;
	int err = 0;

	mutex_lock(&dev->vq_lock);
	if (vlb_device_is_over(dev))
		err = -ENODEV;
	for (i = 0; !err && i < nvqs; i++) {
		vqs[i] = NULL;
		if (!infos[i].name)
			continue;
		vqs[i] = vlb_setup_vq(vdev, index++, &infos[i]);
		if (IS_ERR(vqs[i]))
			err = PTR_ERR(vqs[i]);
	}
	mutex_unlock(&dev->vq_lock);
	if (err)
		vlb_del_vqs(vdev);
	return err;
}

const struct virtio_config_ops vlb_transport_ops = {
	.get = vlb_config_get,
	.set = vlb_config_set,
	.generation = vlb_config_generation,
	.get_status = vlb_get_status,
	.set_status = vlb_set_status,
	.reset = vlb_reset,
	.find_vqs = VLB_FIND_VQS,
	.del_vqs = vlb_del_vqs,
	.synchronize_cbs = vlb_synchronize_cbs,
	.get_features = vlb_get_features,
	.finalize_features = vlb_finalize_features,
	.bus_name = vlb_bus_name,
	.disable_vq_and_reset = vlb_disable_vq_and_reset,
	.enable_vq_after_reset = vlb_enable_vq_after_reset,
};
