/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * post - queues whose driver waits for its buffers without sleeping
 *
 * virtio_console adds a buffer to a transmit queue, kicks, and reads the used ring until
 * the buffer is there: under a spinlock, for hvc with interrupts off. In a virtual machine
 * the device is elsewhere. Here it is a process that needs a CPU of this very kernel:
 *
 *  - with one CPU online the process never runs again;
 *  - with more it hangs as well: the process calls for another queue, the call enters the
 *    driver on the CPU that the process runs on, and there the driver waits for the lock
 *    that the spinning side holds. So a watchdog that breaks the queue after a while, on
 *    another CPU, is no way out: it would break a queue in ordinary use, and two CPUs may
 *    both be taken;
 *  - a back-end that is stopped or dead takes a CPU with it for ever.
 *
 * None of that can be told from outside while the driver spins. So the buffer is taken over
 * in the kick itself, in the driver's own context: when the kick returns, it is used. There
 * are two rings:
 *
 *	driver -- its ring --> vlb_post -- the device's ring --> back-end
 *
 * Towards the driver this is the device, towards the back-end the driver. What the buffers
 * hold is copied to an area of fixed size in the pool, and the device's ring points there.
 * It is for buffers that the device reads, and whose answer needs no device: what it would
 * write into them is zeroes. virtio_net spins for its control queue, and 0 is VIRTIO_NET_OK.
 *
 * When the area is full, a driver that sleeps until a buffer is used waits as on any full
 * queue: its buffers stay in its ring, are taken over when the device has used others, and
 * then the driver is called. A driver that spins must not come that far. Which one it is
 * shows itself: a local irq_work that is queued by the kick runs as soon as the driver
 * enables interrupts, and if the driver has its buffer back by then, it has waited for it
 * (vlb_post.driver); it counts as one that spins until it is seen to leave buffers where they
 * are. Such a driver finds its ring full *before* it adds (virtqueue.num_free is lowered,
 * @held), while the area has no room for the next buffer. It gets -ENOSPC and tries again
 * later, which hvc does by itself. The virtio core kicks for a buffer that does not fit, so the
 * try is what ends the hold; by it a driver that sleeps has one write that fails, no more.
 *
 * With VIRTIO_LOOPBACK_QF_STRICT the driver is known to spin with interrupts on and not to
 * try again: when there is no room left the queue is broken, which ends the spinning, and
 * the adapter is told.
 */
#ifndef VLB_POST_H
#define VLB_POST_H

#include <linux/types.h>
#include <linux/virtio_loopback.h>

struct virtqueue;
struct vlb_post;
struct vlb_queue;

struct vlb_post *vlb_post_create(struct vlb_queue *queue, bool strict);
void vlb_post_destroy(struct vlb_post *post);
size_t vlb_post_ring_size(unsigned int num);

int vlb_post_start(struct vlb_post *post, struct virtqueue *vq);
void vlb_post_discard(struct vlb_post *post);
void vlb_post_release(struct vlb_post *post);
void vlb_post_forget(struct vlb_post *post);
void vlb_post_stop(struct vlb_post *post);

bool vlb_post_notify(struct vlb_post *post, struct virtqueue *vq);
bool vlb_post_called(struct vlb_post *post, struct virtqueue *vq);
void vlb_post_get(const struct vlb_post *post, struct virtio_loopback_queue *out);
u64 vlb_post_count(const struct vlb_post *post);
u64 vlb_post_full(const struct vlb_post *post);

#endif /* VLB_POST_H */
