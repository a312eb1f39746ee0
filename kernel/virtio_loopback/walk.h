/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * walk - the virtio core's way through the descriptors of a buffer that it takes back
 *
 * In a split ring the core finds the end of a buffer's chain by the flags in the shared ring.
 * Where the device side has set NEXT in all of them it goes round for ever, with interrupts off.
 */
#ifndef VLB_WALK_H
#define VLB_WALK_H

struct vring;
struct vring_desc;

void vlb_walk_end(struct vring *vring, struct vring_desc *copy);

#endif /* VLB_WALK_H */
