/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transport of our own module: all that is said to /dev/virtio-loopback. One open file is one
 * device.
 *
 * The calls go through a table, so that the rest of the adapter can be driven without the module.
 */
#ifndef ADAPTER_TRANSPORT_LOOPBACK_H
#define ADAPTER_TRANSPORT_LOOPBACK_H

#include "adapter/device.h"

/*
 * struct device_ops - see the UAPI header for each
 *
 * @call:	an ioctl with its structure; 0 or a negative errno
 * @read:	the next message; 0, -EAGAIN when there is none
 * @write:	an answer
 */
struct device_ops {
	int (*call)(struct device *device, unsigned long request, void *arg);
	int (*read)(struct device *device, struct virtio_loopback_msg *msg);
	int (*write)(struct device *device, const struct virtio_loopback_reply *reply);
};

/* loopback_init() - a device on an open file, with other operations */
int loopback_init(struct device *device, int fd, const struct device_ops *ops,
		  struct failure *failure);

#endif
