// SPDX-License-Identifier: GPL-2.0-only
/* The interface: up, down, bus-off, restart. */
#include <linux/ethtool.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "driver.h"

static int virtio_can_poll(struct napi_struct *napi, int budget)
{
	struct virtio_can *priv = container_of(napi, struct virtio_can, napi);
	struct virtqueue *rxq = priv->vqs[VIRTIO_CAN_RXQ];
	bool more;
	int done;

	virtio_can_tx_reclaim(priv);
	done = virtio_can_rx_take(priv, budget);
	if (done >= budget || !napi_complete_done(napi, done))
		return done;
	more = virtio_can_tx_arm(priv);
	if (!virtqueue_enable_cb(rxq)) {
		virtqueue_disable_cb(rxq);
		more = true;
	}
	if (more)
		napi_schedule(napi);
	return done;
}

/*
 * The state is that of a running controller before the device is asked: if it
 * leaves the bus at once, the news may come before the answer.
 */
static int virtio_can_start(struct virtio_can *priv)
{
	enum can_state before = priv->can.state;
	int err;

	priv->can.state = CAN_STATE_ERROR_ACTIVE;
	err = virtio_can_control(priv, VIRTIO_CAN_SET_CTRL_MODE_START);
	if (err) {
		netdev_err(priv->dev, "the device does not start: error %d\n", err);
		priv->can.state = before;
	}
	return err;
}

static void virtio_can_go(struct virtio_can *priv)
{
	WRITE_ONCE(priv->up, true);
	napi_enable(&priv->napi);
	local_bh_disable();
	napi_schedule(&priv->napi);
	local_bh_enable();
}

static void virtio_can_halt(struct virtio_can *priv)
{
	WRITE_ONCE(priv->up, false);
	cancel_work_sync(&priv->status_work);
	cancel_delayed_work_sync(&priv->refill);
	napi_disable(&priv->napi);
}

/*
 * The controller is somebody else's, and its bit timing was set there: none is
 * asked for, as open_candev() would.
 */
static int virtio_can_open(struct net_device *dev)
{
	struct virtio_can *priv = netdev_priv(dev);
	int err;

	if (priv->suspended)
		return -ENETDOWN;
	virtio_can_tx_forget(priv);
	virtio_can_rx_discard(priv);
	netif_carrier_on(dev);
	virtio_can_go(priv);
	err = virtio_can_start(priv);
	if (err) {
		virtio_can_halt(priv);
		netif_carrier_off(dev);
		return err;
	}
	netif_start_queue(dev);
	return 0;
}

static int virtio_can_stop(struct net_device *dev)
{
	struct virtio_can *priv = netdev_priv(dev);

	netif_stop_queue(dev);
	if (!priv->suspended) {
		virtio_can_halt(priv);
		/* It may be gone, which is no reason to stay up. */
		virtio_can_control(priv, VIRTIO_CAN_SET_CTRL_MODE_STOP);
		virtio_can_tx_forget(priv);
	}
	close_candev(dev);
	netif_carrier_off(dev);
	priv->can.state = CAN_STATE_STOPPED;
	return 0;
}

/* Restart after bus-off, by the user or after restart-ms; the carrier has been turned on. */
int virtio_can_set_mode(struct net_device *dev, enum can_mode mode)
{
	struct virtio_can *priv = netdev_priv(dev);
	int err;

	if (mode != CAN_MODE_START)
		return -EOPNOTSUPP;
	if (priv->suspended)
		return -ENETDOWN;
	err = virtio_can_start(priv);
	if (err)
		return err;
	netif_wake_queue(dev);
	return 0;
}

/* The device has left the bus by itself: an error that it met there. */
static void virtio_can_bus_off(struct virtio_can *priv)
{
	struct net_device *dev = priv->dev;
	struct can_frame *cf = NULL;
	struct sk_buff *skb;

	skb = alloc_can_err_skb(dev, &cf);
	can_change_state(dev, cf, CAN_STATE_BUS_OFF, CAN_STATE_BUS_OFF);
	can_bus_off(dev);
	if (skb)
		netif_rx(skb);
}

void virtio_can_status_work(struct work_struct *work)
{
	struct virtio_can *priv = container_of(work, struct virtio_can, status_work);
	u16 status;

	if (!READ_ONCE(priv->up) || priv->can.state >= CAN_STATE_BUS_OFF)
		return;
	virtio_cread_le(priv->vdev, struct virtio_can_config, status, &status);
	if (!(status & VIRTIO_CAN_S_CTRL_BUSOFF))
		return;
	local_bh_disable();
	virtio_can_bus_off(priv);
	local_bh_enable();
}

/* virtio_can_pause() - before the system sleeps; the device is reset next */
void virtio_can_pause(struct virtio_can *priv)
{
	struct net_device *dev = priv->dev;

	rtnl_lock();
	netif_device_detach(dev);
	if (netif_running(dev)) {
		virtio_can_halt(priv);
		cancel_delayed_work_sync(&priv->can.restart_work);
		virtio_can_control(priv, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	}
	priv->suspended = true;
	rtnl_unlock();
}

/* virtio_can_resume() - after it; a device that does not start again is off the bus */
void virtio_can_resume(struct virtio_can *priv)
{
	struct net_device *dev = priv->dev;
	bool was_off = priv->can.state >= CAN_STATE_BUS_OFF;

	rtnl_lock();
	priv->suspended = false;
	if (netif_running(dev)) {
		virtio_can_go(priv);
		if (!was_off && virtio_can_start(priv))
			virtio_can_bus_off(priv);
	}
	netif_device_attach(dev);
	rtnl_unlock();
}

static const struct ethtool_ops virtio_can_ethtool_ops = {
	.get_ts_info = ethtool_op_get_ts_info,
};

static const struct net_device_ops virtio_can_netdev_ops = {
	.ndo_open = virtio_can_open,
	.ndo_stop = virtio_can_stop,
	.ndo_start_xmit = virtio_can_start_xmit,
#if VIRTIO_CAN_HAVE_CHANGE_MTU
	.ndo_change_mtu = can_change_mtu,
#endif
};

/* virtio_can_netdev_init() - what the network stack calls */
void virtio_can_netdev_init(struct virtio_can *priv)
{
	struct net_device *dev = priv->dev;

	dev->netdev_ops = &virtio_can_netdev_ops;
	dev->ethtool_ops = &virtio_can_ethtool_ops;
	/* Sockets of this machine see a frame when the device says that it went out. */
	dev->flags |= IFF_ECHO;
	netif_napi_add(dev, &priv->napi, virtio_can_poll);
}
