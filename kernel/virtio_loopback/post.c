// SPDX-License-Identifier: GPL-2.0-only
#include <linux/irq_work.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "device.h"
#include "post.h"

/* Buffers that can wait in the area, whatever they hold; a power of two. */
#define VLB_POST_BUFFERS	1024

enum vlb_post_state {
	VLB_POST_OFF,		/* no rings */
	VLB_POST_ON,
	VLB_POST_DISCARD,	/* the driver's buffers are used, and go nowhere */
};

/* What is known of how the driver waits for its buffers. */
enum vlb_post_driver {
	VLB_DRIVER_UNKNOWN,
	VLB_DRIVER_SLEEPS,	/* it leaves them in the ring, and comes back for them */
	VLB_DRIVER_SPINS,
};

/**
 * struct vlb_posted - one buffer in the area
 * @start: where, in the count of bytes that were ever put there
 * @len:   bytes
 * @done:  the device has used it
 */
struct vlb_posted {
	u32 start;
	u32 len;
	bool done;
};

/**
 * struct vlb_post - see post.h
 * @queue:     its queue
 * @strict:    VIRTIO_LOOPBACK_QF_STRICT
 * @lock:      protects everything below it; taken with interrupts off, in the driver's kick, in
 *             calls and in the probe
 * @state:     what happens to the driver's buffers
 * @num:       entries of either ring
 * @event_idx: VIRTIO_RING_F_EVENT_IDX is negotiated
 * @in_order:  VIRTIO_F_IN_ORDER is negotiated
 * @seen:      driver's ring: next entry of the available ring
 * @used:      driver's ring: next entry of the used ring
 * @taken:     bytes of the buffer at @seen that are in the area already
 * @area:      the area; its DMA address and size
 * @area_addr: see @area
 * @area_size: see @area; a power of two
 * @head:      bytes ever put into the area
 * @tail:      ... and ever freed
 * @buffers:   VLB_POST_BUFFERS entries
 * @first:     oldest buffer in the area, counts up
 * @sent:      first buffer that is not in the device's ring yet
 * @last:      where the next buffer goes
 * @ring:      the device's ring, its memory and DMA address
 * @ring_mem:  see @ring
 * @ring_addr: see @ring
 * @ring_size: see @ring
 * @avail_idx: device's ring: next entry of the available ring
 * @used_idx:  device's ring: next entry of the used ring
 * @probe:     runs once the driver has enabled interrupts after a kick
 * @driver:    what that has shown
 * @held:      virtqueue.num_free is lowered by @num, so that the driver adds nothing
 * @held_new:  the kick that lowered it is the one that @probe runs for
 * @count:     buffers taken over, ever
 * @full:      times that there was no room, ever
 */
struct vlb_post {
	struct vlb_queue *queue;
	bool strict;

	spinlock_t lock; /* see @lock above */
	enum vlb_post_state state;
	u16 num;
	bool event_idx;
	bool in_order;

	u16 seen;
	u16 used;
	u32 taken;

	void *area;
	dma_addr_t area_addr;
	u32 area_size;
	u32 head;
	u32 tail;
	struct vlb_posted *buffers;
	u32 first;
	u32 sent;
	u32 last;

	struct vring ring;
	void *ring_mem;
	dma_addr_t ring_addr;
	size_t ring_size;
	u16 avail_idx;
	u16 used_idx;

	struct irq_work probe;
	enum vlb_post_driver driver;
	bool held;
	bool held_new;
	u64 count;
	u64 full;
};

/* A driver that spins offers at most half of it at once: hvc a page, a port 32 KiB. */
static u32 vlb_post_area_size(void)
{
	return max_t(u32, SZ_64K, 4 * PAGE_SIZE);
}

/**
 * vlb_post_ring_size() - room that the device's side of a posted queue takes
 * @num: entries
 *
 * Return: bytes, whole pages.
 */
size_t vlb_post_ring_size(unsigned int num)
{
	return PAGE_ALIGN(vring_size(num, PAGE_SIZE)) + vlb_post_area_size();
}

/* ---- the device's ring ---- */

