/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * record - which buffers the driver has made available and not taken back
 *
 * The rings cannot tell: an entry of the available ring is overwritten while its buffer
 * is still out when others complete before it, and kicks and calls, where one could
 * count, are suppressed. But every buffer is mapped before it is made available and
 * unmapped when it is taken back. So each live mapping is tied to its head:
 *
 *  - vlb_record_observe() reads the entries of the available rings that are new since
 *    the last time, and ties the mapping that the head's descriptor points to.
 *  - When a mapping that is not tied yet is about to go, the rings are observed first,
 *    while its slot cannot have been given to another buffer.
 *
 * Hence no entry is read after its slot was used again (a stale descriptor never ties),
 * and no more than the ring's size is ever unread (more would need a buffer to be taken
 * back in between, and that observes). What is tied at any moment is what is
 * outstanding.
 *
 * The rings are the driver's own, out of the device side's sight. @anomalies counts what makes
 * no sense in them all the same, and ends the record.
 *
 * Buffers that the driver maps by itself beforehand (virtio_net's pages) are not seen, nor
 * are those of packed virtqueues, whose device side overwrites the descriptors.
 */
#ifndef VLB_RECORD_H
#define VLB_RECORD_H

#include <linux/types.h>

struct vlb_bounce;
struct vlb_mapping;
struct vring;

/**
 * struct vlb_record_queue - the record's place in one virtqueue
 * @vring: the ring, NULL: not set up, or packed
 * @seen:  index of the available ring up to which it was read
 * @listed: the same when the last list was made, which is complete up to there
 * @taken: buffers that the driver has taken back, modulo 2^16: its place in the used
 *         ring
 */
struct vlb_record_queue {
	const struct vring *vring;
	u16 seen;
	u16 listed;
	u16 taken;
};

/**
 * struct vlb_outstanding - one buffer that is out
 * @seq:  order of availability
 * @head: descriptor head
 */
struct vlb_outstanding {
	u64 seq;
	u16 head;
};

/**
 * struct vlb_record - protected by vlb_bounce.lock, but for @list
 * @queues:    one a virtqueue
 * @nr:        virtqueues
 * @seq:       order of availability, counts up
 * @anomalies: entries that make no sense
 * @list:      room for what vlb_record_list() returns, so that the end of a device needs
 *             no memory; protected by vlb_device.lock
 * @room:      entries of @list: the largest ring's size
 */
struct vlb_record {
	struct vlb_record_queue *queues;
	unsigned int nr;
	u64 seq;
	u32 anomalies;
	struct vlb_outstanding *list;
	unsigned int room;
};

int vlb_record_init(struct vlb_record *record, const u16 *sizes, unsigned int nr);
void vlb_record_finish(struct vlb_record *record);

void vlb_record_add_queue(struct vlb_bounce *bounce, unsigned int index,
			  const struct vring *vring);
void vlb_record_del_queue(struct vlb_bounce *bounce, unsigned int index);

void vlb_record_taken(struct vlb_bounce *bounce, struct vlb_mapping *map);

void vlb_outstanding_sort(struct vlb_outstanding *list, unsigned int count);
const struct vlb_outstanding *vlb_record_list(struct vlb_bounce *bounce, unsigned int index,
					      unsigned int *count);
unsigned int vlb_record_count(struct vlb_bounce *bounce, unsigned int index);
u16 vlb_record_used_index(struct vlb_bounce *bounce, unsigned int index);
u16 vlb_record_listed(struct vlb_bounce *bounce, unsigned int index);
u32 vlb_record_anomalies(struct vlb_bounce *bounce);

#endif /* VLB_RECORD_H */
