// SPDX-License-Identifier: GPL-2.0-only
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/virtio_ring.h>

#include "bounce.h"
#include "record.h"

int vlb_record_init(struct vlb_record *record, const u16 *sizes, unsigned int nr)
{
	unsigned int i;

	record->queues = kcalloc(nr, sizeof(*record->queues), GFP_KERNEL_ACCOUNT);
	if (!record->queues)
		return -ENOMEM;
	record->nr = nr;
	for (i = 0; i < nr; i++)
		record->room = max_t(unsigned int, record->room, sizes[i]);
	record->list = kvcalloc(record->room, sizeof(*record->list), GFP_KERNEL_ACCOUNT);
	if (!record->list) {
		kfree(record->queues);
		return -ENOMEM;
	}
	return 0;
}

void vlb_record_finish(struct vlb_record *record)
{
	kvfree(record->list);
	kfree(record->queues);
}

void vlb_record_add_queue(struct vlb_bounce *bounce, unsigned int index,
			  const struct vring *vring)
{
	struct vlb_record_queue *queue = &bounce->record.queues[index];
	bool first = true;
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&bounce->lock, flags);
	for (i = 0; i < bounce->record.nr; i++)
		first &= !bounce->record.queues[i].vring;
	/* What was wrong with the rings of the last driver is not these ones'. */
	if (first)
		bounce->record.anomalies = 0;
	queue->seen = 0;
	queue->taken = 0;
	queue->vring = vring;
	spin_unlock_irqrestore(&bounce->lock, flags);
}

/**
 * vlb_record_del_queue() - the ring is about to go
 * @bounce: the pool in use
 * @index:  virtqueue; its driver holds no buffer in it any more, or never will ask
 */
void vlb_record_del_queue(struct vlb_bounce *bounce, unsigned int index)
{
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&bounce->lock, flags);
	bounce->record.queues[index].vring = NULL;
	for (i = 0; i < bounce->nr_maps; i++)
		if (bounce->maps[i].live && bounce->maps[i].queue == index)
			bounce->maps[i].queue = VLB_NO_QUEUE;
	spin_unlock_irqrestore(&bounce->lock, flags);
}

static void vlb_record_tie(struct vlb_bounce *bounce, const struct vlb_record_queue *queue,
			   u16 head)
{
	const struct vring *vring = queue->vring;
	struct vlb_mapping *map;

	if (head >= vring->num) {
		bounce->record.anomalies++;
		return;
	}
	map = vlb_bounce_find(bounce, le64_to_cpu((__force __le64)
						  READ_ONCE(vring->desc[head].addr)));
	/*
	 * What was published and not taken back has a live mapping, and that one's
	 * alone, unless its driver maps by itself.
	 */
	if (!map || map->queue != VLB_NO_QUEUE) {
		bounce->record.anomalies++;
		return;
	}
	map->queue = queue - bounce->record.queues;
	map->head = head;
	map->seq = bounce->record.seq++;
}

static void vlb_record_observe_queue(struct vlb_bounce *bounce, struct vlb_record_queue *queue)
{
	const struct vring *vring = queue->vring;
	u16 end;

	if (!vring)
		return;
	end = le16_to_cpu((__force __le16)READ_ONCE(vring->avail->idx));
	if (likely(end == queue->seen))
		return;
	/* Pairs with the driver's barrier between an entry and the index. */
	smp_rmb();
	if (unlikely((u16)(end - queue->seen) > vring->num)) {
		bounce->record.anomalies++;
		queue->seen = end - vring->num;
	}
	for (; queue->seen != end; queue->seen++) {
		u16 slot = queue->seen & (vring->num - 1);

		vlb_record_tie(bounce, queue,
			       le16_to_cpu((__force __le16)READ_ONCE(vring->avail->ring[slot])));
	}
}

static void vlb_record_observe(struct vlb_bounce *bounce)
{
	struct vlb_record_queue *queue = bounce->record.queues, *end = queue + bounce->record.nr;

	/* A record that is spoiled is worth no more work. */
	if (unlikely(bounce->record.anomalies))
		return;
	for (; queue < end; queue++)
		vlb_record_observe_queue(bounce, queue);
}

/**
 * vlb_record_taken() - a mapping goes: the driver has taken its buffer back
 * @bounce: the pool in use, its lock held
 * @map:    still live
 */
void vlb_record_taken(struct vlb_bounce *bounce, struct vlb_mapping *map)
{
	if (map->queue == VLB_NO_QUEUE)
		vlb_record_observe(bounce);
	if (map->queue != VLB_NO_QUEUE)
		bounce->record.queues[map->queue].taken++;
}

static int vlb_outstanding_cmp(const void *a, const void *b)
{
	const struct vlb_outstanding *left = a, *right = b;

	/* A buffer can be out for as long as its device likes: 32 bits would wrap meanwhile. */
	return left->seq < right->seq ? -1 : 1;
}

/**
 * vlb_outstanding_sort() - into the order in which the driver made them available
 * @list:  the buffers
 * @count: how many
 */
void vlb_outstanding_sort(struct vlb_outstanding *list, unsigned int count)
{
	sort(list, count, sizeof(*list), vlb_outstanding_cmp, NULL);
}

/* With no list: counts only. */
static unsigned int vlb_record_collect(struct vlb_bounce *bounce, unsigned int index,
				       struct vlb_outstanding *list)
{
	unsigned int count = 0;
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&bounce->lock, flags);
	vlb_record_observe(bounce);
	if (list)
		bounce->record.queues[index].listed = bounce->record.queues[index].seen;
	for (i = 0; i < bounce->nr_maps && count < bounce->record.room; i++) {
		const struct vlb_mapping *map = &bounce->maps[i];

		if (!map->live || map->queue != index)
			continue;
		if (list)
			list[count] = (struct vlb_outstanding){ map->seq, map->head };
		count++;
	}
	spin_unlock_irqrestore(&bounce->lock, flags);
	return count;
}

/**
 * vlb_record_list() - what is outstanding in one virtqueue
 * @bounce: the pool in use; the device's lock is held
 * @index:  virtqueue
 * @count:  out: how many
 *
 * Return: the buffers in the order in which the driver made them available; valid until
 * the next call for this device.
 */
const struct vlb_outstanding *vlb_record_list(struct vlb_bounce *bounce, unsigned int index,
					      unsigned int *count)
{
	struct vlb_outstanding *list = bounce->record.list;

	*count = vlb_record_collect(bounce, index, list);
	vlb_outstanding_sort(list, *count);
	return list;
}

unsigned int vlb_record_count(struct vlb_bounce *bounce, unsigned int index)
{
	return vlb_record_collect(bounce, index, NULL);
}

u16 vlb_record_used_index(struct vlb_bounce *bounce, unsigned int index)
{
	unsigned long flags;
	u16 taken;

	spin_lock_irqsave(&bounce->lock, flags);
	taken = bounce->record.queues[index].taken;
	spin_unlock_irqrestore(&bounce->lock, flags);
	return taken;
}

/* Up to which index of the available ring the last list goes; the device's lock is held. */
u16 vlb_record_listed(struct vlb_bounce *bounce, unsigned int index)
{
	return bounce->record.queues[index].listed;
}

u32 vlb_record_anomalies(struct vlb_bounce *bounce)
{
	unsigned long flags;
	u32 anomalies;

	spin_lock_irqsave(&bounce->lock, flags);
	anomalies = bounce->record.anomalies;
	spin_unlock_irqrestore(&bounce->lock, flags);
	return anomalies;
}
