// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"

/* ---- the module ---- */

static int kernel_call(struct device *device, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(device->fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static int kernel_read(struct device *device, struct virtio_loopback_msg *msg)
{
	ssize_t n;

	do {
		n = read(device->fd, msg, sizeof(*msg));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == sizeof(*msg) ? 0 : -EIO;
}

static int kernel_write(struct device *device, const struct virtio_loopback_reply *reply)
{
	ssize_t n;

	do {
		n = write(device->fd, reply, sizeof(*reply));
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static const struct device_ops kernel_ops = {
	.call = kernel_call,
	.read = kernel_read,
	.write = kernel_write,
};

static int open_failed(const char *node, int error, struct failure *failure)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return failure_set(
			failure, -error,
			"%s is not there: the kernel module virtio_loopback is not loaded "
			"(modprobe virtio_loopback)",
			node);
	case EACCES:
	case EPERM:
		return failure_set(failure, -error,
				   "%s: permission denied: run as root, or let the administrator "
				   "grant the node to this user",
				   node);
	default:
		return failure_set(failure, -error, "%s: %s", node, strerror(error));
	}
}

int device_open(struct device *device, const char *node, struct failure *failure)
{
	_cleanup_close_ int fd = -1;
	int ret;

	fd = open(node, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return open_failed(node, errno, failure);
	ret = device_init(device, fd, &kernel_ops, failure);
	if (!ret)
		fd_steal(&fd);
	return ret;
}

int device_init(struct device *device, int fd, const struct device_ops *ops,
		struct failure *failure)
{
	int ret;

	*device = (struct device){ .ops = ops, .fd = fd };
	device->info.size = sizeof(device->info);
	ret = ops->call(device, VIRTIO_LOOPBACK_GET_INFO, &device->info);
	if (ret == -ENOTTY || (!ret && device->info.abi != VIRTIO_LOOPBACK_ABI))
		ret = failure_set(failure, -EPROTONOSUPPORT,
				  "the kernel module virtio_loopback speaks another interface than "
				  "this adapter (%u): install both from one version",
				  VIRTIO_LOOPBACK_ABI);
	else if (ret)
		failure_set(failure, ret, "the kernel module does not say what it can: %s",
			    strerror(-ret));
	if (ret)
		device->fd = -1;
	return ret;
}

void device_close(struct device *device)
{
	fd_close(&device->fd);
}

/* ---- the calls ---- */

static int create_failed(const struct device *device, const struct virtio_loopback_create *create,
			 int error, struct failure *failure)
{
	uint64_t features = create->features;

	switch (-error) {
	case EEXIST:
		return failure_set(failure, error, "the name %s is taken by another device",
				   create->name);
	case EPERM:
		return failure_set(
			failure, error,
			"the module permits no device of type %u here: its parameter "
			"allowed_types leaves it out (see modprobe.d)",
			create->device_id);
	case EFBIG:
		return failure_set(failure, error,
				   "the pool is larger than the memory that may be locked: take a "
				   "smaller --pool, or raise RLIMIT_MEMLOCK (ulimit -l)");
	case ENOSPC:
		return failure_set(
			failure, error,
			"the pool is too small for the rings: take a larger --pool, fewer "
			"--queues or a smaller --queue-size");
	case ENOMEM:
		return failure_set(failure, error,
				   "the kernel has not the memory for a pool of this size: take a "
				   "smaller --pool");
	case EOPNOTSUPP:
		return failure_set(
			failure, error,
			"this kernel cannot map memory for device type %u: it needs "
			"ARCH_HAS_DMA_OPS (selected by CONFIG_XEN, on x86 by CONFIG_GART_IOMMU "
			"too)%s (capabilities %#" PRIx64 ")",
			create->device_id,
			create->device_id == VIRTIO_ID_GPU ? "" : ", or Linux 6.18 and later",
			(uint64_t)device->info.capabilities);
	default:
		return failure_set(failure, error,
				   "the kernel refuses the device (type %u, %u queues, features "
				   "%#" PRIx64 "): %s",
				   create->device_id, create->num_queues, features,
				   strerror(-error));
	}
}

int device_create(struct device *device, struct virtio_loopback_create *create,
		  struct failure *failure)
{
	int ret;

	create->size = sizeof(*create);
	ret = device->ops->call(device, VIRTIO_LOOPBACK_CREATE, create);
	return ret ? create_failed(device, create, ret, failure) : 0;
}

int device_start(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_START, NULL);
}

int device_stop(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_STOP, NULL);
}

int device_set_queue_fds(struct device *device, unsigned int index, int kick_fd, int call_fd)
{
	struct virtio_loopback_queue_fds fds = {
		.size = sizeof(fds),
		.index = index,
		.kick_fd = kick_fd,
		.call_fd = call_fd,
	};

	return device->ops->call(device, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds);
}

int device_set_config(struct device *device, unsigned int offset, const void *data,
		      unsigned int length, uint32_t flags)
{
	struct virtio_loopback_config config = {
		.size = sizeof(config),
		.offset = offset,
		.length = length,
		.flags = flags,
		.data = (uintptr_t)data,
	};

	return device->ops->call(device, VIRTIO_LOOPBACK_SET_CONFIG, &config);
}

int device_get_queue(struct device *device, unsigned int index, struct virtio_loopback_queue *queue)
{
	*queue = (struct virtio_loopback_queue){ .size = sizeof(*queue), .index = index };
	return device->ops->call(device, VIRTIO_LOOPBACK_GET_QUEUE, queue);
}

int device_get_state(struct device *device, struct virtio_loopback_state *state)
{
	*state = (struct virtio_loopback_state){ .size = sizeof(*state) };
	return device->ops->call(device, VIRTIO_LOOPBACK_GET_STATE, state);
}

int device_get_outstanding(struct device *device, unsigned int index, uint16_t *heads,
			   unsigned int room, unsigned int *count)
{
	struct virtio_loopback_outstanding outstanding = {
		.size = sizeof(outstanding),
		.index = index,
		.count = room,
		.heads = (uintptr_t)heads,
	};
	int ret;

	ret = device->ops->call(device, VIRTIO_LOOPBACK_GET_OUTSTANDING, &outstanding);
	if (!ret)
		*count = outstanding.count;
	return ret;
}

int device_check_pool(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_CHECK_POOL, NULL);
}

int device_set_backend(struct device *device, pid_t pid)
{
	struct virtio_loopback_backend args = { .size = sizeof(args), .pid = pid };

	return device->ops->call(device, VIRTIO_LOOPBACK_SET_BACKEND, &args);
}

int device_open_window(struct device *device, struct virtio_loopback_window *args)
{
	args->size = sizeof(*args);
	return device->ops->call(device, VIRTIO_LOOPBACK_WINDOW_FD, args);
}

int device_takeover(struct device *device, const char *name)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args) };

	if (strlen(name) >= sizeof(args.name))
		return -ENAMETOOLONG;
	strcpy(args.name, name);
	return device->ops->call(device, VIRTIO_LOOPBACK_TAKEOVER, &args);
}

int device_store(struct device *device, unsigned int slot, int fd)
{
	struct virtio_loopback_store args = { .size = sizeof(args), .slot = slot, .fd = fd };

	return device->ops->call(device, VIRTIO_LOOPBACK_STORE_FD, &args);
}

int device_fetch(struct device *device, unsigned int slot)
{
	struct virtio_loopback_store args = { .size = sizeof(args), .slot = slot };
	int ret = device->ops->call(device, VIRTIO_LOOPBACK_FETCH_FD, &args);

	return ret ? ret : args.fd;
}

int device_fail(struct device *device)
{
	struct virtio_loopback_fail fail = { .size = sizeof(fail) };

	return device->ops->call(device, VIRTIO_LOOPBACK_FAIL, &fail);
}

int device_destroy(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_DESTROY, NULL);
}

/* ---- messages ---- */

int device_read(struct device *device, struct virtio_loopback_msg *msg)
{
	return device->ops->read(device, msg);
}

int device_reply(struct device *device, const struct virtio_loopback_msg *msg, int error)
{
	const struct virtio_loopback_reply reply = { .seq = msg->seq, .error = error };

	return device->ops->write(device, &reply);
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
