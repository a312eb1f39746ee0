// SPDX-License-Identifier: GPL-2.0-only
#include <linux/virtio_ring.h>
#include <asm/byteorder.h>

#include "walk.h"

/**
 * vlb_walk_end() - no chain of a ring goes on
 * @vring: the virtio core's; any CPU may be on its way through it
 * @copy:  memory of the kernel's for as many descriptors, which belongs to the ring from now on
 *
 * The core is given descriptors without NEXT, out of the device side's sight. To take NEXT away in
 * the ring itself would be a race with whoever sets it, and pages that the back-end keeps pinned
 * are not even lost to it when the pool is taken away.
 *
 * Any context.
 */
void vlb_walk_end(struct vring *vring, struct vring_desc *copy)
{
	/* Devices of this transport are of virtio 1: little-endian. */
	const __virtio16 next = (__force __virtio16)cpu_to_le16(VRING_DESC_F_NEXT);
	const struct vring_desc *desc = READ_ONCE(vring->desc);
	unsigned int i;

	if (desc == copy)
		return;
	for (i = 0; i < vring->num; i++) {
		copy[i] = desc[i];
		copy[i].flags &= ~next;
	}
	/* The copy before the way to it. */
	smp_store_release(&vring->desc, copy);
}
