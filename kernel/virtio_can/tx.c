// SPDX-License-Identifier: GPL-2.0-only
/*
 * The Txq: frames on their way to the bus. The echo of a frame waits in its slot
 * until the device says that it went out, and then goes to the sockets of this
 * machine, as SocketCAN wants it.
 *
 * Echoes take the same way up as frames from the bus, from the same NAPI poll: an
 * answer to a frame must not overtake the frame's own echo, which protocols like
 * ISO-TP wait for. The echoes of the CAN device framework would go by netif_rx().
 */
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "driver.h"

int virtio_can_tx_init(struct virtio_can *priv)
{
	unsigned int i, count = virtqueue_get_vring_size(priv->vqs[VIRTIO_CAN_TXQ]);

	/* Two descriptors each, where they do not stand in a table of their own. */
	if (!virtio_has_feature(priv->vdev, VIRTIO_RING_F_INDIRECT_DESC))
		count /= 2;
	count = min_t(unsigned int, count, VIRTIO_CAN_TX_MAX);
	if (!count)
		return -EINVAL;
	priv->tx = kcalloc(count, sizeof(*priv->tx), GFP_KERNEL);
	if (!priv->tx)
		return -ENOMEM;
	priv->tx_count = count;
	for (i = count; i-- > 0;) {
		priv->tx[i].next = priv->tx_free;
		priv->tx_free = &priv->tx[i];
	}
	return 0;
}

void virtio_can_tx_finish(struct virtio_can *priv)
{
	kfree(priv->tx);
}

void virtio_can_tx_done(struct virtqueue *vq)
{
	struct virtio_can *priv = vq->vdev->priv;

	virtqueue_disable_cb(vq);
	napi_schedule(&priv->napi);
}

/* What the device would refuse is not sent to it. */
static bool can_be_sent(const struct virtio_can *priv, const struct sk_buff *skb)
{
	const struct canfd_frame *cf = (const struct canfd_frame *)skb->data;

	if (can_is_canfd_skb(skb))
		return virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_FD);
	if (!can_is_can_skb(skb) || cf->can_id & CAN_ERR_FLAG)
		return false;
	if (cf->can_id & CAN_RTR_FLAG &&
	    !virtio_has_feature(priv->vdev, VIRTIO_CAN_F_RTR_FRAMES))
		return false;
	return virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_CLASSIC);
}

/* Return: number of bytes that the device reads */
static unsigned int fill_frame(struct virtio_can_tx *tx, const struct sk_buff *skb)
{
	const struct canfd_frame *cf = (const struct canfd_frame *)skb->data;
	u32 id = cf->can_id & CAN_SFF_MASK;
	u32 flags = 0;

	if (cf->can_id & CAN_EFF_FLAG) {
		flags |= VIRTIO_CAN_FLAGS_EXTENDED;
		id = cf->can_id & CAN_EFF_MASK;
	}
	if (can_is_canfd_skb(skb)) {
		flags |= VIRTIO_CAN_FLAGS_FD;
	} else if (cf->can_id & CAN_RTR_FLAG) {
		flags |= VIRTIO_CAN_FLAGS_RTR;
		memset(tx->data, 0, cf->len);
	}
	if (!(flags & VIRTIO_CAN_FLAGS_RTR))
		memcpy(tx->data, cf->data, cf->len);
	tx->out = (struct virtio_can_frame){
		.msg_type = cpu_to_le16(VIRTIO_CAN_TX),
		.length = cpu_to_le16(cf->len),
		.flags = cpu_to_le32(flags),
		.can_id = cpu_to_le32(id),
	};
	tx->result = 0xff;
	return sizeof(tx->out) + cf->len;
}

static int add_frame(struct virtio_can *priv, struct virtio_can_tx *tx, unsigned int len)
{
	struct scatterlist out, in, *sgs[] = { &out, &in };

	sg_init_one(&out, &tx->out, len);
	sg_init_one(&in, &tx->result, sizeof(tx->result));
	return virtqueue_add_sgs(priv->vqs[VIRTIO_CAN_TXQ], sgs, 1, 1, tx, GFP_ATOMIC);
}

/*
 * With tx_lock, so that the device's answer cannot overtake the echo.
 *
 * Return: 0, -EBUSY when there is no room now and a return of another frame will
 * tell of it, or another negative errno.
 */
static int virtio_can_send(struct virtio_can *priv, struct sk_buff *skb)
{
	struct virtio_can_tx *tx = priv->tx_free;
	struct net_device *dev = priv->dev;
	int err;

	if (!tx) {
		netif_stop_queue(dev);
		return -EBUSY;
	}
	err = add_frame(priv, tx, fill_frame(tx, skb));
	if (err && priv->tx_busy && !virtqueue_is_broken(priv->vqs[VIRTIO_CAN_TXQ])) {
		netif_stop_queue(dev);
		return -EBUSY;
	}
	if (err)
		return err;
	priv->tx_free = tx->next;
	priv->tx_busy++;
	tx->bytes = can_skb_get_data_len(skb);
	tx->frame_len = can_skb_get_frame_len(skb);
	netdev_sent_queue(dev, tx->frame_len);
	/* The frame is the device's, whatever becomes of its echo. */
	skb_tx_timestamp(skb);
	tx->echo = can_create_echo_skb(skb);
	if (!priv->tx_free)
		netif_stop_queue(dev);
	return 0;
}