static u32 vlb_post_in_ring(const struct vlb_post *post)
{
	return post->sent - post->first;
}

/* Each buffer has a pair of descriptors: it may lie across the end of the area. */
static u32 vlb_post_slots(const struct vlb_post *post)
{
	return post->num / 2;
}

static struct vlb_posted *vlb_post_buffer(struct vlb_post *post, u32 index)
{
	return &post->buffers[index % VLB_POST_BUFFERS];
}

static u16 vlb_post_device_used(const struct vlb_post *post)
{
	return le16_to_cpu((__force __le16)READ_ONCE(post->ring.used->idx));
}

/* What the device side wrote is not trusted: the buffer of @id, if that is one it has. */
static struct vlb_posted *vlb_post_find(struct vlb_post *post, u32 id)
{
	u32 back = (id / 2 - post->first) & (vlb_post_slots(post) - 1);

	if (id >= post->num || id % 2 || back >= vlb_post_in_ring(post))
		return NULL;
	return vlb_post_buffer(post, post->first + back);
}

/*
 * Frees what the device has used, in the order of the area. Used in order (virtio 2.7.9), it is the
 * first ones: one entry may stand for a batch.
 *
 * Return: whether there was any buffer: an index alone may count on for ever.
 */
static bool vlb_post_reclaim(struct vlb_post *post)
{
	u16 count = vlb_post_device_used(post) - post->used_idx;
	u32 done = post->first;
	bool any = false;

	if (count > vlb_post_in_ring(post))
		return false;
	/* The entries after the index, see virtio 2.7.8. */
	smp_rmb();
	any = post->in_order && count;
	for (; post->in_order && count; count--, post->used_idx++)
		vlb_post_buffer(post, done++)->done = true;
	for (; count; count--, post->used_idx++) {
		const struct vring_used_elem *elem =
			&post->ring.used->ring[post->used_idx & (post->num - 1)];
		struct vlb_posted *buffer =
			vlb_post_find(post, le32_to_cpu((__force __le32)READ_ONCE(elem->id)));

		if (buffer && !buffer->done) {
			buffer->done = true;
			any = true;
		}
	}
	while (post->first != post->sent && vlb_post_buffer(post, post->first)->done) {
		post->tail += vlb_post_buffer(post, post->first)->len;
		post->first++;
	}
	return any;
}

static void vlb_post_describe(struct vlb_post *post, unsigned int i, u32 offset, u32 len, u16 flags)
{
	struct vring_desc *desc = &post->ring.desc[i];

	desc->addr = (__force __virtio64)cpu_to_le64(post->area_addr + offset);
	desc->len = (__force __virtio32)cpu_to_le32(len);
	desc->flags = (__force __virtio16)cpu_to_le16(flags);
	desc->next = (__force __virtio16)cpu_to_le16(i + 1);
}

static void vlb_post_send_one(struct vlb_post *post, const struct vlb_posted *buffer)
{
	u16 head = (post->sent & (vlb_post_slots(post) - 1)) * 2;
	u32 offset = buffer->start & (post->area_size - 1);
	u32 part = min(buffer->len, post->area_size - offset);

	vlb_post_describe(post, head, offset, part, part < buffer->len ? VRING_DESC_F_NEXT : 0);
	if (part < buffer->len)
		vlb_post_describe(post, head + 1, 0, buffer->len - part, 0);
	post->ring.avail->ring[post->avail_idx & (post->num - 1)] =
		(__force __virtio16)cpu_to_le16(head);
	post->avail_idx++;
	post->sent++;
}

/* Returns whether the device wants to be kicked (virtio 2.7.10). */
static bool vlb_post_send(struct vlb_post *post)
{
	u16 old = post->avail_idx, flags;

	while (post->sent != post->last && vlb_post_in_ring(post) < vlb_post_slots(post))
		vlb_post_send_one(post, vlb_post_buffer(post, post->sent));
	if (post->avail_idx == old)
		return false;
	/* The entries before the index. */
	smp_wmb();
	WRITE_ONCE(post->ring.avail->idx, (__force __virtio16)cpu_to_le16(post->avail_idx));
	/* The index before the device's wish is read: the device does it the other way round. */
	smp_mb();
	if (post->event_idx)
		return vring_need_event(le16_to_cpu((__force __le16)
						    READ_ONCE(vring_avail_event(&post->ring))),
					post->avail_idx, old);
	flags = le16_to_cpu((__force __le16)READ_ONCE(post->ring.used->flags));
	return !(flags & VRING_USED_F_NO_NOTIFY);
}

