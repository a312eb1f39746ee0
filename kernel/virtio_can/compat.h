/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that this module is built for, 6.1 to the
 * newest. No other file asks for the version.
 */
#ifndef VIRTIO_CAN_COMPAT_H
#define VIRTIO_CAN_COMPAT_H

#include <linux/can/dev.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "virtio_can needs Linux 6.1 or newer"
#endif

/* The limits of the MTU are fields of the device, and nobody has to be asked any more. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define VIRTIO_CAN_HAVE_CHANGE_MTU 0
#else
#define VIRTIO_CAN_HAVE_CHANGE_MTU 1
#endif

static inline int virtio_can_compat_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
					     struct virtqueue *vqs[],
					     vq_callback_t * const callbacks[],
					     const char * const names[])
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct virtqueue_info infos[4] = { };
	unsigned int i;

	if (nvqs > ARRAY_SIZE(infos))
		return -EINVAL;
	for (i = 0; i < nvqs; i++) {
		infos[i].name = names[i];
		infos[i].callback = callbacks[i];
	}
	return virtio_find_vqs(vdev, nvqs, vqs, infos, NULL);
#else
	return virtio_find_vqs(vdev, nvqs, vqs, (vq_callback_t **)callbacks, names, NULL);
#endif
}

#endif
