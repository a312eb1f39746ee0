// SPDX-License-Identifier: GPL-2.0-only
/* The Rxq: buffers that the device fills with frames from the bus. */
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "driver.h"

/* After a failure to give the device any buffer at all */
#define REFILL_MS 100

int virtio_can_rx_init(struct virtio_can *priv)
{
	unsigned int i;

	priv->rx_count = min_t(unsigned int, VIRTIO_CAN_RX_MAX,
			       virtqueue_get_vring_size(priv->vqs[VIRTIO_CAN_RXQ]));
	priv->rx = kcalloc(priv->rx_count, sizeof(*priv->rx), GFP_KERNEL);
	if (!priv->rx)
		return -ENOMEM;
	for (i = 0; i < priv->rx_count; i++) {
		priv->rx[i].next = priv->rx_free;
		priv->rx_free = &priv->rx[i];
	}
	return 0;
}

void virtio_can_rx_finish(struct virtio_can *priv)
{
	kfree(priv->rx);
}

/* virtio_can_rx_fill() - give the device all buffers that it does not have */
void virtio_can_rx_fill(struct virtio_can *priv)
{
	struct virtqueue *vq = priv->vqs[VIRTIO_CAN_RXQ];
	struct virtio_can_rx *rx = priv->rx_free;
	struct scatterlist sg;
	bool added = false;

	while (rx) {
		struct virtio_can_rx *next = rx->next;

		sg_init_one(&sg, rx, sizeof(rx->frame) + sizeof(rx->data));
		if (virtqueue_add_inbuf(vq, &sg, 1, rx, GFP_ATOMIC))
			break;
		added = true;
		rx = next;
	}
	priv->rx_free = rx;
	if (added)
		virtqueue_kick(vq);
	/* Memory was short: when the device has no buffer at all, nothing else brings us here. */
	if (rx && !virtqueue_is_broken(vq))
		schedule_delayed_work(&priv->refill, msecs_to_jiffies(REFILL_MS));
}

void virtio_can_refill_work(struct work_struct *work)
{
	struct virtio_can *priv = container_of(work, struct virtio_can, refill.work);

	local_bh_disable();
	napi_schedule(&priv->napi);
	local_bh_enable();
}

void virtio_can_rx_done(struct virtqueue *vq)
{
	struct virtio_can *priv = vq->vdev->priv;

	virtqueue_disable_cb(vq);
	napi_schedule(&priv->napi);
}

/* A message that breaks the rules */
static void bad_message(struct virtio_can *priv, const char *what)
{
	struct net_device *dev = priv->dev;

	dev->stats.rx_errors++;
	dev->stats.rx_frame_errors++;
	if (net_ratelimit())
		netdev_warn(dev, "the device sent %s\n", what);
}

/* Frames that the device could not hand over in time: as after an overrun in a real controller */
static void frames_lost(struct virtio_can *priv, u32 count)
{
	struct net_device *dev = priv->dev;
	struct can_frame *cf;
	struct sk_buff *skb;

	dev->stats.rx_errors += count;
	dev->stats.rx_over_errors += count;
	skb = alloc_can_err_skb(dev, &cf);
	if (!skb)
		return;
	cf->can_id |= CAN_ERR_CRTL;
	cf->data[1] = CAN_ERR_CRTL_RX_OVERFLOW;
	netif_receive_skb(skb);
}

/* Return: what is wrong with the frame, NULL when nothing is */
static const char *check_frame(struct virtio_can *priv, u32 flags, u32 id, unsigned int length,
			       unsigned int room)
{
	bool fd = flags & VIRTIO_CAN_FLAGS_FD, rtr = flags & VIRTIO_CAN_FLAGS_RTR;

	if (flags & ~VIRTIO_CAN_FLAGS_ALL || (fd && rtr))
		return "a frame with wrong flags";
	if (fd && !virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_FD))
		return "an FD frame, which was not negotiated";
	if (!fd && !virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_CLASSIC))
		return "a classic frame, which was not negotiated";
	if (rtr && !virtio_has_feature(priv->vdev, VIRTIO_CAN_F_RTR_FRAMES))
		return "a remote frame, which was not negotiated";
	if (id > (flags & VIRTIO_CAN_FLAGS_EXTENDED ? CAN_EFF_MASK : CAN_SFF_MASK))
		return "a frame with a wrong identifier";
	if (length > (fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN) || (!rtr && length > room))
		return "a frame of a wrong length";
	return NULL;
}

