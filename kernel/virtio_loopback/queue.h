/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * queue - one virtqueue: its kicks go to an eventfd, its calls come from one
 *
 * This is the data path: driver -> vlb_queue_notify() -> eventfd of the back-end, and
 * eventfd of the back-end -> irq_work -> driver's callback. No process between them.
 */
#ifndef VLB_QUEUE_H
#define VLB_QUEUE_H

#include <linux/irq_work.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_loopback.h>

struct eventfd_ctx;
struct virtqueue;
struct vlb_call;
struct vlb_device;
struct vlb_post;
struct vlb_relay;

/**
 * struct vlb_queue - what the device knows of one virtqueue
 * @dev:     its device
 * @index:   which
 * @max:     largest size, 0: does not exist
 * @flags:   VIRTIO_LOOPBACK_QF_*, as the adapter has it
 * @vq:      the driver's ring; set under vlb_device.vq_lock, read under RCU by calls
 * @kick:    where kicks go, NULL: nowhere; replaced under vlb_device.lock, read under
 *           RCU by the driver's kick
 * @call:    hook on the eventfd of calls; changes under vlb_device.lock
 * @work:    carries a call from the eventfd's wake-up, where the driver must not be
 *           entered (its callback may signal an eventfd), to an interrupt
 * @kicks:   signalled, ever; the driver serialises kicks of one queue
 * @quiet:   the driver has not kicked since it set the queue up
 * @resetting: the driver takes it out of use: nobody is to begin with it; under
 *           vlb_device.vq_lock
 * @calling: held while the driver is called: one irq_work can run on two CPUs at once, and a
 *           driver's callback need not bear that. Outside of all locks that drivers take;
 *           taken by @work alone, and by who waits for the end of a call
 * @calls:   delivered, ever; under @calling
 * @sink:    the kernel is the device and gives every buffer back, see sink.h; changes under
 *           vlb_device.vq_lock, as the two that follow
 * @sink_avail: place in the available ring
 * @sink_used:  place in the used ring
 * @drained: place in a packed ring, with the wrap bit, that the end of I/O has written to last;
 *           under vlb_device.vq_lock, as the next
 * @drained_id: which id it has put there
 * @broken_told: the adapter knows that the driver gave this queue up
 * @broken_reason: why, VIRTIO_LOOPBACK_BROKEN_*
 * @post:    stands between the two sides of a posted queue, NULL: nothing does
 * @relay:   stands between them where the ring is a split one, and it is not posted. With either
 *           the driver's ring is a private one, out of the device's sight
 */
struct vlb_queue {
	struct vlb_device *dev;
	u16 index;
	u16 max;
	u16 flags;
	struct virtqueue __rcu *vq;
	struct eventfd_ctx __rcu *kick;
	struct eventfd_ctx *old_kick;
	struct vlb_call *call;
	struct irq_work work;
	u64 kicks;
	bool quiet;
	bool resetting;
	spinlock_t calling; /* see @calling above */
	u64 calls;
	bool sink;
	u16 sink_avail;
	u16 sink_used;
	u16 drained;
	u16 drained_id;
	bool broken_told;
	u32 broken_reason;
	struct vlb_post *post;
	struct vlb_relay *relay;
};

int vlb_queues_init(struct vlb_device *dev, const u16 *sizes, const u16 *flags, unsigned int num);
void vlb_queues_finish(struct vlb_device *dev);
void vlb_queues_call(struct vlb_device *dev);
void vlb_queues_offer(struct vlb_device *dev);
void vlb_queues_disarm(struct vlb_device *dev);
void vlb_queues_break(struct vlb_device *dev);
const struct vlb_queue *vlb_queues_first_broken(struct vlb_device *dev);
size_t vlb_queues_ring_size(const u16 *sizes, const u16 *flags, unsigned int num, u64 features);

int vlb_queue_set_fds(struct vlb_queue *queue, int kick_fd, int call_fd);
int vlb_queue_attach(struct vlb_queue *queue, struct virtqueue *vq);
void vlb_queue_hide(struct vlb_queue *queue);
void vlb_queue_stop(struct vlb_queue *queue);
void vlb_queue_detach(struct vlb_queue *queue);
bool vlb_queue_notify(struct virtqueue *vq);
struct virtqueue *vlb_queue_vq(struct vlb_queue *queue);
void vlb_queue_sync(struct vlb_queue *queue);
void vlb_queue_call_sync(struct vlb_queue *queue);
void vlb_queue_get(struct vlb_queue *queue, struct virtio_loopback_queue *out);

/**
 * vlb_vq_is_packed() - has the ring the packed layout (virtio 2.8)?
 * @vq: whose virtqueue_get_vring() is of no use then
 */
static inline bool vlb_vq_is_packed(const struct virtqueue *vq)
{
	return virtio_has_feature(vq->vdev, VIRTIO_F_RING_PACKED);
}

#endif /* VLB_QUEUE_H */
