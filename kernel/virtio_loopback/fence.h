/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fence - what virtio_gpu waits for without end
 *
 * A command of the control queue can carry a fence's number, and the fence passes with an
 * answer that carries the same number (virtio 5.7.6.7). The driver has no other end for it:
 * with an answer of nonsense, page flips wait for the fence for ever, and with them all that
 * has the card open, and its unbinding.
 */
#ifndef VLB_FENCE_H
#define VLB_FENCE_H

#include <linux/types.h>
#include <linux/virtio_ids.h>

struct vlb_bounce;
struct vring;

/**
 * vlb_fence_carried() - can a request of this device type carry a fence?
 * @device_id: virtio device id
 */
static inline bool vlb_fence_carried(u32 device_id)
{
	return device_id == VIRTIO_ID_GPU;
}

void vlb_fence_answer(struct vlb_bounce *bounce, const struct vring *vring, u16 head);

#endif /* VLB_FENCE_H */