/*
 * Calls are only wanted while something waits for room.
 *
 * Return: true if the device has used buffers meanwhile, for which there may be no call.
 */
static bool vlb_post_arm(struct vlb_post *post, bool waiting)
{
	u16 event = waiting ? post->used_idx : post->used_idx - 1;
	u16 count;

	if (post->event_idx)
		WRITE_ONCE(vring_used_event(&post->ring), (__force __virtio16)cpu_to_le16(event));
	else
		WRITE_ONCE(post->ring.avail->flags,
			   (__force __virtio16)cpu_to_le16(waiting ? 0 :
							   VRING_AVAIL_F_NO_INTERRUPT));
	if (!waiting)
		return false;
	/* The wish before the index is read: the device does it the other way round. */
	smp_mb();
	count = vlb_post_device_used(post) - post->used_idx;
	return count && count <= vlb_post_in_ring(post);
}

/* ---- the driver's ring ---- */

/*
 * It lies in kernel memory, out of the device's sight (see vlb_bounce.private_rings), but for
 * what buffers hold.
 */

static void vlb_post_put(struct vlb_post *post, const void *data, u32 len)
{
	u32 offset = post->head & (post->area_size - 1);
	u32 part = min(len, post->area_size - offset);

	memcpy(post->area + offset, data, part);
	memcpy(post->area, data + part, len - part);
	post->head += len;
}

/**
 * struct vlb_cursor - the way through the descriptors of one buffer
 * @table: where they are
 * @nested: in an indirect table, and this is its address in the pool; the back-end may have
 *         changed it there, so it is read where the driver has it. 0: not in one
 * @num:   how many there are
 * @next:  the next one, @num: no more
 * @steps: taken in this table
 */
struct vlb_cursor {
	const struct vring_desc *table;
	u64 nested;
	u32 num;
	u32 next;
	u32 steps;
};

static bool vlb_post_desc(struct vlb_bounce *bounce, const struct vlb_cursor *at,
			  struct vring_desc *desc)
{
	if (at->nested)
		return vlb_bounce_peek(bounce, at->nested, at->next * sizeof(*desc), desc,
				       sizeof(*desc));
	*desc = at->table[at->next];
	return true;
}

/*
 * Returns the next part that the device reads, or with @write one that it writes, or NULL; its
 * length is in @len.
 */
static void *vlb_post_next(const struct vlb_post *post, struct vlb_cursor *at, bool write, u32 *len)
{
	struct vlb_bounce *bounce = &post->queue->dev->bounce;
	const u16 wanted = write ? VRING_DESC_F_WRITE : 0;

	while (at->next < at->num && at->steps++ < at->num) {
		struct vring_desc desc;
		u64 addr;
		u16 flags;

		if (!vlb_post_desc(bounce, at, &desc))
			break;
		addr = le64_to_cpu((__force __le64)desc.addr);
		flags = le16_to_cpu((__force __le16)desc.flags);
		*len = le32_to_cpu((__force __le32)desc.len);
		at->next = flags & VRING_DESC_F_NEXT ?
			   le16_to_cpu((__force __le16)desc.next) : at->num;
		if ((flags & VRING_DESC_F_INDIRECT) && !at->nested) {
			at->nested = addr;
			at->num = *len / sizeof(desc);
			at->next = 0;
			at->steps = 0;
		} else if ((flags & (VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE)) == wanted) {
			return vlb_bounce_memory(bounce, addr, *len);
		}
	}
	return NULL;
}

/*
 * Goes through a buffer, past its first @skip bytes, and puts @want bytes into the area.
 * Returns how many there were, no more than @want.
 */
