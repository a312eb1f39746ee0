// SPDX-License-Identifier: GPL-2.0-only
#include <linux/delay.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_ring.h>
#include <linux/wait.h>

#include "compat.h"
#include "device.h"
#include "post.h"
#include "queue.h"
#include "relay.h"
#include "trace.h"

/**
 * struct vlb_call - a hook on the wait queue of an eventfd
 * @wait:  the hook
 * @table: finds @head while the hook is set
 * @head:  the eventfd's wait queue
 * @ctx:   the eventfd; a reference is held
 * @queue: whom to call
 */
struct vlb_call {
	wait_queue_entry_t wait;
	poll_table table;
	wait_queue_head_t *head;
	struct eventfd_ctx *ctx;
	struct vlb_queue *queue;
};

/* The eventfd's lock is held and interrupts are off: pass it on, no more. */
static int vlb_call_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vlb_call *call = container_of(wait, struct vlb_call, wait);
	u64 count;

	if (key_to_poll(key) & EPOLLIN) {
		eventfd_ctx_do_read(call->ctx, &count);
		irq_work_queue(&call->queue->work);
	}
	return 0;
}

static void vlb_call_hook(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	struct vlb_call *call = container_of(table, struct vlb_call, table);

	call->head = head;
	add_wait_queue(head, &call->wait);
}

static struct vlb_call *vlb_call_create(struct vlb_queue *queue, struct file *file)
{
	struct vlb_call *call;
	int err;

	call = kzalloc(sizeof(*call), GFP_KERNEL_ACCOUNT);
	if (!call)
		return ERR_PTR(-ENOMEM);
	call->queue = queue;
	call->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(call->ctx)) {
		err = PTR_ERR(call->ctx);
		goto err_free;
	}
	init_waitqueue_func_entry(&call->wait, vlb_call_wake);
	init_poll_funcptr(&call->table, vlb_call_hook);
	vfs_poll(file, &call->table);
	if (!call->head) {
		err = -EINVAL;
		goto err_put;
	}
	return call;

err_put:
	eventfd_ctx_put(call->ctx);
err_free:
	kfree(call);
	return ERR_PTR(err);
}

static void vlb_call_destroy(struct vlb_call *call)
{
	u64 count;

	if (!call)
		return;
	eventfd_ctx_remove_wait_queue(call->ctx, &call->wait, &count);
	eventfd_ctx_put(call->ctx);
	kfree(call);
}

