/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sysfs - what people and tools can read below
 * /sys/devices/platform/virtio-loopback.N; documented in docs/uapi.md
 */
#ifndef VLB_SYSFS_H
#define VLB_SYSFS_H

#include <linux/device.h>
#include <linux/sysfs.h>

extern const struct attribute_group *vlb_sysfs_groups[];
extern const struct device_type vlb_sysfs_type;

#endif /* VLB_SYSFS_H */
