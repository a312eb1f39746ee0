/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A way to have a virtio device in this kernel. The rest of the adapter speaks to it by device.h,
 * in the terms of our own module's UAPI: what another one has is put into these.
 *
 * transport-loopback.c	our own module
 * transport-vduse.c	VDUSE, with no module of ours
 */
#ifndef ADAPTER_TRANSPORT_H
#define ADAPTER_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/virtio_loopback.h>

#include "adapter/pool.h"
#include "adapter/window.h"
#include "common/failure.h"

struct adapter_options;
struct device;

/**
 * struct transport_place - where a device is to be
 * @node:	of our own module
 * @fd:		the node, freshly opened already, which is the transport's from then on; or
 *		negative
 * @name:	of the device; NULL: not known yet
 * @state_dir:	where its state is shown
 * @lock:	of the name, -1: it is not locked
 */
struct transport_place {
	const char *node;
	int fd;
	const char *name;
	const char *state_dir;
	int lock;
};

/**
 * struct transport - what one does; see the function of the same name in device.h for each
 * @name:	as the user says it
 * @succession:	a device outlives its adapter, another one can go on with it, and its driver can be
 *		made to start over
 * @release_first: the back-end is let go before a device fails: who fails its requests writes into
 *		the same rings
 * @epoll:	the device's descriptor is one of epoll's
 * @check:	can it serve what was asked for? Before anything is opened
 * @features:	of the feature bits of a type those that it can carry
 * @make_pool:	the memory of the driver's buffers, @size bytes of it
 * @memory:	all that the back-end is to see; the driver has set up its virtqueues
 *
 * @check, @features and those from @get_outstanding on may be NULL: there is nothing to check, all
 * bits pass, the transport has nothing of the kind.
 */
struct transport {
	const char *name;
	bool succession;
	bool release_first;
	bool epoll;

	int (*check)(const struct adapter_options *options, struct failure *failure);
	int (*open)(struct device *device, const struct transport_place *place,
		    struct failure *failure);
	void (*close)(struct device *device);
	int (*create)(struct device *device, struct virtio_loopback_create *create,
		      struct failure *failure);
	uint64_t (*features)(uint32_t device_id, uint64_t features);
	int (*make_pool)(struct device *device, struct pool *pool, const char *name, uint64_t size,
			 struct failure *failure);
	int (*memory)(struct device *device, struct pool *pool, const struct window *window,
		      struct memory_map *map);
	int (*start)(struct device *device);
	int (*stop)(struct device *device);
	int (*fail)(struct device *device);
	int (*destroy)(struct device *device);
	int (*set_queue_fds)(struct device *device, unsigned int index, int kick_fd, int call_fd);
	int (*set_config)(struct device *device, unsigned int offset, const void *data,
			  unsigned int length, uint32_t flags);
	int (*get_queue)(struct device *device, unsigned int index,
			 struct virtio_loopback_queue *queue);
	int (*get_state)(struct device *device, struct virtio_loopback_state *state);
	int (*read)(struct device *device, struct virtio_loopback_msg *msg);
	int (*reply)(struct device *device, const struct virtio_loopback_msg *msg, int error);

	int (*get_outstanding)(struct device *device, unsigned int index, uint16_t *heads,
			       unsigned int room, unsigned int *count);
	int (*check_pool)(struct device *device);
	int (*set_backend)(struct device *device, pid_t pid);
	int (*open_window)(struct device *device, struct virtio_loopback_window *args);
	int (*takeover)(struct device *device, const char *name);
	int (*store)(struct device *device, unsigned int slot, int fd);
	int (*fetch)(struct device *device, unsigned int slot);
};

extern const struct transport transport_loopback;
extern const struct transport transport_vduse;

/* transport_find() - by its name; NULL: there is none */
const struct transport *transport_find(const char *name);

#endif