/* Return: 0 when the frame was sent or need not be, else as virtio_can_send() */
static int virtio_can_xmit(struct virtio_can *priv, struct sk_buff *skb)
{
	if (can_dev_dropped_skb(priv->dev, skb))
		return 0;
	if (!can_be_sent(priv, skb)) {
		kfree_skb(skb);
		priv->dev->stats.tx_dropped++;
		return 0;
	}
	return virtio_can_send(priv, skb);
}

netdev_tx_t virtio_can_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct virtio_can *priv = netdev_priv(dev);
	struct virtqueue *vq = priv->vqs[VIRTIO_CAN_TXQ];
	bool kick = false;
	int err;

	spin_lock_bh(&priv->tx_lock);
	err = virtio_can_xmit(priv, skb);
	/* Frames before this one may have left the kick to it. */
	if (err || netif_queue_stopped(dev) || !netdev_xmit_more())
		kick = virtqueue_kick_prepare(vq);
	spin_unlock_bh(&priv->tx_lock);
	if (kick)
		virtqueue_notify(vq);
	if (err == -EBUSY)
		return NETDEV_TX_BUSY;
	if (err) {
		kfree_skb(skb);
		dev->stats.tx_dropped++;
	}
	return NETDEV_TX_OK;
}

static struct virtio_can_tx *take_answer(struct virtio_can *priv, bool *ok)
{
	struct virtio_can_tx *tx;
	unsigned int len = 0;

	spin_lock_bh(&priv->tx_lock);
	tx = virtqueue_get_buf(priv->vqs[VIRTIO_CAN_TXQ], &len);
	spin_unlock_bh(&priv->tx_lock);
	*ok = tx && len && READ_ONCE(tx->result) == VIRTIO_CAN_RESULT_OK;
	return tx;
}

static void free_slot(struct virtio_can *priv, struct virtio_can_tx *tx)
{
	spin_lock_bh(&priv->tx_lock);
	tx->next = priv->tx_free;
	priv->tx_free = tx;
	priv->tx_busy--;
	if (netif_queue_stopped(priv->dev) && priv->up)
		netif_wake_queue(priv->dev);
	spin_unlock_bh(&priv->tx_lock);
}

static void give_echo(struct virtio_can *priv, struct virtio_can_tx *tx)
{
	struct sk_buff *skb = tx->echo;

	tx->echo = NULL;
	if (!skb)
		return;
	/* The sender may have asked for no loopback. */
	if (skb->pkt_type != PACKET_LOOPBACK) {
		consume_skb(skb);
		return;
	}
	skb->pkt_type = PACKET_BROADCAST;
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->dev = priv->dev;
	netif_receive_skb(skb);
}

static void drop_echo(struct virtio_can_tx *tx)
{
	kfree_skb(tx->echo);
	tx->echo = NULL;
}

/**
 * virtio_can_tx_reclaim() - take back the frames that the device is done with
 * @priv: the interface
 *
 * Context: NAPI, or a process while NAPI is disabled and nobody waits for echoes
 */
void virtio_can_tx_reclaim(struct virtio_can *priv)
{
	struct net_device *dev = priv->dev;
	unsigned int frames = 0, bytes = 0;
	struct virtio_can_tx *tx;
	bool ok;

	while ((tx = take_answer(priv, &ok))) {
		if (ok) {
			dev->stats.tx_bytes += tx->bytes;
			dev->stats.tx_packets++;
		} else {
			dev->stats.tx_errors++;
		}
		if (ok && priv->up)
			give_echo(priv, tx);
		else
			drop_echo(tx);
		/* Nothing, for a frame from before the interface went down and up. */
		if (tx->frame_len) {
			frames++;
			bytes += tx->frame_len;
		}
		free_slot(priv, tx);
	}
	if (frames)
		netdev_completed_queue(dev, frames, bytes);
}

/* virtio_can_tx_arm() - ask for calls; Return: true if there is work already */
bool virtio_can_tx_arm(struct virtio_can *priv)
{
	bool pending;

	spin_lock_bh(&priv->tx_lock);
	pending = !virtqueue_enable_cb(priv->vqs[VIRTIO_CAN_TXQ]);
	if (pending)
		virtqueue_disable_cb(priv->vqs[VIRTIO_CAN_TXQ]);
	spin_unlock_bh(&priv->tx_lock);
	return pending;
}

/*
 * virtio_can_tx_forget() - the interface is down: nobody waits for echoes, and the
 * queue's limits begin anew; slots that the device still has come back some day
 */
void virtio_can_tx_forget(struct virtio_can *priv)
{
	unsigned int i;

	virtio_can_tx_reclaim(priv);
	for (i = 0; i < priv->tx_count; i++) {
		struct virtio_can_tx *tx = &priv->tx[i];

		drop_echo(tx);
		tx->frame_len = 0;
	}
	netdev_reset_queue(priv->dev);
}

/* virtio_can_tx_detach() - after a reset of the device: all slots are ours */
void virtio_can_tx_detach(struct virtio_can *priv)
{
	struct virtio_can_tx *tx;

	virtio_can_tx_forget(priv);
	while ((tx = virtqueue_detach_unused_buf(priv->vqs[VIRTIO_CAN_TXQ]))) {
		priv->dev->stats.tx_errors++;
		free_slot(priv, tx);
	}
}
