/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * drain - the end of all I/O of a device, whatever its back-end does
 *
 * A driver waits for the buffers that it made available, some for ever (virtio_blk's
 * removal, virtio_can's control queue), and breaking the device does not wake them. So
 * each outstanding buffer is completed in the used ring, by the kernel, as failed.
 */
#ifndef VLB_DRAIN_H
#define VLB_DRAIN_H

struct vlb_device;

void vlb_drain(struct vlb_device *dev);
void vlb_drain_break(struct vlb_device *dev);

#endif /* VLB_DRAIN_H */
