// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/device.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"

const struct transport *transport_find(const char *name)
{
	static const struct transport *const transports[] = { &transport_loopback,
							      &transport_vduse };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(transports); i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	}
	return NULL;
}

int device_open(struct device *device, const struct transport *transport,
		const struct transport_place *place, struct failure *failure)
{
	return transport->open(device, place, failure);
}

void device_close(struct device *device)
{
	if (device->fd >= 0)
		device->transport->close(device);
}

/* ---- the calls ---- */

int device_create(struct device *device, struct virtio_loopback_create *create,
		  struct failure *failure)
{
	return device->transport->create(device, create, failure);
}

uint64_t device_features(const struct device *device, uint32_t device_id, uint64_t features)
{
	if (!device->transport->features)
		return features;
	return device->transport->features(device_id, features);
}

int device_make_pool(struct device *device, struct pool *pool, const char *name, uint64_t size,
		     struct failure *failure)
{
	return device->transport->make_pool(device, pool, name, size, failure);
}

int device_memory(struct device *device, struct pool *pool, const struct window *window,
		  struct memory_map *map)
{
	*map = (struct memory_map){ 0 };
	return device->transport->memory(device, pool, window, map);
}

int device_start(struct device *device)
{
	return device->transport->start(device);
}

int device_stop(struct device *device)
{
	return device->transport->stop(device);
}

int device_fail(struct device *device)
{
	return device->transport->fail(device);
}

int device_destroy(struct device *device)
{
	return device->transport->destroy(device);
}

int device_set_queue_fds(struct device *device, unsigned int index, int kick_fd, int call_fd)
{
	return device->transport->set_queue_fds(device, index, kick_fd, call_fd);
}

int device_set_config(struct device *device, unsigned int offset, const void *data,
		      unsigned int length, uint32_t flags)
{
	return device->transport->set_config(device, offset, data, length, flags);
}

int device_get_queue(struct device *device, unsigned int index, struct virtio_loopback_queue *queue)
{
	return device->transport->get_queue(device, index, queue);
}

int device_get_state(struct device *device, struct virtio_loopback_state *state)
{
	return device->transport->get_state(device, state);
}

/* ---- those that a transport may lack ---- */

int device_get_outstanding(struct device *device, unsigned int index, uint16_t *heads,
			   unsigned int room, unsigned int *count)
{
	if (!device->transport->get_outstanding)
		return -EOPNOTSUPP;
	return device->transport->get_outstanding(device, index, heads, room, count);
}

int device_check_pool(struct device *device)
{
	/* without a pool of its own there is none to punch holes into */
	return device->transport->check_pool ? device->transport->check_pool(device) : 0;
}

int device_set_backend(struct device *device, pid_t pid)
{
	if (!device->transport->set_backend)
		return -EOPNOTSUPP;
	return device->transport->set_backend(device, pid);
}

int device_open_window(struct device *device, struct virtio_loopback_window *args)
{
	if (!device->transport->open_window)
		return -EOPNOTSUPP;
	return device->transport->open_window(device, args);
}

int device_takeover(struct device *device, const char *name)
{
	return device->transport->takeover ? device->transport->takeover(device, name) :
					     -EOPNOTSUPP;
}

int device_store(struct device *device, unsigned int slot, int fd)
{
	return device->transport->store ? device->transport->store(device, slot, fd) : -EOPNOTSUPP;
}

int device_fetch(struct device *device, unsigned int slot)
{
	return device->transport->fetch ? device->transport->fetch(device, slot) : -EOPNOTSUPP;
}

/* ---- messages ---- */

int device_read(struct device *device, struct virtio_loopback_msg *msg)
{
	return device->transport->read(device, msg);
}

int device_reply(struct device *device, const struct virtio_loopback_msg *msg, int error)
{
	return device->transport->reply(device, msg, error);
}

const char *device_message_name(uint32_t type)
{
	switch (type) {
	case VIRTIO_LOOPBACK_MSG_STATUS:
		return "status";
	case VIRTIO_LOOPBACK_MSG_RESET:
		return "reset";
	case VIRTIO_LOOPBACK_MSG_SET_CONFIG:
		return "config write";
	case VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE:
		return "queue set-up";
	case VIRTIO_LOOPBACK_MSG_QUEUE_RESET:
		return "queue reset";
	case VIRTIO_LOOPBACK_MSG_REGISTERED:
		return "registered";
	case VIRTIO_LOOPBACK_MSG_UNREGISTERED:
		return "unregistered";
	case VIRTIO_LOOPBACK_MSG_BROKEN:
		return "queue broken";
	case VIRTIO_LOOPBACK_MSG_RESUMED:
		return "resumed";
	default:
		return "unknown";
	}
}