static u32 vlb_post_gather(struct vlb_post *post, const struct vring *vring, u16 head, u32 skip,
			   u32 want, bool put)
{
	struct vlb_cursor at = { .table = vring->desc, .num = vring->num, .next = head };
	const void *data;
	u32 len, done = 0;

	while (done < want) {
		data = vlb_post_next(post, &at, false, &len);
		if (!data)
			break;
		if (skip >= len) {
			skip -= len;
			continue;
		}
		len = min(len - skip, want - done);
		if (put)
			vlb_post_put(post, data + skip, len);
		skip = 0;
		done += len;
	}
	return done;
}

/* What the device would have written is zeroes. Returns how many; no more than fit the area. */
static u32 vlb_post_answer(const struct vlb_post *post, const struct vring *vring, u16 head)
{
	struct vlb_cursor at = { .table = vring->desc, .num = vring->num, .next = head };
	u32 len, done = 0;
	void *data;

	while (done < post->area_size) {
		data = vlb_post_next(post, &at, true, &len);
		if (!data)
			break;
		len = min(len, post->area_size - done);
		memset(data, 0, len);
		done += len;
	}
	return done;
}

static u32 vlb_post_room(const struct vlb_post *post)
{
	if (post->last - post->first >= VLB_POST_BUFFERS)
		return 0;
	return post->area_size - (post->head - post->tail);
}

static bool vlb_post_roomy(const struct vlb_post *post)
{
	return post->last - post->first < VLB_POST_BUFFERS - 1 &&
	       vlb_post_room(post) >= post->area_size / 2;
}

/*
 * Takes over one buffer; what is larger than half of the area in pieces, as there is room.
 *
 * Return: whether the driver may have it back.
 */
static bool vlb_post_take_one(struct vlb_post *post, const struct vring *vring, u16 head)
{
	u32 limit = min_t(u64, post->queue->dev->bounce.pool->size, U32_MAX);
	u32 left, len, room = vlb_post_room(post);
	struct vlb_posted *buffer;

	if (post->state == VLB_POST_DISCARD)
		return true;
	left = vlb_post_gather(post, vring, head, post->taken, limit, false);
	if (!left)
		return true;
	if (!room || (left > room && left <= post->area_size / 2))
		return false;
	buffer = vlb_post_buffer(post, post->last);
	buffer->start = post->head;
	buffer->done = false;
	len = vlb_post_gather(post, vring, head, post->taken, min(left, room), true);
	buffer->len = len;
	post->last++;
	post->taken += len;
	return len == left;
}

static u16 vlb_post_driver_avail(const struct vring *vring)
{
	return le16_to_cpu((__force __le16)READ_ONCE(vring->avail->idx));
}

static void vlb_post_use(struct vlb_post *post, const struct vring *vring, u16 head)
{
	struct vring_used_elem *elem = &vring->used->ring[post->used & (post->num - 1)];

	elem->id = (__force __virtio32)cpu_to_le32(head);
	elem->len = (__force __virtio32)cpu_to_le32(vlb_post_answer(post, vring, head));
	post->used++;
	post->seen++;
	post->taken = 0;
	post->count++;
}

