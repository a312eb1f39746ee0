/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's side: one device, by whatever transport it is there. */
#ifndef ADAPTER_DEVICE_H
#define ADAPTER_DEVICE_H

#include <stdint.h>
#include <sys/types.h>

#include <linux/virtio_loopback.h>

#include "adapter/transport.h"
#include "common/failure.h"

#define DEVICE_NODE "/dev/virtio-loopback"

struct device_ops;

struct device {
	const struct transport *transport;
	const struct device_ops *ops; /* of transport-loopback.c */
	void *own; /* another transport's */
	int fd; /* to poll; -1: not open */
	struct virtio_loopback_info info;
};

/**
 * device_open() - get to the transport, and see what it can do
 * @device:	filled in
 * @transport:	which one
 * @place:	where the device is to be
 * @failure:	the reason in words
 */
int device_open(struct device *device, const struct transport *transport,
		const struct transport_place *place, struct failure *failure);

/* device_close() - lets go of the device; what happens to it is said in the UAPI */
void device_close(struct device *device);

/* The calls of the UAPI. Those that can fail by what the user asked for word the failure. */
int device_create(struct device *device, struct virtio_loopback_create *create,
		  struct failure *failure);

/* device_features() - of the bits of a device type those that the transport can carry */
uint64_t device_features(const struct device *device, uint32_t device_id, uint64_t features);

/* device_make_pool() - the memory that the driver's buffers travel in */
int device_make_pool(struct device *device, struct pool *pool, const char *name, uint64_t size,
		     struct failure *failure);

/* device_memory() - all that the back-end is to see; the driver has set its virtqueues up */
int device_memory(struct device *device, struct pool *pool, const struct window *window,
		  struct memory_map *map);

int device_start(struct device *device);
int device_stop(struct device *device);
int device_set_queue_fds(struct device *device, unsigned int index, int kick_fd, int call_fd);
int device_set_config(struct device *device, unsigned int offset, const void *data,
		      unsigned int length, uint32_t flags);
int device_get_queue(struct device *device, unsigned int index,
		     struct virtio_loopback_queue *queue);
int device_get_state(struct device *device, struct virtio_loopback_state *state);
int device_get_outstanding(struct device *device, unsigned int index, uint16_t *heads,
			   unsigned int room, unsigned int *count);
int device_check_pool(struct device *device);
int device_set_backend(struct device *device, pid_t pid);
int device_open_window(struct device *device, struct virtio_loopback_window *args);
int device_takeover(struct device *device, const char *name);
int device_store(struct device *device, unsigned int slot, int fd);

/* device_fetch() - a new descriptor of what is kept; -ENOENT: the slot is empty */
int device_fetch(struct device *device, unsigned int slot);

int device_fail(struct device *device);
int device_destroy(struct device *device);

int device_read(struct device *device, struct virtio_loopback_msg *msg);
int device_reply(struct device *device, const struct virtio_loopback_msg *msg, int error);

/* device_message_name() - for messages */
const char *device_message_name(uint32_t type);

#endif
