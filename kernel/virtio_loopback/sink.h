/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sink - a device that has ended and still takes buffers, only to give them back as failed
 *
 * Most drivers cope with a queue that is broken. virtio_gpu takes it for impossible that a
 * buffer cannot be added: it warns, and loses the request with all that hangs on it. So its
 * queues stay in order until the driver is unbound, and the kernel is their device.
 */
#ifndef VLB_SINK_H
#define VLB_SINK_H

#include <linux/types.h>

struct vlb_device;
struct work_struct;

bool vlb_sink_wanted(const struct vlb_device *dev);
bool vlb_sink_begin(struct vlb_device *dev);
void vlb_sink_end(struct vlb_device *dev);
void vlb_sink_work(struct work_struct *work);

#endif /* VLB_SINK_H */