/* Returns whether the driver wants to be called (virtio 2.7.7). */
static bool vlb_post_take(struct vlb_post *post, const struct vring *vring)
{
	u16 old = post->used, end = vlb_post_driver_avail(vring);

	/* Pairs with the driver's barrier between an entry and the index. */
	smp_rmb();
	while (post->seen != end) {
		u16 head = le16_to_cpu((__force __le16)
				       vring->avail->ring[post->seen & (post->num - 1)]);

		if (!vlb_post_take_one(post, vring, head))
			break;
		vlb_post_use(post, vring, head);
	}
	/* Every further buffer is to be kicked for. */
	WRITE_ONCE(vring_avail_event(vring), (__force __virtio16)cpu_to_le16(end));
	if (post->used == old)
		return false;
	/* The entries before the index, and that before the driver's wish is read. */
	smp_wmb();
	WRITE_ONCE(vring->used->idx, (__force __virtio16)cpu_to_le16(post->used));
	smp_mb(); /* see above */
	if (post->event_idx)
		return vring_need_event(le16_to_cpu((__force __le16)
						    READ_ONCE(vring_used_event(vring))),
					post->used, old);
	return !(le16_to_cpu((__force __le16)READ_ONCE(vring->avail->flags)) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}

/* ---- both ---- */

/**
 * struct vlb_post_news - what a run has brought
 * @kick: the device is to be kicked
 * @call: the driver is to be called
 * @left: there was no room for all
 */
struct vlb_post_news {
	bool kick;
	bool call;
	bool left;
};

static void vlb_post_run(struct vlb_post *post, struct virtqueue *vq, struct vlb_post_news *news)
{
	const struct vring *vring = virtqueue_get_vring(vq);

	vlb_post_reclaim(post);
	do {
		news->call |= vlb_post_take(post, vring);
		news->kick |= vlb_post_send(post);
		news->left = post->seen != vlb_post_driver_avail(vring);
	} while (vlb_post_arm(post, news->left || post->sent != post->last) &&
		 vlb_post_reclaim(post));
}

static void vlb_post_unhold(struct vlb_post *post, struct virtqueue *vq)
{
	if (post->held)
		vq->num_free += post->num;
	post->held = false;
}

/*
 * Does the driver wait for its buffer without sleeping? On PREEMPT_RT the probe comes late: until
 * then one that may is taken for one that does.
 */
static bool vlb_post_spins(const struct vlb_post *post)
{
	const enum vlb_post_driver driver = READ_ONCE(post->driver);

	return driver == VLB_DRIVER_SPINS ||
	       (driver == VLB_DRIVER_UNKNOWN && IS_ENABLED(CONFIG_PREEMPT_RT));
}

/*
 * In the driver's kick, so num_free is ours to change. With exactly one buffer out, which is
 * used already, it comes to 0 when the driver takes that back. If it does not spin after all, it
 * is let go of at its next try, which has failed.
 *
 * Returns whether this kick lowers it.
 */
static bool vlb_post_hold(struct vlb_post *post, struct virtqueue *vq)
{
	if (post->held && (vq->num_free || vlb_post_roomy(post) || !vlb_post_spins(post))) {
		vlb_post_unhold(post, vq);
	} else if (!post->held && vlb_post_spins(post) && !vlb_post_roomy(post) &&
		   vq->num_free == post->num - 1U) {
		vq->num_free -= post->num;
		post->held = true;
		post->full++;
		return true;
	}
	return false;
}

/*
 * One that spins has at most one buffer out, with a lock held. So one is no sign against it: the
 * probe of one CPU's kick can find another CPU's buffer. But where the kick has lowered num_free it
 * is, in the probe of that very kick.
 */
static enum vlb_post_driver vlb_post_judge(const struct vlb_post *post, u32 num_free)
{
	/* Lowered, it may have wrapped around. */
	const u32 out = post->num - (num_free + (post->held ? post->num : 0));

	if (!out)
		return VLB_DRIVER_SPINS;
	if (out > 1 || post->held_new || post->driver == VLB_DRIVER_UNKNOWN)
		return VLB_DRIVER_SLEEPS;
	return post->driver;
}

/*
 * On the CPU of the kick, as soon as it takes interrupts: has the driver its buffer back? On
 * PREEMPT_RT, where that is in the kick itself, with the next tick instead.
 */
static void vlb_post_probe(struct irq_work *work)
{
	struct vlb_post *post = container_of(work, struct vlb_post, probe);
	struct virtqueue *vq;
	unsigned long flags;

	rcu_read_lock();
	vq = rcu_dereference(post->queue->vq);
	spin_lock_irqsave(&post->lock, flags);
	/* One that was broken under a driver that spins shows nothing. */
	if (vq && !virtqueue_is_broken(vq))
		WRITE_ONCE(post->driver, vlb_post_judge(post, READ_ONCE(vq->num_free)));
	post->held_new = false;
	spin_unlock_irqrestore(&post->lock, flags);
	rcu_read_unlock();
}

static void vlb_post_overflow(struct vlb_post *post, struct virtqueue *vq)
{
	struct vlb_queue *queue = post->queue;

	__virtqueue_break(vq);
	if (vlb_device_is_over(queue->dev))
		return;
	queue->broken_reason = VIRTIO_LOOPBACK_BROKEN_FULL;
	queue->broken_told = true;
	vlb_messages_raise(&queue->dev->messages, VLB_EVENT_BROKEN);
}

/**
 * vlb_post_notify() - the driver kicks, or finds no room in its ring
 * @post: of this queue
 * @vq:   the driver's ring
 *
 * Return: whether the device is to be kicked.
 */
bool vlb_post_notify(struct vlb_post *post, struct virtqueue *vq)
{
	struct vlb_post_news news = { 0 };
	unsigned long flags;
	bool held = false;
	u16 before;

	spin_lock_irqsave(&post->lock, flags);
	before = post->used;
	if (post->state != VLB_POST_OFF) {
		vlb_post_run(post, vq, &news);
		post->full += news.left;
		if (!post->strict && post->state == VLB_POST_ON)
			held = vlb_post_hold(post, vq);
	}
	/*
	 * Where the kick is for a buffer: that a driver which found no room has all of them back
	 * shows nothing. Within the lock: the probe may be at work on another CPU, for an
	 * earlier kick.
	 */
	if (!post->strict && (post->used != before || news.left))
		post->held_new = irq_work_queue(&post->probe) && held;
	spin_unlock_irqrestore(&post->lock, flags);

	if (news.left && post->strict)
		vlb_post_overflow(post, vq);
	if (news.call)
		irq_work_queue(&post->queue->work);
	return news.kick;
}

/**
 * vlb_post_called() - the device calls
 * @post: of this queue
 * @vq:   the driver's ring
 *
 * Return: whether the device is to be kicked.
 */
bool vlb_post_called(struct vlb_post *post, struct virtqueue *vq)
{
	struct vlb_post_news news = { 0 };
	unsigned long flags;

	spin_lock_irqsave(&post->lock, flags);
	if (post->state != VLB_POST_OFF)
		vlb_post_run(post, vq, &news);
	spin_unlock_irqrestore(&post->lock, flags);
	return news.kick;
}

/* ---- life ---- */

/**
 * vlb_post_create() - for a queue with VIRTIO_LOOPBACK_QF_POSTED
 * @queue:  must outlive it
 * @strict: VIRTIO_LOOPBACK_QF_STRICT
 *
 * Return: the object, or NULL.
 */
struct vlb_post *vlb_post_create(struct vlb_queue *queue, bool strict)
{
	struct vlb_post *post = kzalloc(sizeof(*post), GFP_KERNEL_ACCOUNT);

	if (!post)
		return NULL;
	post->buffers = kvcalloc(VLB_POST_BUFFERS, sizeof(*post->buffers), GFP_KERNEL_ACCOUNT);
	if (!post->buffers) {
		kfree(post);
		return NULL;
	}
	post->queue = queue;
	post->strict = strict;
	spin_lock_init(&post->lock);
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		post->probe = IRQ_WORK_INIT_LAZY(vlb_post_probe);
	else
		post->probe = IRQ_WORK_INIT_HARD(vlb_post_probe);
	return post;
}

void vlb_post_destroy(struct vlb_post *post)
{
	if (!post)
		return;
	kvfree(post->buffers);
	kfree(post);
}

/**
 * vlb_post_start() - the driver has set the queue up
 * @post: off
 * @vq:   the driver's ring
 *
 * Return: 0 or -ENOMEM.
 */
int vlb_post_start(struct vlb_post *post, struct virtqueue *vq)
{
	struct vlb_bounce *bounce = &post->queue->dev->bounce;

	post->num = virtqueue_get_vring_size(vq);
	post->ring_size = PAGE_ALIGN(vring_size(post->num, PAGE_SIZE));
	post->area_size = vlb_post_area_size();
	post->ring_mem = vlb_bounce_alloc_ring(bounce, post->ring_size, &post->ring_addr);
	if (!post->ring_mem)
		return -ENOMEM;
	post->area = vlb_bounce_alloc_ring(bounce, post->area_size, &post->area_addr);
	if (!post->area) {
		vlb_bounce_free_ring(bounce, post->ring_size, post->ring_mem);
		return -ENOMEM;
	}
	vring_init(&post->ring, post->num, post->ring_mem, PAGE_SIZE);
	post->event_idx = virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX);
	post->in_order = virtio_has_feature(vq->vdev, VIRTIO_F_IN_ORDER);
	post->seen = 0;
	post->used = 0;
	post->taken = 0;
	post->head = 0;
	post->tail = 0;
	post->first = 0;
	post->sent = 0;
	post->last = 0;
	post->avail_idx = 0;
	post->used_idx = 0;
	post->driver = VLB_DRIVER_UNKNOWN;
	post->held = false;
	post->held_new = false;
	post->state = VLB_POST_ON;
	return 0;
}

