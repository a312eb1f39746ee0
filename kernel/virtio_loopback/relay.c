// SPDX-License-Identifier: GPL-2.0-only
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "compat.h"
#include "device.h"
#include "relay.h"

/* So often a run looks again for what came meanwhile: the device side could go on for ever. */
#define VLB_RELAY_ROUNDS	4

/**
 * struct vlb_relay - see relay.h
 * @queue:     its queue
 * @lock:      protects everything below it; taken with interrupts off, in the driver's kick
 *             and in calls
 * @on:        there are rings, and the device side is heard
 * @set_up:    there are rings
 * @event_idx: VIRTIO_RING_F_EVENT_IDX is negotiated
 * @in_order:  VIRTIO_F_IN_ORDER is negotiated
 * @num:       entries of either ring
 * @avail:     next entry of both available rings
 * @used:      next entry of both used rings
 * @given:     buffers that the device was given, ever
 * @anomalies: times that it gave back what it does not have, ever
 * @order:     of each head: which of those it is, 0: none that the device has
 * @ring:      the device's ring, its memory and DMA address
 * @ring_mem:  see @ring
 * @ring_addr: see @ring
 * @ring_size: see @ring
 */
struct vlb_relay {
	struct vlb_queue *queue;

	spinlock_t lock; /* see @lock above */
	bool on;
	bool set_up;
	bool event_idx;
	bool in_order;
	u16 num;
	u16 avail;
	u16 used;
	u64 given;
	u32 anomalies;
	u64 *order;

	struct vring ring;
	void *ring_mem;
	dma_addr_t ring_addr;
	size_t ring_size;
};

/**
 * vlb_relay_wanted() - are the rings split ones?
 * @features: offered
 */
bool vlb_relay_wanted(u64 features)
{
	return !(features & BIT_ULL(VIRTIO_F_RING_PACKED));
}

static u16 vlb_relay_index(const __virtio16 *index)
{
	return le16_to_cpu((__force __le16)READ_ONCE(*index));
}

static __virtio16 vlb_relay_le16(u16 value)
{
	return (__force __virtio16)cpu_to_le16(value);
}

/* ---- from the driver to the device ---- */

/* A buffer's descriptors. Those of the driver's ring nobody else can write to. */
static void vlb_relay_describe(struct vlb_relay *relay, const struct vring *vring, u16 head)
{
	unsigned int steps;
	u16 i = head;

	for (steps = 0; steps < relay->num && i < relay->num; steps++) {
		relay->ring.desc[i] = vring->desc[i];
		if (!(vlb_relay_index(&vring->desc[i].flags) & VRING_DESC_F_NEXT))
			break;
		i = vlb_relay_index(&vring->desc[i].next);
	}
}

/*
 * Returns whether the driver's index makes sense. One that takes a buffer back that the device has,
 * and goes on with the queue, has counted it backwards.
 */
static bool vlb_relay_offer(struct vlb_relay *relay, const struct vring *vring)
{
	u16 end = vlb_relay_index(&vring->avail->idx);

	if ((u16)(end - relay->avail) > relay->num)
		return false;
	/* Pairs with the driver's barrier between an entry and the index. */
	smp_rmb();
	for (; relay->avail != end; relay->avail++) {
		u16 slot = relay->avail & (relay->num - 1);
		__virtio16 head = vring->avail->ring[slot];

		vlb_relay_describe(relay, vring, vlb_relay_index(&head));
		relay->order[vlb_relay_index(&head)] = ++relay->given;
		relay->ring.avail->ring[slot] = head;
	}
	return true;
}

