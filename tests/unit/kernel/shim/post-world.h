/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What post.c and relay.c need besides: in the place of device.h, and of the virtio core. It is
 * included before anything else.
 */
#ifndef POST_WORLD_H
#define POST_WORLD_H

#define VLB_COMPAT_H
#define VLB_DEVICE_H

#include "shim.h"
#include <linux/virtio_config.h>
#include <linux/virtio_loopback.h>
#include <linux/virtio_ring.h>

#include "bounce.h"
#include "pool.h"

#define __rcu
#define IS_ENABLED(option) false
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define cpu_to_le64(x)	(x)
#define smp_wmb()	__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define BIT_ULL(n)	(1ULL << (n))
#define SMP_CACHE_BYTES	64
#define kzalloc(size, gfp) kcalloc(1, size, gfp)

/* irq_work: it is counted, and the test runs what was queued last, if it wants to */
struct irq_work {
	void (*func)(struct irq_work *work);
	unsigned int queued;
};

__attribute__((weak)) struct irq_work *irq_work_last;

#define IRQ_WORK_INIT_HARD(f)	((struct irq_work){ .func = (f) })
#define IRQ_WORK_INIT_LAZY(f)	IRQ_WORK_INIT_HARD(f)

static inline bool irq_work_queue(struct irq_work *work)
{
	irq_work_last = work;
	return !work->queued++;
}

#define irq_work_sync(work)	((void)(work))

#define rcu_read_lock()		((void)0)
#define rcu_read_unlock()	((void)0)
#define rcu_dereference(p)	(p)
#define synchronize_rcu()	((void)0)

/* the virtio core */
struct virtqueue {
	void *vdev;
	struct vring vring;
	unsigned int num_free;
	bool broken;
};

#define virtqueue_get_vring(vq)		((const struct vring *)&(vq)->vring)
#define virtqueue_get_vring_size(vq)	((vq)->vring.num)
#define virtqueue_is_broken(vq)		((vq)->broken)
#define virtqueue_detach_unused_buf(vq)	((void *)NULL)
#define __virtqueue_break(vq)		((void)((vq)->broken = true))
/* as the test says, which has no device: the bits, NULL: none */
#define virtio_has_feature(vdev, bit)	((vdev) && (*(const u64 *)(vdev) >> (bit) & 1))
#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif

/* device.h */
enum vlb_event { VLB_EVENT_BROKEN };

struct vlb_messages {
	unsigned int events;
};

struct vlb_device {
	struct vlb_bounce bounce;
	struct vlb_messages messages;
};

struct vlb_queue {
	struct vlb_device *dev;
	struct virtqueue *vq;
	u16 max;
	struct irq_work work;
	bool broken_told;
	u32 broken_reason;
};

#define vlb_messages_raise(messages, event)	((void)((messages)->events |= 1U << (event)))
#define vlb_device_is_over(dev)			((void)(dev), false)
#define vlb_queue_vq(queue)			((queue)->vq)

#endif
