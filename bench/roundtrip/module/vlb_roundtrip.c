// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtio driver that does nothing but make requests and wait for them: what it takes
 * from a kick over the back-end to a call.
 *
 * Write "sleep N", "chain N" or "each N" to /sys/module/vlb_roundtrip/parameters/run, then read
 * the nanoseconds that the N requests took together; after "each" also what half of them, 99 of
 * 100, 999 of 1000 and all took at most.
 *   sleep: a thread makes each request and sleeps until its callback
 *   chain: the callback of each request makes the next one
 *   each:  as sleep, with a look at the clock around each request
 * With queues=N each request is made in another virtqueue than the one before.
 * Waits have no timer, which would be measured with them: kill ends them.
 */
#include <linux/completion.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

/* An id that the virtio document does not give to anybody. */
#define VLB_ROUNDTRIP_ID	0xfff0
#define VLB_ROUNDTRIP_MAX	32

static unsigned int queues = 1;
module_param(queues, uint, 0400);

/**
 * struct roundtrip - the device under measurement
 * @vqs:  its queues
 * @next: which one is next, of all that ever were
 * @done: a run, or in sleep mode a request, is over
 * @left: chain mode: requests to go
 * @word: what the device writes
 */
struct roundtrip {
	struct virtqueue *vqs[VLB_ROUNDTRIP_MAX];
	unsigned int next;
	struct completion done;
	unsigned int left;
	u64 *word;
};

static DEFINE_MUTEX(roundtrip_lock); /* protects the three below, and a run */
static struct roundtrip *roundtrip;
static u64 roundtrip_ns;
static u32 roundtrip_shares[4]; /* of "each", nanoseconds, else 0 */

static int roundtrip_request(struct roundtrip *rt)
{
	struct virtqueue *vq = rt->vqs[rt->next];
	struct scatterlist sg;
	int err;

	rt->next = rt->next + 1 < queues ? rt->next + 1 : 0;
	sg_init_one(&sg, rt->word, sizeof(*rt->word));
	err = virtqueue_add_inbuf(vq, &sg, 1, rt, GFP_ATOMIC);
	if (!err)
		virtqueue_kick(vq);
	return err;
}

static void roundtrip_called(struct virtqueue *vq)
{
	struct roundtrip *rt = vq->vdev->priv;
	unsigned int len;

	if (!virtqueue_get_buf(vq, &len))
		return;
	if (rt->left && --rt->left && !roundtrip_request(rt))
		return;
	complete(&rt->done);
}

static int roundtrip_sleep(struct roundtrip *rt, unsigned int count)
{
	int err = 0;

	rt->left = 0;
	while (count-- && !err) {
		err = roundtrip_request(rt);
		if (!err)
			err = wait_for_completion_killable(&rt->done);
	}
	return err;
}

static int roundtrip_chain(struct roundtrip *rt, unsigned int count)
{
	int err;

	rt->left = count;
	err = roundtrip_request(rt);
	if (!err)
		err = wait_for_completion_killable(&rt->done);
	return err;
}

static int roundtrip_compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static int roundtrip_each(struct roundtrip *rt, unsigned int count)
{
	static const unsigned int per_mille[] = { 500, 990, 999, 1000 };
	unsigned int i;
	int err = 0;
	u32 *took;
	u64 start;

	took = kvcalloc(count, sizeof(*took), GFP_KERNEL);
	if (!took)
		return -ENOMEM;
	for (i = 0; i < count && !err; i++) {
		start = ktime_get_ns();
		err = roundtrip_sleep(rt, 1);
		took[i] = min_t(u64, ktime_get_ns() - start, U32_MAX);
	}
	sort(took, count, sizeof(*took), roundtrip_compare, NULL);
	for (i = 0; i < ARRAY_SIZE(per_mille); i++)
		roundtrip_shares[i] = took[(u64)(count - 1) * per_mille[i] / 1000];
	kvfree(took);
	return err;
}