/* Returns whether the device wants to be kicked (virtio 2.7.10). */
static bool vlb_relay_push(struct vlb_relay *relay, struct virtqueue *vq)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	u16 old = relay->avail;

	do {
		if (!vlb_relay_offer(relay, vring)) {
			__virtqueue_break(vq);
			/* There the adapter is told. */
			irq_work_queue(&relay->queue->work);
			return false;
		}
		/* Every further buffer is to be kicked for; one may have come meanwhile. */
		WRITE_ONCE(vring_avail_event(vring), vlb_relay_le16(relay->avail));
		smp_mb(); /* the driver does it the other way round */
	} while (vlb_relay_index(&vring->avail->idx) != relay->avail);
	if (relay->avail == old)
		return false;
	/* The entries before the index, and that before the device's wish is read. */
	smp_wmb();
	WRITE_ONCE(relay->ring.avail->idx, vlb_relay_le16(relay->avail));
	smp_mb(); /* see above */
	if (relay->event_idx)
		return vring_need_event(vlb_relay_index(&vring_avail_event(&relay->ring)),
					relay->avail, old);
	return !(vlb_relay_index(&relay->ring.used->flags) & VRING_USED_F_NO_NOTIFY);
}

/* ---- from the device to the driver ---- */

/* Returns how many elements there are, -1: more than it has been given. */
static int vlb_relay_count(const struct vlb_relay *relay)
{
	u16 count = vlb_relay_index(&relay->ring.used->idx) - relay->used;
	u16 given = relay->avail - relay->used;

	return count > given ? -1 : count;
}

/* @head: not trusted. Returns whether the device had it. */
static bool vlb_relay_forget(struct vlb_relay *relay, u32 head)
{
	if (head >= relay->num || !relay->order[head])
		return false;
	relay->order[head] = 0;
	return true;
}

/*
 * Where buffers are used in order (virtio 2.7.9), one element stands for a batch and names the last
 * one of it. The virtio core hands out those before, and reads no further element, until that one
 * has come: one that never comes would have a driver that gives buffers back as they come go on for
 * ever. What names none of those that can be meant stands for all of them.
 *
 * Returns how many buffers the element is for, at most @count.
 */
static u16 vlb_relay_batch(struct vlb_relay *relay, const struct vring *vring,
			   struct vring_used_elem *elem, u16 count)
{
	const u32 last = le32_to_cpu((__force __le32)elem->id);
	u16 buffers = 0, head;

	do {
		u16 slot = (relay->used + buffers++) & (relay->num - 1);

		head = vlb_relay_index(&vring->avail->ring[slot]);
		vlb_relay_forget(relay, head);
	} while (head != last && buffers < count);
	elem->id = (__force __virtio32)cpu_to_le32(head);
	return buffers;
}

/* Returns false for what makes no sense: the driver is not given it. */
static bool vlb_relay_return(struct vlb_relay *relay, const struct vring *vring)
{
	int count = vlb_relay_count(relay);
	bool sane = count >= 0;

	/* The entries after the index, see virtio 2.7.8. */
	smp_rmb();
	while (count > 0 && sane) {
		u16 slot = relay->used & (relay->num - 1);
		struct vring_used_elem *elem = &vring->used->ring[slot];
		u16 buffers = 1;

		elem->id = READ_ONCE(relay->ring.used->ring[slot].id);
		elem->len = READ_ONCE(relay->ring.used->ring[slot].len);
		if (relay->in_order)
			buffers = vlb_relay_batch(relay, vring, elem, count);
		else
			sane = vlb_relay_forget(relay, le32_to_cpu((__force __le32)elem->id));
		if (sane) {
			relay->used += buffers;
			count -= buffers;
		}
	}
	/* Before the index, as a device would. */
	smp_wmb();
	WRITE_ONCE(vring->used->idx, vlb_relay_le16(relay->used));
	return sane;
}

/* Returns whether there is more, for which there may be no call. */
static bool vlb_relay_pull(struct vlb_relay *relay, struct virtqueue *vq)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	unsigned int round;

	for (round = 0; round < VLB_RELAY_ROUNDS; round++) {
		if (unlikely(virtqueue_is_broken(vq)))
			return false;
		if (unlikely(!vlb_relay_return(relay, vring))) {
			relay->anomalies++;
			/* The adapter is told where calls come from. */
			__virtqueue_break(vq);
			return false;
		}
		/* A call is wanted for the next one; it may have come meanwhile. */
		if (relay->event_idx)
			WRITE_ONCE(vring_used_event(&relay->ring), vlb_relay_le16(relay->used));
		else
			WRITE_ONCE(relay->ring.avail->flags, 0);
		/* The wish before the index is read: the device does it the other way round. */
		smp_mb();
		if (!vlb_relay_count(relay))
			return false;
	}
	return true;
}

