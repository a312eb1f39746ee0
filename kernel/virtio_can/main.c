// SPDX-License-Identifier: GPL-2.0-only
/* The driver: devices come and go, and sleep. */
#include <linux/module.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "compat.h"
#include "driver.h"

static int virtio_can_find_queues(struct virtio_can *priv)
{
	vq_callback_t *callbacks[VIRTIO_CAN_QUEUES] = {
		virtio_can_tx_done, virtio_can_rx_done, virtio_can_control_done,
	};
	static const char * const names[VIRTIO_CAN_QUEUES] = { "tx", "rx", "control" };

	return virtio_can_compat_find_vqs(priv->vdev, VIRTIO_CAN_QUEUES, priv->vqs, callbacks,
					  names);
}

/* The device is silent after this, and has none of our memory. */
static void virtio_can_drop_queues(struct virtio_can *priv)
{
	virtio_reset_device(priv->vdev);
	virtio_can_tx_detach(priv);
	virtio_can_rx_detach(priv);
	virtio_can_control_detach(priv);
	priv->vdev->config->del_vqs(priv->vdev);
	memset(priv->vqs, 0, sizeof(priv->vqs));
}

/* What the features say of the interface */
static int virtio_can_set_modes(struct virtio_can *priv)
{
	priv->can.do_set_mode = virtio_can_set_mode;
	if (!virtio_has_feature(priv->vdev, VIRTIO_CAN_F_CAN_FD))
		return 0;
	return can_set_static_ctrlmode(priv->dev, CAN_CTRLMODE_FD);
}

static void virtio_can_init(struct virtio_can *priv, struct virtio_device *vdev,
			    struct net_device *dev)
{
	priv->dev = dev;
	priv->vdev = vdev;
	vdev->priv = priv;
	spin_lock_init(&priv->tx_lock);
	INIT_WORK(&priv->status_work, virtio_can_status_work);
	INIT_DELAYED_WORK(&priv->refill, virtio_can_refill_work);
	virtio_can_netdev_init(priv);
	SET_NETDEV_DEV(dev, &vdev->dev);
}

static int virtio_can_probe(struct virtio_device *vdev)
{
	struct virtio_can *priv;
	struct net_device *dev;
	int err;

	dev = alloc_candev(sizeof(*priv), 0);
	if (!dev)
		return -ENOMEM;
	priv = netdev_priv(dev);
	virtio_can_init(priv, vdev, dev);
	err = virtio_can_set_modes(priv);
	if (err)
		goto err_free;
	err = virtio_can_control_init(priv);
	if (err)
		goto err_free;
	err = virtio_can_find_queues(priv);
	if (err)
		goto err_control;
	err = virtio_can_tx_init(priv);
	if (err)
		goto err_queues;
	err = virtio_can_rx_init(priv);
	if (err)
		goto err_queues;
	virtio_device_ready(vdev);
	virtio_can_rx_fill(priv);
	err = register_candev(dev);
	if (err)
		goto err_queues;
	return 0;

err_queues:
	cancel_delayed_work_sync(&priv->refill);
	virtio_can_drop_queues(priv);
	virtio_can_rx_finish(priv);
	virtio_can_tx_finish(priv);
err_control:
	virtio_can_control_finish(priv);
err_free:
	free_candev(dev);
	return err;
}

static void virtio_can_remove(struct virtio_device *vdev)
{
	struct virtio_can *priv = vdev->priv;

	unregister_candev(priv->dev);
	cancel_work_sync(&priv->status_work);
	cancel_delayed_work_sync(&priv->refill);
	virtio_can_drop_queues(priv);
	virtio_can_rx_finish(priv);
	virtio_can_tx_finish(priv);
	virtio_can_control_finish(priv);
	free_candev(priv->dev);
}

/* In atomic context, and the state of the interface is a process's business. */
static void virtio_can_config_changed(struct virtio_device *vdev)
{
	struct virtio_can *priv = vdev->priv;

	schedule_work(&priv->status_work);
}

static int virtio_can_validate(struct virtio_device *vdev)
{
	if (!vdev->config->get) {
		dev_err(&vdev->dev, "the device has no config space\n");
		return -EINVAL;
	}
	if (!virtio_has_feature(vdev, VIRTIO_CAN_F_CAN_CLASSIC) &&
	    !virtio_has_feature(vdev, VIRTIO_CAN_F_CAN_FD)) {
		dev_err(&vdev->dev, "the device offers neither classic nor FD frames\n");
		return -EINVAL;
	}
	if (!virtio_has_feature(vdev, VIRTIO_CAN_F_CAN_CLASSIC))
		__virtio_clear_bit(vdev, VIRTIO_CAN_F_RTR_FRAMES);
	return 0;
}

static int __maybe_unused virtio_can_freeze(struct virtio_device *vdev)
{
	struct virtio_can *priv = vdev->priv;

	virtio_can_pause(priv);
	cancel_work_sync(&priv->status_work);
	cancel_delayed_work_sync(&priv->refill);
	virtio_can_drop_queues(priv);
	return 0;
}

static int __maybe_unused virtio_can_restore(struct virtio_device *vdev)
{
	struct virtio_can *priv = vdev->priv;
	int err;

	err = virtio_can_find_queues(priv);
	if (err)
		return err;
	virtio_device_ready(vdev);
	virtio_can_rx_fill(priv);
	virtio_can_resume(priv);
	return 0;
}

static const unsigned int virtio_can_features[] = {
	VIRTIO_CAN_F_CAN_CLASSIC,
	VIRTIO_CAN_F_CAN_FD,
	VIRTIO_CAN_F_RTR_FRAMES,
	VIRTIO_CAN_F_LATE_TX_ACK,
	VIRTIO_CAN_F_RX_LOST,
};

static const struct virtio_device_id virtio_can_ids[] = {
	{ VIRTIO_ID_CAN, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, virtio_can_ids);

static struct virtio_driver virtio_can_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = virtio_can_ids,
	.feature_table = virtio_can_features,
	.feature_table_size = ARRAY_SIZE(virtio_can_features),
	.validate = virtio_can_validate,
	.probe = virtio_can_probe,
	.remove = virtio_can_remove,
	.config_changed = virtio_can_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = virtio_can_freeze,
	.restore = virtio_can_restore,
#endif
};
module_virtio_driver(virtio_can_driver);

MODULE_DESCRIPTION("SocketCAN interface on a virtio CAN device");
MODULE_LICENSE("GPL");
