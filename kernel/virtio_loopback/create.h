/* SPDX-License-Identifier: GPL-2.0-only */
/* create - which devices may be asked for: types, names, limits, and what is said of queues */
#ifndef VLB_CREATE_H
#define VLB_CREATE_H

#include <linux/types.h>

struct virtio_loopback_create;

bool vlb_name_is_valid(const char *name);
int vlb_create_check(const struct virtio_loopback_create *args);
int vlb_create_fetch_queues(const struct virtio_loopback_create *args, u16 *sizes, u16 *flags);

#endif /* VLB_CREATE_H */
