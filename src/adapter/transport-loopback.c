// SPDX-License-Identifier: BSD-3-Clause
/* The transport of our own module: each call is one of its UAPI. */
#include "adapter/transport-loopback.h"

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

static int loopback_open(struct device *device, const struct transport_place *place,
			 struct failure *failure)
{
	_cleanup_close_ int fd = place->fd;
	int ret;

	if (fd < 0)
		fd = open(place->node, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return open_failed(place->node, errno, failure);
	ret = loopback_init(device, fd, &kernel_ops, failure);
	if (!ret)
		fd_steal(&fd);
	return ret;
}

int loopback_init(struct device *device, int fd, const struct device_ops *ops,
		  struct failure *failure)
{
	int ret;

	*device = (struct device){ .transport = &transport_loopback, .ops = ops, .fd = fd };
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

static void loopback_close(struct device *device)
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

static int loopback_create(struct device *device, struct virtio_loopback_create *create,
			   struct failure *failure)
{
	int ret;

	create->size = sizeof(*create);
	ret = device->ops->call(device, VIRTIO_LOOPBACK_CREATE, create);
	return ret ? create_failed(device, create, ret, failure) : 0;
}

static int loopback_start(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_START, NULL);
}

static int loopback_stop(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_STOP, NULL);
}

static int loopback_set_queue_fds(struct device *device, unsigned int index, int kick_fd,
				  int call_fd)
{
	struct virtio_loopback_queue_fds fds = {
		.size = sizeof(fds),
		.index = index,
		.kick_fd = kick_fd,
		.call_fd = call_fd,
	};

	return device->ops->call(device, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds);
}

static int loopback_set_config(struct device *device, unsigned int offset, const void *data,
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

static int loopback_get_queue(struct device *device, unsigned int index,
			      struct virtio_loopback_queue *queue)
{
	*queue = (struct virtio_loopback_queue){ .size = sizeof(*queue), .index = index };
	return device->ops->call(device, VIRTIO_LOOPBACK_GET_QUEUE, queue);
}

static int loopback_get_state(struct device *device, struct virtio_loopback_state *state)
{
	*state = (struct virtio_loopback_state){ .size = sizeof(*state) };
	return device->ops->call(device, VIRTIO_LOOPBACK_GET_STATE, state);
}

static int loopback_get_outstanding(struct device *device, unsigned int index, uint16_t *heads,
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

static int loopback_check_pool(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_CHECK_POOL, NULL);
}

static int loopback_set_backend(struct device *device, pid_t pid)
{
	struct virtio_loopback_backend args = { .size = sizeof(args), .pid = pid };

	return device->ops->call(device, VIRTIO_LOOPBACK_SET_BACKEND, &args);
}

static int loopback_open_window(struct device *device, struct virtio_loopback_window *args)
{
	args->size = sizeof(*args);
	return device->ops->call(device, VIRTIO_LOOPBACK_WINDOW_FD, args);
}

static int loopback_takeover(struct device *device, const char *name)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args) };

	if (strlen(name) >= sizeof(args.name))
		return -ENAMETOOLONG;
	strcpy(args.name, name);
	return device->ops->call(device, VIRTIO_LOOPBACK_TAKEOVER, &args);
}

static int loopback_store(struct device *device, unsigned int slot, int fd)
{
	struct virtio_loopback_store args = { .size = sizeof(args), .slot = slot, .fd = fd };

	return device->ops->call(device, VIRTIO_LOOPBACK_STORE_FD, &args);
}

static int loopback_fetch(struct device *device, unsigned int slot)
{
	struct virtio_loopback_store args = { .size = sizeof(args), .slot = slot };
	int ret = device->ops->call(device, VIRTIO_LOOPBACK_FETCH_FD, &args);

	return ret ? ret : args.fd;
}

static int loopback_fail(struct device *device)
{
	struct virtio_loopback_fail fail = { .size = sizeof(fail) };

	return device->ops->call(device, VIRTIO_LOOPBACK_FAIL, &fail);
}

static int loopback_destroy(struct device *device)
{
	return device->ops->call(device, VIRTIO_LOOPBACK_DESTROY, NULL);
}

/* ---- memory ---- */

static int loopback_make_pool(struct device *device, struct pool *pool, const char *name,
			      uint64_t size, struct failure *failure)
{
	return pool_init(pool, name, size, device->info.page_size, failure);
}

static int loopback_memory(struct device *device, struct pool *pool, const struct window *window,
			   struct memory_map *map)
{
	(void)device;
	memory_map_add(map, pool->fd, 0, pool->base, pool->size);
	if (window->fd >= 0)
		memory_map_add(map, window->fd, 0, window->base, window->size);
	return 0;
}

/* ---- messages ---- */

static int loopback_read(struct device *device, struct virtio_loopback_msg *msg)
{
	return device->ops->read(device, msg);
}

static int loopback_reply(struct device *device, const struct virtio_loopback_msg *msg, int error)
{
	const struct virtio_loopback_reply reply = { .seq = msg->seq, .error = error };

	return device->ops->write(device, &reply);
}

const struct transport transport_loopback = {
	.name = "loopback",
	.succession = true,
	.open = loopback_open,
	.close = loopback_close,
	.create = loopback_create,
	.make_pool = loopback_make_pool,
	.memory = loopback_memory,
	.start = loopback_start,
	.stop = loopback_stop,
	.fail = loopback_fail,
	.destroy = loopback_destroy,
	.set_queue_fds = loopback_set_queue_fds,
	.set_config = loopback_set_config,
	.get_queue = loopback_get_queue,
	.get_state = loopback_get_state,
	.read = loopback_read,
	.reply = loopback_reply,
	.get_outstanding = loopback_get_outstanding,
	.check_pool = loopback_check_pool,
	.set_backend = loopback_set_backend,
	.open_window = loopback_open_window,
	.takeover = loopback_takeover,
	.store = loopback_store,
	.fetch = loopback_fetch,
};