/**
 * vlb_post_discard() - the device takes nothing any more
 * @post: may be off
 *
 * What the driver has added and adds from now on is used at once, so that it never spins.
 */
void vlb_post_discard(struct vlb_post *post)
{
	unsigned long flags;

	spin_lock_irqsave(&post->lock, flags);
	if (post->state == VLB_POST_ON)
		post->state = VLB_POST_DISCARD;
	spin_unlock_irqrestore(&post->lock, flags);
}

/**
 * vlb_post_release() - give the driver's ring back its size
 * @post: discards; the driver adds nothing more
 *
 * The virtio core checks that all entries are free when the driver lets the ring go.
 */
void vlb_post_release(struct vlb_post *post)
{
	struct virtqueue *vq;
	unsigned long flags;

	vq = vlb_queue_vq(post->queue);
	if (!vq || !READ_ONCE(post->held))
		return;
	/* A driver that holds its locks with interrupts off is past its last use. */
	synchronize_rcu();
	spin_lock_irqsave(&post->lock, flags);
	vlb_post_unhold(post, vq);
	spin_unlock_irqrestore(&post->lock, flags);
}

/**
 * vlb_post_forget() - take back what a driver that spun has given up
 * @post: discards; the driver has reset the device
 *
 * A driver that spins ends that when its queue is broken, as virtio_console breaks it on its
 * way out, and frees the buffer that it waited for. The ring has it still: the driver would
 * find it there, and free it once more.
 */
