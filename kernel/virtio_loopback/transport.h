/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * transport - what the virtio core and the drivers call (struct virtio_config_ops)
 */
#ifndef VLB_TRANSPORT_H
#define VLB_TRANSPORT_H

#include <linux/virtio_config.h>

#include "compat.h"

extern const struct virtio_config_ops vlb_transport_ops;

int vlb_transport_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
			   struct virtqueue *vqs[], struct virtqueue_info infos[],
			   struct irq_affinity *desc);
u64 vlb_transport_features(void);

#endif /* VLB_TRANSPORT_H */