static void vlb_queue_check_broken(struct vlb_queue *queue, struct virtqueue *vq)
{
	struct vlb_device *dev = queue->dev;

	if (likely(!virtqueue_is_broken(vq)) || queue->broken_told || vlb_device_is_over(dev) ||
	    !(READ_ONCE(dev->status) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	queue->broken_reason = VIRTIO_LOOPBACK_BROKEN_NONSENSE;
	queue->broken_told = true;
	vlb_messages_raise(&dev->messages, VLB_EVENT_BROKEN);
}

static void vlb_queue_kick(struct vlb_queue *queue)
{
	struct eventfd_ctx *kick;

	rcu_read_lock();
	kick = rcu_dereference(queue->kick);
	if (likely(kick)) {
		queue->kicks++;
		trace_vlb_kick(queue);
		vlb_eventfd_signal(kick);
	} else if (READ_ONCE(queue->sink)) {
		vlb_sink_kick(queue->dev);
	}
	rcu_read_unlock();
}

/*
 * A device that was reset does not interrupt (virtio 2.4.1, see vlb_reset()), nor one whose
 * driver is not ready (3.1.1): it may not have set up yet what its callback takes. At the end of
 * the device it has to be told of what it has put into the ring all the same, if it waits for it.
 */
static bool vlb_queue_may_call(const struct vlb_queue *queue, struct virtqueue *vq)
{
	u8 status = READ_ONCE(queue->dev->status);

	if (likely(status & VIRTIO_CONFIG_S_DRIVER_OK))
		return true;
	return status && vlb_device_is_over(queue->dev) &&
	       vq->num_free != virtqueue_get_vring_size(vq);
}

/* Into the driver's private ring. Returns whether the driver is to be called. */
static bool vlb_queue_take_used(struct vlb_queue *queue, struct virtqueue *vq)
{
	bool call = true;

	if (queue->post && vlb_post_called(queue->post, vq))
		vlb_queue_kick(queue);
	if (queue->relay && vlb_relay_called(queue->relay, vq, &call))
		irq_work_queue(&queue->work);
	return call;
}

static void vlb_queue_work(struct irq_work *work)
{
	struct vlb_queue *queue = container_of(work, struct vlb_queue, work);
	struct virtqueue *vq;
	bool call;

	/* Keeps the ring there, see vlb_queue_hide(). */
	rcu_read_lock();
	spin_lock(&queue->calling);
	vq = rcu_dereference(queue->vq);
	if (likely(vq && vlb_queue_may_call(queue, vq))) {
		call = vlb_queue_take_used(queue, vq);
		queue->calls++;
		trace_vlb_call(queue);
		if (call)
			vring_interrupt(0, vq);
		vlb_queue_check_broken(queue, vq);
	}
	spin_unlock(&queue->calling);
	rcu_read_unlock();
}

/* From the driver's private ring. Returns whether there is somebody to kick. */
static bool vlb_queue_pass_on(struct vlb_queue *queue, struct virtqueue *vq)
{
	if (queue->post)
		return vlb_post_notify(queue->post, vq);
	return !queue->relay || vlb_relay_notify(queue->relay, vq);
}

/**
 * vlb_queue_notify() - the driver kicks
 * @vq: which ring
 *
 * Called with the driver's locks held, possibly in an interrupt.
 *
 * Return: true; a kick that reaches nobody waits in the ring like any other.
 */
bool vlb_queue_notify(struct virtqueue *vq)
{
	struct vlb_queue *queue = vq->priv;

	if (unlikely(READ_ONCE(queue->quiet)))
		WRITE_ONCE(queue->quiet, false);
	if (vlb_queue_pass_on(queue, vq))
		vlb_queue_kick(queue);
	return true;
}

/**
 * vlb_queue_sync() - wait until no call is under way
 * @queue: whose
 *
 * On PREEMPT_RT, and where the tick runs an irq_work, irq_work_sync() knows one waiter at a time:
 * only vlb_queues_finish() needs that.
 */
void vlb_queue_sync(struct vlb_queue *queue)
{
	unsigned long flags;

	if (!IS_ENABLED(CONFIG_PREEMPT_RT) && arch_irq_work_has_interrupt())
		irq_work_sync(&queue->work);
	else
		while (irq_work_is_busy(&queue->work))
			usleep_range(20, 50);
	/* A run on another CPU may have ended meanwhile, and have taken this one's mark with it. */
	spin_lock_irqsave(&queue->calling, flags);
	spin_unlock_irqrestore(&queue->calling, flags);
}

/**
 * vlb_queue_call_sync() - call the driver as an interrupt would, and wait for its return
 * @queue: whom to call
 */
void vlb_queue_call_sync(struct vlb_queue *queue)
{
	irq_work_queue(&queue->work);
	vlb_queue_sync(queue);
}

static struct eventfd_ctx *vlb_kick_get(int fd)
{
	return fd < 0 ? NULL : eventfd_ctx_fdget(fd);
}

static struct vlb_call *vlb_call_get(struct vlb_queue *queue, int fd)
{
	struct vlb_call *call;
	struct file *file;

	if (fd < 0)
		return NULL;
	file = eventfd_fget(fd);
	if (IS_ERR(file))
		return ERR_CAST(file);
	call = vlb_call_create(queue, file);
	fput(file);
	return call;
}

/* From here on the eventfd calls nobody. */
static void vlb_queue_set_call(struct vlb_queue *queue, struct vlb_call *call)
{
	swap(queue->call, call);
	vlb_call_destroy(call);
}

/* Returns the old one, to be let go of after a grace period. */
static struct eventfd_ctx *vlb_queue_set_kick(struct vlb_queue *queue, struct eventfd_ctx *kick)
{
	return rcu_replace_pointer(queue->kick, kick, lockdep_is_held(&queue->dev->lock));
}

/**
 * vlb_queue_set_fds() - where kicks go and calls come from
 * @queue:   the device's lock is held
 * @kick_fd: an eventfd of the caller, or less than 0
 * @call_fd: an eventfd of the caller, or less than 0
 *
 * Return: 0, -EBADF, -EINVAL (no eventfd) or -ENOMEM.
 */
int vlb_queue_set_fds(struct vlb_queue *queue, int kick_fd, int call_fd)
{
	struct eventfd_ctx *kick, *old;
	struct vlb_call *call;

	kick = vlb_kick_get(kick_fd);
	if (IS_ERR(kick))
		return PTR_ERR(kick);
	call = vlb_call_get(queue, call_fd);
	if (IS_ERR(call)) {
		if (kick)
			eventfd_ctx_put(kick);
		return PTR_ERR(call);
	}

	vlb_queue_set_call(queue, call);
	old = vlb_queue_set_kick(queue, kick);
	if (old) {
		synchronize_rcu();
		eventfd_ctx_put(old);
	}
	if (queue->call)
		irq_work_queue(&queue->work);
	return 0;
}

/**
 * vlb_queue_attach() - the driver has set the queue up
 * @queue: was not set up
 * @vq:    the ring
 *
 * Return: 0 or -ENOMEM.
 */
int vlb_queue_attach(struct vlb_queue *queue, struct virtqueue *vq)
{
	int err = 0;

	vq->priv = queue;
	if (queue->post)
		err = vlb_post_start(queue->post, vq);
	else if (queue->relay)
		err = vlb_relay_start(queue->relay, vq);
	if (err)
		return err;
	queue->broken_told = false;
	queue->resetting = false;
	queue->quiet = true;
	rcu_assign_pointer(queue->vq, vq);
	return 0;
}

/**
 * vlb_queue_vq() - the driver's ring, or NULL
 * @queue: the queue; vlb_device.vq_lock is held, and the ring stays for as long
 */
struct virtqueue *vlb_queue_vq(struct vlb_queue *queue)
{
	return rcu_dereference_protected(queue->vq, lockdep_is_held(&queue->dev->vq_lock));
}

/**
 * vlb_queue_hide() - the driver is done with the queue
 * @queue: no callback begins from now on; after a grace period none runs, for vlb_queue_stop()
 */
void vlb_queue_hide(struct vlb_queue *queue)
{
	WRITE_ONCE(queue->sink, false);
	RCU_INIT_POINTER(queue->vq, NULL);
}

/**
 * vlb_queue_stop() - let go of what is between the driver's ring and the device
 * @queue: was hidden, or never set up
 */
void vlb_queue_stop(struct vlb_queue *queue)
{
	if (queue->post)
		vlb_post_stop(queue->post);
	if (queue->relay)
		vlb_relay_stop(queue->relay);
}

/**
 * vlb_queue_detach() - both, for one queue
 * @queue: no callback runs any more when this returns
 */
void vlb_queue_detach(struct vlb_queue *queue)
{
	if (!vlb_queue_vq(queue))
		return;
	vlb_queue_hide(queue);
	synchronize_rcu();
	vlb_queue_stop(queue);
}

/* With vlb_device.vq_lock held. */
void vlb_queue_get(struct vlb_queue *queue, struct virtio_loopback_queue *out)
{
	struct virtqueue *vq = vlb_queue_vq(queue);

	if (!vq || queue->resetting)
		return;
	out->flags = VIRTIO_LOOPBACK_QUEUE_ENABLED;
	if (virtqueue_is_broken(vq))
		out->flags |= VIRTIO_LOOPBACK_QUEUE_BROKEN;
	if (READ_ONCE(queue->quiet))
		out->flags |= VIRTIO_LOOPBACK_QUEUE_QUIET;
	if (queue->post) {
		vlb_post_get(queue->post, out);
		return;
	}
	if (queue->relay) {
		vlb_relay_get(queue->relay, out);
		return;
	}
	out->num = virtqueue_get_vring_size(vq);
	out->desc_addr = virtqueue_get_desc_addr(vq);
	out->driver_addr = virtqueue_get_avail_addr(vq);
	out->device_addr = virtqueue_get_used_addr(vq);
}

/* Enough for the areas of virtio 2.7 (split) and 2.8 (packed), each in pages of its own. */
static size_t vlb_queue_ring_size(u16 num)
{
	if (!num)
		return 0;
	return PAGE_ALIGN(sizeof(struct vring_desc) * num) +
	       PAGE_ALIGN(sizeof(__virtio16) * (3 + num)) +
	       PAGE_ALIGN(sizeof(struct vring_used_elem) * num + 6);
}

/**
 * vlb_queues_ring_size() - room that rings of these sizes can take
 * @sizes:    entries
 * @flags:    VIRTIO_LOOPBACK_QF_*
 * @num:      queues
 * @features: offered; a queue that is reset has its next ring before the last one is gone
 *
 * Return: bytes, whole pages.
 */
size_t vlb_queues_ring_size(const u16 *sizes, const u16 *flags, unsigned int num, u64 features)
{
	size_t size = 0, largest = 0;
	unsigned int i;

	for (i = 0; i < num; i++) {
		size_t ring = vlb_queue_ring_size(sizes[i]);

		largest = max(largest, ring);
		size += ring;
		if (flags[i] & VIRTIO_LOOPBACK_QF_POSTED)
			size += vlb_post_ring_size(sizes[i]);
	}
	return features & BIT_ULL(VIRTIO_F_RING_RESET) ? size + largest : size;
}

/* What is between the driver's ring and the device. Returns whether there was memory for it. */
static bool vlb_queue_init_ring(struct vlb_queue *queue)
{
	if (queue->flags & VIRTIO_LOOPBACK_QF_POSTED) {
		queue->post = vlb_post_create(queue, queue->flags & VIRTIO_LOOPBACK_QF_STRICT);
		return queue->post;
	}
	if (vlb_relay_wanted(queue->dev->features)) {
		queue->relay = vlb_relay_create(queue);
		return queue->relay;
	}
	return true;
}

int vlb_queues_init(struct vlb_device *dev, const u16 *sizes, const u16 *flags, unsigned int num)
{
	unsigned int i;
	u16 largest = 0;

	dev->queues = kvcalloc(num, sizeof(*dev->queues), GFP_KERNEL_ACCOUNT);
	if (!dev->queues)
		return -ENOMEM;
	dev->num_queues = num;
	for (i = 0; i < num; i++)
		largest = max(largest, sizes[i]);
	for (i = 0; i < num; i++) {
		struct vlb_queue *queue = &dev->queues[i];

		queue->dev = dev;
		queue->index = i;
		queue->max = sizes[i];
		queue->flags = flags[i];
		spin_lock_init(&queue->calling);
		init_irq_work(&queue->work, vlb_queue_work);
		if (!vlb_queue_init_ring(queue)) {
			vlb_queues_finish(dev);
			return -ENOMEM;
		}
	}
	dev->outstanding = kvcalloc(largest, sizeof(*dev->outstanding), GFP_KERNEL_ACCOUNT);
	if (!dev->outstanding) {
		vlb_queues_finish(dev);
		return -ENOMEM;
	}
	return 0;
}

/* As if each back-end's eventfd had been signalled. Any context. */
void vlb_queues_call(struct vlb_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++)
		irq_work_queue(&dev->queues[i].work);
}

/*
 * What the driver has made available by now the device sees when it begins, without a kick. That
 * is how virtio_snd gives the buffers for its events.
 */
void vlb_queues_offer(struct vlb_device *dev)
{
	struct virtqueue *vq;
	unsigned int i;

	mutex_lock(&dev->vq_lock);
	for (i = 0; i < dev->num_queues; i++) {
		vq = vlb_queue_vq(&dev->queues[i]);
		if (vq && dev->queues[i].relay)
			vlb_relay_notify(dev->queues[i].relay, vq);
	}
	mutex_unlock(&dev->vq_lock);
}

/*
 * No eventfd reaches the driver any more, and no kick leaves. The device's lock is held. One grace
 * period is for all queues, of which there may be many.
 */
void vlb_queues_disarm(struct vlb_device *dev)
{
	struct vlb_queue *queue;
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++) {
		queue = &dev->queues[i];
		vlb_queue_set_call(queue, NULL);
		queue->old_kick = vlb_queue_set_kick(queue, NULL);
	}
	synchronize_rcu();
	for (i = 0; i < dev->num_queues; i++) {
		queue = &dev->queues[i];
		if (queue->old_kick)
			eventfd_ctx_put(queue->old_kick);
		queue->old_kick = NULL;
		vlb_queue_sync(queue);
	}
}

void vlb_queues_finish(struct vlb_device *dev)
{
	unsigned int i;

	/* What runs an irq_work looks at it once more when that has returned. */
	synchronize_rcu();
	for (i = 0; i < dev->num_queues; i++) {
		vlb_post_destroy(dev->queues[i].post);
		vlb_relay_destroy(dev->queues[i].relay);
	}
	kvfree(dev->queues);
	kvfree(dev->outstanding);
}

/* No queue is of use any more. Any context. */
void vlb_queues_break(struct vlb_device *dev)
{
	struct virtqueue *vq;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < dev->num_queues; i++) {
		vq = rcu_dereference(dev->queues[i].vq);
		if (vq)
			__virtqueue_break(vq);
	}
	rcu_read_unlock();
}

const struct vlb_queue *vlb_queues_first_broken(struct vlb_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++)
		if (READ_ONCE(dev->queues[i].broken_told))
			return &dev->queues[i];
	return &dev->queues[0];
}