void vlb_post_forget(struct vlb_post *post)
{
	struct virtqueue *vq = vlb_queue_vq(post->queue);

	/* If in doubt: to keep a buffer for ever is the lesser evil. */
	if (!vq || !virtqueue_is_broken(vq) || (!post->strict && !vlb_post_spins(post)))
		return;
	/* The driver spins under a spinlock: it is past that. */
	synchronize_rcu();
	while (virtqueue_detach_unused_buf(vq))
		;
}

/**
 * vlb_post_stop() - the driver's ring is about to go
 * @post: neither kicks nor calls come any more; may be off
 */
void vlb_post_stop(struct vlb_post *post)
{
	struct vlb_bounce *bounce = &post->queue->dev->bounce;

	if (post->state == VLB_POST_OFF)
		return;
	irq_work_sync(&post->probe);
	post->state = VLB_POST_OFF;
	vlb_bounce_free_ring(bounce, post->area_size, post->area);
	vlb_bounce_free_ring(bounce, post->ring_size, post->ring_mem);
}

/* The ring that the back-end is to serve. */
void vlb_post_get(const struct vlb_post *post, struct virtio_loopback_queue *out)
{
	out->num = post->num;
	out->desc_addr = post->ring_addr;
	out->driver_addr = post->ring_addr + ((void *)post->ring.avail - post->ring_mem);
	out->device_addr = post->ring_addr + ((void *)post->ring.used - post->ring_mem);
	out->used_index = post->used_idx;
}

u64 vlb_post_count(const struct vlb_post *post)
{
	return READ_ONCE(post->count);
}

u64 vlb_post_full(const struct vlb_post *post)
{
	return READ_ONCE(post->full);
}
