/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A SocketCAN interface on a virtio CAN device.
 *
 * The Txq is used from ndo_start_xmit and from NAPI, under tx_lock. The Rxq is
 * NAPI's while the interface is up, and otherwise of whoever brings it up or
 * down. The Ctrlq is used by processes only, under ctrl_lock.
 *
 * What the device writes is hostile: a buffer's content is read once, and
 * checked, before it is used.
 */
#ifndef VIRTIO_CAN_DRIVER_H
#define VIRTIO_CAN_DRIVER_H

#include <linux/can/dev.h>
#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/workqueue.h>

#include "protocol.h"

/* Most frames on their way through the device; more would only wait there. */
#define VIRTIO_CAN_TX_MAX 128
#define VIRTIO_CAN_RX_MAX 1024

/**
 * struct virtio_can_tx - one frame on its way
 * @out: what the device reads, with the data
 * @data: of the frame
 * @result: what the device writes
 * @echo: what the sockets of this machine get when it went out
 * @bytes: of data, for the statistics
 * @frame_len: its bytes on the wire, as the queue limits count them
 * @next: of the free slots
 */
struct virtio_can_tx {
	struct virtio_can_frame out;
	u8 data[CANFD_MAX_DLEN];
	u8 result ____cacheline_aligned;
	struct sk_buff *echo ____cacheline_aligned;
	unsigned int bytes;
	unsigned int frame_len;
	struct virtio_can_tx *next;
};

/**
 * struct virtio_can_rx - a buffer for one message
 * @frame: written by the device
 * @data: of the frame
 * @next: of the buffers that the device does not have
 */
struct virtio_can_rx {
	struct virtio_can_frame frame;
	u8 data[CANFD_MAX_DLEN];
	struct virtio_can_rx *next ____cacheline_aligned;
};

/**
 * struct virtio_can_control - the request on the Ctrlq
 * @out: what the device reads
 * @result: what the device writes
 */
struct virtio_can_control {
	struct virtio_can_control_out out;
	u8 result ____cacheline_aligned;
};

/**
 * struct virtio_can - an interface
 * @can: of the CAN device framework; must be first
 * @dev: the network device
 * @vdev: the virtio device
 * @vqs: its queues, NULL while there are none
 * @napi: polls Txq and Rxq
 * @up: between open and stop
 * @suspended: the system sleeps, and the device is reset
 * @tx_lock: the Txq and the slots
 * @tx: the slots
 * @tx_free: those that are free
 * @tx_busy: number of those that are not
 * @tx_count: number of all
 * @rx: buffers
 * @rx_free: those that the device does not have
 * @rx_count: number of all
 * @refill: gives them to the device when that has failed for all
 * @ctrl_lock: the Ctrlq and @ctrl
 * @ctrl: the request
 * @ctrl_pending: the device still has it
 * @ctrl_done: the device has answered it
 * @status_work: looks at the status when the config space has changed
 */
struct virtio_can {
	struct can_priv can;
	struct net_device *dev;
	struct virtio_device *vdev;
	struct virtqueue *vqs[VIRTIO_CAN_QUEUES];
	struct napi_struct napi;
	bool up;
	bool suspended;

	spinlock_t tx_lock; /* the Txq and the slots */
	struct virtio_can_tx *tx;
	struct virtio_can_tx *tx_free;
	unsigned int tx_busy;
	unsigned int tx_count;

	struct virtio_can_rx *rx;
	struct virtio_can_rx *rx_free;
	unsigned int rx_count;
	struct delayed_work refill;

	struct mutex ctrl_lock; /* the Ctrlq and its request */
	struct virtio_can_control *ctrl;
	bool ctrl_pending;
	struct completion ctrl_done;

	struct work_struct status_work;
};

/* netdev.c */

void virtio_can_netdev_init(struct virtio_can *priv);
int virtio_can_set_mode(struct net_device *dev, enum can_mode mode);
void virtio_can_status_work(struct work_struct *work);
void virtio_can_pause(struct virtio_can *priv);
void virtio_can_resume(struct virtio_can *priv);

/* tx.c */

int virtio_can_tx_init(struct virtio_can *priv);
void virtio_can_tx_finish(struct virtio_can *priv);
netdev_tx_t virtio_can_start_xmit(struct sk_buff *skb, struct net_device *dev);
void virtio_can_tx_done(struct virtqueue *vq);
void virtio_can_tx_reclaim(struct virtio_can *priv);
bool virtio_can_tx_arm(struct virtio_can *priv);
void virtio_can_tx_forget(struct virtio_can *priv);
void virtio_can_tx_detach(struct virtio_can *priv);

/* rx.c */

int virtio_can_rx_init(struct virtio_can *priv);
void virtio_can_rx_finish(struct virtio_can *priv);
void virtio_can_rx_fill(struct virtio_can *priv);
void virtio_can_rx_done(struct virtqueue *vq);
int virtio_can_rx_take(struct virtio_can *priv, int budget);
void virtio_can_rx_discard(struct virtio_can *priv);
void virtio_can_rx_detach(struct virtio_can *priv);
void virtio_can_refill_work(struct work_struct *work);

/* control.c */

int virtio_can_control_init(struct virtio_can *priv);
void virtio_can_control_finish(struct virtio_can *priv);
void virtio_can_control_done(struct virtqueue *vq);
int virtio_can_control(struct virtio_can *priv, u16 msg_type);
void virtio_can_control_detach(struct virtio_can *priv);

#endif
