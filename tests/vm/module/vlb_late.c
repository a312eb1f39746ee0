// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtio driver for tests that is slow on its way in and out: it may linger between the making of
 * its queue and DRIVER_OK, and after that; then it offers one buffer, and when it is unbound it
 * resets the device and then waits for the end of I/O before it lets its queue go.
 *
 * It takes nothing back, or in a work item of its own, as other drivers do, a while after the call.
 *
 * A device does not interrupt before DRIVER_OK (virtio 3.1.1), nor when it was reset (2.4.1): calls
 * of then are counted. So are those that come while another one is under way, as no interrupt does,
 * and changes of the configuration.
 */
#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

/* An id that the virtio document does not give to anybody */
#define VLB_LATE_ID		0xfff1
#define VLB_LATE_PATIENCE_MS	10000
#define VLB_LATE_STEP_MS	5

static unsigned int linger_ms;
module_param(linger_ms, uint, 0600);
MODULE_PARM_DESC(linger_ms, "how long it lingers before DRIVER_OK");

static bool lingers;
module_param(lingers, bool, 0400);
MODULE_PARM_DESC(lingers, "it does, and has its queue");

static unsigned int stay_ms;
module_param(stay_ms, uint, 0600);
MODULE_PARM_DESC(stay_ms, "how long it lingers after DRIVER_OK");

static bool stays;
module_param(stays, bool, 0400);
MODULE_PARM_DESC(stays, "it does");

static unsigned int overlapping;
module_param(overlapping, uint, 0400);
MODULE_PARM_DESC(overlapping, "calls while another one was under way");

static unsigned int changes;
module_param(changes, uint, 0400);
MODULE_PARM_DESC(changes, "of the configuration, that it was told of");

static bool takes;
module_param(takes, bool, 0600);
MODULE_PARM_DESC(takes, "it takes back what is used");

static unsigned int taken;
module_param(taken, uint, 0400);
MODULE_PARM_DESC(taken, "buffers that it has taken back");

static unsigned int early;
module_param(early, uint, 0400);
MODULE_PARM_DESC(early, "calls before DRIVER_OK");

static unsigned int calls;
module_param(calls, uint, 0400);
MODULE_PARM_DESC(calls, "from DRIVER_OK to the reset");

static unsigned int late;
module_param(late, uint, 0400);
MODULE_PARM_DESC(late, "calls after the reset");

static bool reset;
module_param(reset, bool, 0400);
MODULE_PARM_DESC(reset, "the driver has reset the device and waits");

static bool ended;
module_param(ended, bool, 0400);
MODULE_PARM_DESC(ended, "it has seen the end of I/O, which breaks the queue");

/**
 * struct vlb_late - the device
 * @vq:   its queue
 * @word: the buffer that is offered
 * @take: takes it back
 */
struct vlb_late {
	struct virtqueue *vq;
	u64 *word;
	struct work_struct take;
};

/* Calls that are under way */
static atomic_t vlb_late_inside = ATOMIC_INIT(0);

static void vlb_late_take(struct work_struct *work)
{
	struct vlb_late *dev = container_of(work, struct vlb_late, take);
	unsigned int len;

	/* Long enough for a ring to be another one than at the call */
	usleep_range(2000, 3000);
	while (virtqueue_get_buf(dev->vq, &len))
		taken++;
}

static void vlb_late_called(struct virtqueue *vq)
{
	struct vlb_late *dev = vq->vdev->priv;

	if (atomic_inc_return(&vlb_late_inside) > 1)
		overlapping++;
	/* Long enough for the next one to come */
	udelay(9);
	atomic_dec(&vlb_late_inside);
	if (READ_ONCE(lingers))
		early++;
	else if (READ_ONCE(reset))
		late++;
	else
		calls++;
	if (READ_ONCE(takes))
		schedule_work(&dev->take);
}

static void vlb_late_changed(struct virtio_device *vdev)
{
	changes++;
}

static int vlb_late_probe(struct virtio_device *vdev)
{
	struct scatterlist sg;
	struct vlb_late *dev;
	int err = -ENOMEM;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	/* A cache line of its own, as what a device writes has to have */
	dev->word = kzalloc(L1_CACHE_BYTES, GFP_KERNEL);
	if (!dev->word)
		goto err_free;
	INIT_WORK(&dev->take, vlb_late_take);
	vdev->priv = dev;
	dev->vq = virtio_find_single_vq(vdev, vlb_late_called, "late");
	if (IS_ERR(dev->vq)) {
		err = PTR_ERR(dev->vq);
		goto err_word;
	}
	WRITE_ONCE(reset, false);
	WRITE_ONCE(lingers, linger_ms);
	msleep(linger_ms);
	WRITE_ONCE(lingers, false);
	virtio_device_ready(vdev);
	sg_init_one(&sg, dev->word, sizeof(*dev->word));
	err = virtqueue_add_inbuf(dev->vq, &sg, 1, dev, GFP_KERNEL);
	if (err)
		goto err_vqs;
	virtqueue_kick(dev->vq);
	WRITE_ONCE(stays, stay_ms);
	msleep(stay_ms);
	WRITE_ONCE(stays, false);
	return 0;

err_vqs:
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
err_word:
	kfree(dev->word);
err_free:
	kfree(dev);
	return err;
}

static void vlb_late_remove(struct virtio_device *vdev)
{
	struct vlb_late *dev = vdev->priv;
	unsigned int ms;

	virtio_reset_device(vdev);
	cancel_work_sync(&dev->take);
	WRITE_ONCE(reset, true);
	for (ms = 0; ms < VLB_LATE_PATIENCE_MS && !virtqueue_is_broken(dev->vq);
	     ms += VLB_LATE_STEP_MS)
		msleep(VLB_LATE_STEP_MS);
	ended = virtqueue_is_broken(dev->vq);
	virtqueue_detach_unused_buf(dev->vq);
	vdev->config->del_vqs(vdev);
	kfree(dev->word);
	kfree(dev);
}

static const struct virtio_device_id vlb_late_ids[] = {
	{ VLB_LATE_ID, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, vlb_late_ids);

static struct virtio_driver vlb_late_driver = {
	.driver.name = "vlb_late",
	.driver.owner = THIS_MODULE,
	.id_table = vlb_late_ids,
	.probe = vlb_late_probe,
	.remove = vlb_late_remove,
	.config_changed = vlb_late_changed,
};
module_virtio_driver(vlb_late_driver);

MODULE_DESCRIPTION("a virtio driver for tests that is slow on its way in and out");
MODULE_LICENSE("GPL");