/* Returns whether the driver wants to be called for what has come since @old (virtio 2.7.10). */
static bool vlb_relay_call_wanted(const struct vlb_relay *relay, const struct vring *vring, u16 old)
{
	/* The index before the wish: a driver that asks for calls looks at the index after that. */
	smp_mb();
	if (relay->event_idx)
		return vring_need_event(vlb_relay_index(&vring_used_event(vring)), relay->used,
					old);
	return !(vlb_relay_index(&vring->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

/* ---- both ---- */

/**
 * vlb_relay_notify() - the driver kicks
 * @relay: of this queue
 * @vq:    the driver's ring
 *
 * Return: whether the device is to be kicked, or who stands in for it when it is cut off.
 */
bool vlb_relay_notify(struct vlb_relay *relay, struct virtqueue *vq)
{
	unsigned long flags;
	bool kick = true;

	spin_lock_irqsave(&relay->lock, flags);
	if (relay->on)
		kick = vlb_relay_push(relay, vq);
	spin_unlock_irqrestore(&relay->lock, flags);
	return kick;
}

/**
 * vlb_relay_called() - the device calls
 * @relay: of this queue
 * @vq:    the driver's ring
 * @call:  out: whether the driver is to be called; it is by who stands in for the device
 *
 * Return: whether to come again: there is more, and no call for it.
 */
bool vlb_relay_called(struct vlb_relay *relay, struct virtqueue *vq, bool *call)
{
	const struct vring *vring = virtqueue_get_vring(vq);
	unsigned long flags;
	bool more = false;
	u16 old;

	*call = true;
	spin_lock_irqsave(&relay->lock, flags);
	if (relay->on) {
		old = relay->used;
		more = vlb_relay_pull(relay, vq);
		*call = relay->used != old && vlb_relay_call_wanted(relay, vring, old);
	}
	spin_unlock_irqrestore(&relay->lock, flags);
	return more;
}

static int vlb_outstanding_cmp(const void *a, const void *b)
{
	const struct vlb_outstanding *left = a, *right = b;

	/* A buffer can be out for as long as its device likes: 32 bits would wrap meanwhile. */
	return left->seq < right->seq ? -1 : 1;
}

/* With the lock held; in no order */
static unsigned int vlb_relay_collect(const struct vlb_relay *relay, struct vlb_outstanding *list)
{
	unsigned int head, count = 0;

	for (head = 0; head < relay->num; head++)
		if (relay->order[head])
			list[count++] = (struct vlb_outstanding){ relay->order[head], head };
	return count;
}

/**
 * vlb_relay_list() - what the device has been given and has not given back
 * @relay: of a queue
 * @list:  room for as many as the queue has entries
 *
 * Return: how many; in the order in which the driver made them available.
 */
unsigned int vlb_relay_list(struct vlb_relay *relay, struct vlb_outstanding *list)
{
	unsigned int count = 0;
	unsigned long flags;

	spin_lock_irqsave(&relay->lock, flags);
	if (relay->on)
		count = vlb_relay_collect(relay, list);
	spin_unlock_irqrestore(&relay->lock, flags);
	sort(list, count, sizeof(*list), vlb_outstanding_cmp, NULL);
	return count;
}

/**
 * vlb_relay_take_back() - the same, and what the driver has made available since
 * @relay: cut
 * @vq:    the driver's ring
 * @list:  as above; they are not listed again: the caller puts them into the driver's used ring
 *
 * Return: how many.
 */
unsigned int vlb_relay_take_back(struct vlb_relay *relay, struct virtqueue *vq,
				 struct vlb_outstanding *list)
{
	unsigned int i, count = 0;
	unsigned long flags;

	spin_lock_irqsave(&relay->lock, flags);
	if (relay->set_up && vlb_relay_offer(relay, virtqueue_get_vring(vq)))
		count = vlb_relay_collect(relay, list);
	for (i = 0; i < count; i++)
		relay->order[list[i].head] = 0;
	spin_unlock_irqrestore(&relay->lock, flags);
	sort(list, count, sizeof(*list), vlb_outstanding_cmp, NULL);
	return count;
}

/* Up to which entry of the available ring that was. */
u16 vlb_relay_seen(const struct vlb_relay *relay)
{
	return READ_ONCE(relay->avail);
}

u32 vlb_relay_anomalies(const struct vlb_relay *relay)
{
	return READ_ONCE(relay->anomalies);
}

/* ---- life ---- */

/**
 * vlb_relay_create() - for a queue of a device that wants it
 * @queue: must outlive it
 *
 * Return: the object, or NULL.
 */
struct vlb_relay *vlb_relay_create(struct vlb_queue *queue)
{
	struct vlb_relay *relay = kzalloc(sizeof(*relay), GFP_KERNEL_ACCOUNT);

	if (!relay)
		return NULL;
	relay->order = kvcalloc(queue->max, sizeof(*relay->order), GFP_KERNEL_ACCOUNT);
	if (!relay->order) {
		kfree(relay);
		return NULL;
	}
	relay->queue = queue;
	spin_lock_init(&relay->lock);
	return relay;
}

void vlb_relay_destroy(struct vlb_relay *relay)
{
	if (!relay)
		return;
	kvfree(relay->order);
	kfree(relay);
}

/**
 * vlb_relay_start() - the driver has set the queue up
 * @relay: not set up
 * @vq:    the driver's ring
 *
 * Return: 0 or -ENOMEM.
 */
int vlb_relay_start(struct vlb_relay *relay, struct virtqueue *vq)
{
	const unsigned int num = virtqueue_get_vring_size(vq);
	unsigned long flags;

	relay->ring_size = PAGE_ALIGN(vring_size(num, SMP_CACHE_BYTES));
	relay->ring_mem = vlb_bounce_alloc_ring(&relay->queue->dev->bounce, relay->ring_size,
						&relay->ring_addr);
	if (!relay->ring_mem)
		return -ENOMEM;
	spin_lock_irqsave(&relay->lock, flags);
	relay->num = num;
	vring_init(&relay->ring, num, relay->ring_mem, SMP_CACHE_BYTES);
	relay->event_idx = virtio_has_feature(vq->vdev, VIRTIO_RING_F_EVENT_IDX);
	relay->in_order = virtio_has_feature(vq->vdev, VIRTIO_F_IN_ORDER);
	relay->avail = 0;
	relay->used = 0;
	memset(relay->order, 0, relay->num * sizeof(*relay->order));
	relay->set_up = true;
	relay->on = true;
	spin_unlock_irqrestore(&relay->lock, flags);
	return 0;
}

/**
 * vlb_relay_cut() - the device's side is over: what it does is not seen any more
 * @relay: need not be on
 *
 * The driver's used ring is to be written by who ends its I/O then, see drain.h and sink.h.
 */
void vlb_relay_cut(struct vlb_relay *relay)
{
	unsigned long flags;

	spin_lock_irqsave(&relay->lock, flags);
	relay->on = false;
	spin_unlock_irqrestore(&relay->lock, flags);
}

/**
 * vlb_relay_stop() - the driver's ring is about to go
 * @relay: neither kicks nor calls come any more; need not be set up
 */
void vlb_relay_stop(struct vlb_relay *relay)
{
	if (!relay->set_up)
		return;
	vlb_relay_cut(relay);
	relay->set_up = false;
	vlb_bounce_free_ring(&relay->queue->dev->bounce, relay->ring_size, relay->ring_mem);
}

/* The ring that the back-end is to serve. */
void vlb_relay_get(const struct vlb_relay *relay, struct virtio_loopback_queue *out)
{
	out->num = relay->num;
	out->desc_addr = relay->ring_addr;
	out->driver_addr = relay->ring_addr + ((void *)relay->ring.avail - relay->ring_mem);
	out->device_addr = relay->ring_addr + ((void *)relay->ring.used - relay->ring_mem);
	out->used_index = READ_ONCE(relay->used);
}