static void take_frame(struct virtio_can *priv, const struct virtio_can_frame *frame,
		       const u8 *data, unsigned int room)
{
	unsigned int length = le16_to_cpu(frame->length);
	u32 flags = le32_to_cpu(frame->flags);
	u32 id = le32_to_cpu(frame->can_id);
	struct net_device *dev = priv->dev;
	struct canfd_frame *cf;
	const char *wrong;
	struct sk_buff *skb;

	wrong = check_frame(priv, flags, id, length, room);
	if (wrong) {
		bad_message(priv, wrong);
		return;
	}
	if (flags & VIRTIO_CAN_FLAGS_FD)
		skb = alloc_canfd_skb(dev, &cf);
	else
		skb = alloc_can_skb(dev, (struct can_frame **)&cf);
	if (!skb) {
		dev->stats.rx_dropped++;
		return;
	}
	cf->can_id = id;
	if (flags & VIRTIO_CAN_FLAGS_EXTENDED)
		cf->can_id |= CAN_EFF_FLAG;
	cf->len = length;
	if (flags & VIRTIO_CAN_FLAGS_RTR) {
		/* Its length is that of the frame which is asked for; it has no data itself. */
		cf->can_id |= CAN_RTR_FLAG;
	} else {
		memcpy(cf->data, data, length);
		dev->stats.rx_bytes += length;
	}
	dev->stats.rx_packets++;
	netif_receive_skb(skb);
}

static void take_message(struct virtio_can *priv, const struct virtio_can_rx *rx, unsigned int len)
{
	struct virtio_can_frame frame = rx->frame;
	struct virtio_can_rx_lost lost;

	if (len < sizeof(lost)) {
		bad_message(priv, "a message that is too short");
		return;
	}
	switch (le16_to_cpu(frame.msg_type)) {
	case VIRTIO_CAN_RX:
		if (len >= sizeof(frame)) {
			take_frame(priv, &frame, rx->data,
				   min_t(unsigned int, len - sizeof(frame), sizeof(rx->data)));
			return;
		}
		break;
	case VIRTIO_CAN_RX_LOST:
		if (virtio_has_feature(priv->vdev, VIRTIO_CAN_F_RX_LOST)) {
			memcpy(&lost, &frame, sizeof(lost));
			frames_lost(priv, le32_to_cpu(lost.count));
			return;
		}
		break;
	}
	bad_message(priv, "a message of a wrong type or length");
}

/**
 * virtio_can_rx_take() - hand frames to the network stack
 * @priv: the interface
 * @budget: most of them
 *
 * Context: NAPI
 * Return: number of messages.
 */
int virtio_can_rx_take(struct virtio_can *priv, int budget)
{
	struct virtqueue *vq = priv->vqs[VIRTIO_CAN_RXQ];
	struct virtio_can_rx *rx;
	unsigned int len;
	int done = 0;

	while (done < budget && (rx = virtqueue_get_buf(vq, &len))) {
		/* It may be the answer to a frame of ours, which is told of before. */
		virtio_can_tx_reclaim(priv);
		take_message(priv, rx, len);
		rx->next = priv->rx_free;
		priv->rx_free = rx;
		done++;
	}
	if (priv->rx_free)
		virtio_can_rx_fill(priv);
	return done;
}

/* virtio_can_rx_discard() - what is left from before the interface went down */
void virtio_can_rx_discard(struct virtio_can *priv)
{
	struct virtio_can_rx *rx;
	unsigned int len;

	while ((rx = virtqueue_get_buf(priv->vqs[VIRTIO_CAN_RXQ], &len))) {
		rx->next = priv->rx_free;
		priv->rx_free = rx;
	}
	if (priv->rx_free)
		virtio_can_rx_fill(priv);
}

/* virtio_can_rx_detach() - after a reset of the device: all buffers are ours */
void virtio_can_rx_detach(struct virtio_can *priv)
{
	struct virtqueue *vq = priv->vqs[VIRTIO_CAN_RXQ];
	struct virtio_can_rx *rx;
	unsigned int len;

	while ((rx = virtqueue_get_buf(vq, &len)) || (rx = virtqueue_detach_unused_buf(vq))) {
		rx->next = priv->rx_free;
		priv->rx_free = rx;
	}
}
