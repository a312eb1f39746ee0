/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * relay - queues whose ring the device side does not see
 *
 * The virtio core follows descriptors by their flags in a split ring, which the device can
 * write to as well. So one buffer's end could be made another's: what the core takes back, and
 * what it unmaps, are not the same then. A mapping is left that nobody waits for, and by its
 * address, given out again, the device side would write where the driver has long put something
 * else. And where a driver takes its unused buffers back when it lets go, the core counts the
 * descriptors that it walked over, and a wrong count is a BUG of its. Of all that the device
 * side may do to its own device these are what reaches the kernel.
 *
 * So there are two split rings:
 *
 *	driver -- its ring --> vlb_relay -- the device's ring --> back-end
 *
 * The driver's lies in kernel memory, out of the device's sight. What the driver makes
 * available is copied to the device's ring in its kick, to the same places; what the device has
 * used is copied back in its call. Buffers are not touched: they are in the pool as ever. What the
 * device gives back it must have; else the driver is not told, and the queue breaks.
 *
 * A call is wanted for each used buffer, for a driver that looks without one having come sees
 * nothing; the driver is called when it wants to be. A packed ring needs none of it: there the
 * core remembers what it has put where.
 *
 * So the relay knows what the device has: from that it is offered again to a new back-end, or given
 * back as failed at the end of the device.
 */
#ifndef VLB_RELAY_H
#define VLB_RELAY_H

#include <linux/types.h>
#include <linux/virtio_loopback.h>

struct virtqueue;
struct vlb_device;
struct vlb_queue;
struct vlb_relay;

/**
 * struct vlb_outstanding - one buffer that is out
 * @seq:  order of availability
 * @head: descriptor head
 */
struct vlb_outstanding {
	u64 seq;
	u16 head;
};

bool vlb_relay_wanted(u64 features);
struct vlb_relay *vlb_relay_create(struct vlb_queue *queue);
void vlb_relay_destroy(struct vlb_relay *relay);

int vlb_relay_start(struct vlb_relay *relay, struct virtqueue *vq);
void vlb_relay_cut(struct vlb_relay *relay);
void vlb_relay_stop(struct vlb_relay *relay);

bool vlb_relay_notify(struct vlb_relay *relay, struct virtqueue *vq);
bool vlb_relay_called(struct vlb_relay *relay, struct virtqueue *vq, bool *call);
unsigned int vlb_relay_list(struct vlb_relay *relay, struct vlb_outstanding *list);
unsigned int vlb_relay_take_back(struct vlb_relay *relay, struct virtqueue *vq,
				 struct vlb_outstanding *list);
u16 vlb_relay_seen(const struct vlb_relay *relay);
u32 vlb_relay_anomalies(const struct vlb_relay *relay);
void vlb_relay_get(const struct vlb_relay *relay, struct virtio_loopback_queue *out);

#endif /* VLB_RELAY_H */