static int roundtrip_set(const char *words, const struct kernel_param *kp)
{
	unsigned int count;
	char mode[8];
	u64 start;
	int err;

	if (sscanf(words, "%7s %u", mode, &count) != 2 || !count)
		return -EINVAL;
	mutex_lock(&roundtrip_lock);
	memset(roundtrip_shares, 0, sizeof(roundtrip_shares));
	start = ktime_get_ns();
	if (!roundtrip)
		err = -ENODEV;
	else if (!strcmp(mode, "sleep"))
		err = roundtrip_sleep(roundtrip, count);
	else if (!strcmp(mode, "chain"))
		err = roundtrip_chain(roundtrip, count);
	else if (!strcmp(mode, "each"))
		err = roundtrip_each(roundtrip, count);
	else
		err = -EINVAL;
	roundtrip_ns = ktime_get_ns() - start;
	mutex_unlock(&roundtrip_lock);
	return err;
}

static int roundtrip_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%llu %u %u %u %u\n", roundtrip_ns, roundtrip_shares[0],
			  roundtrip_shares[1], roundtrip_shares[2], roundtrip_shares[3]);
}

static const struct kernel_param_ops roundtrip_ops = {
	.set = roundtrip_set,
	.get = roundtrip_get,
};
module_param_cb(run, &roundtrip_ops, NULL, 0600);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static int roundtrip_find(struct virtio_device *vdev, struct virtqueue **vqs)
{
	static struct virtqueue_info infos[VLB_ROUNDTRIP_MAX];
	unsigned int i;

	for (i = 0; i < queues; i++)
		infos[i] = (struct virtqueue_info){ "roundtrip", roundtrip_called };
	return virtio_find_vqs(vdev, queues, vqs, infos, NULL);
}
#else
static int roundtrip_find(struct virtio_device *vdev, struct virtqueue **vqs)
{
	static vq_callback_t *calls[VLB_ROUNDTRIP_MAX];
	static const char *names[VLB_ROUNDTRIP_MAX];
	unsigned int i;

	for (i = 0; i < queues; i++) {
		calls[i] = roundtrip_called;
		names[i] = "roundtrip";
	}
	return virtio_find_vqs(vdev, queues, vqs, calls, names, NULL);
}
#endif

static int roundtrip_probe(struct virtio_device *vdev)
{
	struct roundtrip *rt;
	int err = -ENOMEM;

	if (!queues || queues > VLB_ROUNDTRIP_MAX)
		return -EINVAL;
	rt = kzalloc(sizeof(*rt), GFP_KERNEL);
	if (!rt)
		return -ENOMEM;
	init_completion(&rt->done);
	rt->word = kmalloc(sizeof(*rt->word), GFP_KERNEL);
	if (!rt->word)
		goto err_free;
	vdev->priv = rt;
	err = roundtrip_find(vdev, rt->vqs);
	if (err)
		goto err_word;
	virtio_device_ready(vdev);
	mutex_lock(&roundtrip_lock);
	roundtrip = rt;
	mutex_unlock(&roundtrip_lock);
	return 0;

err_word:
	kfree(rt->word);
err_free:
	kfree(rt);
	return err;
}

static void roundtrip_remove(struct virtio_device *vdev)
{
	struct roundtrip *rt = vdev->priv;

	mutex_lock(&roundtrip_lock);
	roundtrip = NULL;
	mutex_unlock(&roundtrip_lock);
	virtio_reset_device(vdev);
	vdev->config->del_vqs(vdev);
	kfree(rt->word);
	kfree(rt);
}

static const struct virtio_device_id roundtrip_ids[] = {
	{ VLB_ROUNDTRIP_ID, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct virtio_driver roundtrip_driver = {
	.driver.name = "vlb_roundtrip",
	.driver.owner = THIS_MODULE,
	.id_table = roundtrip_ids,
	.probe = roundtrip_probe,
	.remove = roundtrip_remove,
};
module_virtio_driver(roundtrip_driver);

MODULE_DEVICE_TABLE(virtio, roundtrip_ids);
MODULE_DESCRIPTION("measures the way from a kick to a call");
MODULE_LICENSE("GPL");
