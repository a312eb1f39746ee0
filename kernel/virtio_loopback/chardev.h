/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * chardev - /dev/virtio-loopback: the calls of the adapter, checked and handed on
 */
#ifndef VLB_CHARDEV_H
#define VLB_CHARDEV_H

#include <linux/types.h>

struct file;

int vlb_chardev_init(void);
void vlb_chardev_exit(void);
bool vlb_chardev_is(const struct file *file);

#endif /* VLB_CHARDEV_H */
