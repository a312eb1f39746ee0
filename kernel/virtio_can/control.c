// SPDX-License-Identifier: GPL-2.0-only
/* The Ctrlq: one request at a time, asked by a process that waits for the answer. */
#include <linux/jiffies.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "driver.h"

/*
 * Whoever waits may hold the lock of all network devices, so the wait ends even
 * when the device does not answer. The queue may break without a call.
 */
#define ANSWER_MS 10000
#define BROKEN_MS 100

int virtio_can_control_init(struct virtio_can *priv)
{
	mutex_init(&priv->ctrl_lock);
	init_completion(&priv->ctrl_done);
	priv->ctrl = kzalloc(sizeof(*priv->ctrl), GFP_KERNEL);
	return priv->ctrl ? 0 : -ENOMEM;
}

void virtio_can_control_finish(struct virtio_can *priv)
{
	kfree(priv->ctrl);
}

void virtio_can_control_done(struct virtqueue *vq)
{
	struct virtio_can *priv = vq->vdev->priv;

	complete(&priv->ctrl_done);
}

/* Return: 0 when the device has given the request back, or a negative errno. */
static int wait_answer(struct virtio_can *priv, unsigned int *len)
{
	struct virtqueue *vq = priv->vqs[VIRTIO_CAN_CTRLQ];
	unsigned long end = jiffies + msecs_to_jiffies(ANSWER_MS);

	for (;;) {
		if (virtqueue_get_buf(vq, len)) {
			priv->ctrl_pending = false;
			return 0;
		}
		if (virtqueue_is_broken(vq))
			return -EIO;
		if (time_after(jiffies, end))
			return -ETIMEDOUT;
		wait_for_completion_timeout(&priv->ctrl_done, msecs_to_jiffies(BROKEN_MS));
	}
}

static int ask(struct virtio_can *priv, u16 msg_type, unsigned int *len)
{
	struct virtqueue *vq = priv->vqs[VIRTIO_CAN_CTRLQ];
	struct scatterlist out, in, *sgs[] = { &out, &in };
	int err;

	if (!vq)
		return -ENODEV;
	/* An answer that came too late for an earlier request */
	if (priv->ctrl_pending) {
		err = wait_answer(priv, len);
		if (err)
			return err;
	}
	priv->ctrl->out.msg_type = cpu_to_le16(msg_type);
	priv->ctrl->result = 0xff;
	sg_init_one(&out, &priv->ctrl->out, sizeof(priv->ctrl->out));
	sg_init_one(&in, &priv->ctrl->result, sizeof(priv->ctrl->result));
	reinit_completion(&priv->ctrl_done);
	err = virtqueue_add_sgs(vq, sgs, 1, 1, priv->ctrl, GFP_KERNEL);
	if (err)
		return err;
	priv->ctrl_pending = true;
	virtqueue_kick(vq);
	return wait_answer(priv, len);
}

/**
 * virtio_can_control() - start or stop the controller
 * @priv: the interface
 * @msg_type: VIRTIO_CAN_SET_CTRL_MODE_...
 *
 * Context: may sleep
 * Return: 0, -EIO when the device refuses or is broken, -ETIMEDOUT when it does
 * not answer, or another negative errno.
 */
int virtio_can_control(struct virtio_can *priv, u16 msg_type)
{
	unsigned int len = 0;
	int err;

	mutex_lock(&priv->ctrl_lock);
	err = ask(priv, msg_type, &len);
	if (!err && (!len || priv->ctrl->result != VIRTIO_CAN_RESULT_OK))
		err = -EIO;
	mutex_unlock(&priv->ctrl_lock);
	return err;
}

/* virtio_can_control_detach() - after a reset of the device */
void virtio_can_control_detach(struct virtio_can *priv)
{
	while (virtqueue_detach_unused_buf(priv->vqs[VIRTIO_CAN_CTRLQ]))
		;
	priv->ctrl_pending = false;
}
