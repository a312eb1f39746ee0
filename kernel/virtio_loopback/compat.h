/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that this module is built for, 6.1 to the
 * newest. No other file asks for the version.
 */
#ifndef VLB_COMPAT_H
#define VLB_COMPAT_H

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "virtio_loopback needs Linux 6.1 or newer"
#endif

/* virtio devices can bring their own mapping of ring buffers (struct virtio_map_ops). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define VLB_HAVE_VIRTIO_MAP_OPS 1
#else
#define VLB_HAVE_VIRTIO_MAP_OPS 0
#endif

#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif

/* A device can bring its own dma_map_ops; without it set_dma_ops() does nothing. */
#if IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS) || \
	(LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0) && IS_ENABLED(CONFIG_DMA_OPS))
#define VLB_HAVE_DMA_OPS 1
#else
#define VLB_HAVE_DMA_OPS 0
#endif

#if !VLB_HAVE_DMA_OPS && !VLB_HAVE_VIRTIO_MAP_OPS
/*
 * It is selected by XEN, and on x86 by GART_IOMMU as well. Without it set_dma_ops() does
 * nothing, silently, and physical addresses would reach the back-end.
 */
#error "virtio_loopback needs CONFIG_ARCH_HAS_DMA_OPS before Linux 6.18"
#endif

/* dma_map_ops takes physical addresses instead of pages. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define VLB_DMA_OPS_BY_PHYS 1
#else
#define VLB_DMA_OPS_BY_PHYS 0
#endif

/* The pages of a memfd can be pinned without a mapping of it. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define VLB_HAVE_MEMFD_PIN_FOLIOS 1
#else
#define VLB_HAVE_MEMFD_PIN_FOLIOS 0
#endif

/* What the uevent callback of a struct device_type is given. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define VLB_UEVENT_DEVICE const struct device
#else
#define VLB_UEVENT_DEVICE struct device
#endif

static inline bool vlb_task_on_cpu(struct task_struct *task)
{
#if IS_ENABLED(CONFIG_SMP) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
	/* Pairs with the scheduler's release when it has switched away from the task. */
	return smp_load_acquire(&task->on_cpu);
#else
	return false; /* the one that runs is the caller */
#endif
}

static inline void vlb_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline void vlb_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define VLB_FIND_VQS vlb_transport_find_vqs
#else
/* The kernels before 6.11 pass what is here in one structure as three arrays. */
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	bool ctx;
};

int vlb_transport_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
			   struct virtqueue *vqs[], struct virtqueue_info infos[],
			   struct irq_affinity *desc);

static inline int vlb_compat_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
				      struct virtqueue *vqs[], vq_callback_t *callbacks[],
				      const char * const names[], const bool *ctx,
				      struct irq_affinity *desc)
{
	struct virtqueue_info *infos;
	unsigned int i;
	int err;

	infos = kcalloc(nvqs, sizeof(*infos), GFP_KERNEL);
	if (!infos)
		return -ENOMEM;
	for (i = 0; i < nvqs; i++) {
		infos[i].name = names[i];
		infos[i].callback = callbacks[i];
		infos[i].ctx = ctx ? ctx[i] : false;
	}
	err = vlb_transport_find_vqs(vdev, nvqs, vqs, infos, desc);
	kfree(infos);
	return err;
}

#define VLB_FIND_VQS vlb_compat_find_vqs
#endif

#endif /* VLB_COMPAT_H */
