// SPDX-License-Identifier: BSD-3-Clause
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "raw-device.h"

#define NODE	"/dev/virtio-loopback"

static const uint16_t queue_size = RAW_QUEUE_SIZE;

int raw_open(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", NODE);
	return fd;
}

int raw_memfd(size_t size, unsigned int seals)
{
	int fd = memfd_create("pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, seals))
		err(2, "memfd");
	return fd;
}

struct virtio_loopback_create raw_args(int memfd, const char *name)
{
	struct virtio_loopback_create args = {
		.size = sizeof(args),
		.device_id = 4,
		.features = 1ULL << VIRTIO_F_VERSION_1,
		.num_queues = 1,
		.queue_sizes = (uintptr_t)&queue_size,
		.pool_base = RAW_POOL_BASE,
		.pool_fd = memfd,
		.message_timeout_ms = 5000,
	};

	snprintf(args.name, sizeof(args.name), "%s", name);
	return args;
}

void raw_create(struct raw_device *dev, const char *name, uint32_t timeout_ms, uint32_t orphan_ms)
{
	raw_create_as(dev, 4, name, timeout_ms, orphan_ms);
}

void raw_create_as(struct raw_device *dev, uint32_t device_id, const char *name,
		   uint32_t timeout_ms, uint32_t orphan_ms)
{
	struct virtio_loopback_create args = raw_args(-1, name);

	args.device_id = device_id;
	args.message_timeout_ms = timeout_ms;
	args.orphan_timeout_ms = orphan_ms;
	raw_create_with(dev, &args);
}

void raw_create_with(struct raw_device *dev, struct virtio_loopback_create *args)
{
	raw_begin(dev);
	raw_create_on(dev, args);
}

void raw_begin(struct raw_device *dev)
{
	memset(dev, 0, sizeof(*dev));
	dev->size = 1 << 20;
	dev->fd = raw_open();
	dev->memfd = raw_memfd(dev->size, F_SEAL_SHRINK | F_SEAL_GROW);
	dev->pool = mmap(NULL, dev->size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->memfd, 0);
	dev->answer = dev->serve = true;
	dev->fill = 0xa5;
}

void raw_create_on(struct raw_device *dev, struct virtio_loopback_create *args)
{
	args->pool_fd = dev->memfd;
	if (dev->pool == MAP_FAILED || ioctl(dev->fd, VIRTIO_LOOPBACK_CREATE, args))
		err(2, "create %s", args->name);
	raw_queue_fds(dev);
}

void raw_queue_fds(struct raw_device *dev)
{
	struct virtio_loopback_queue_fds fds = { .size = sizeof(fds) };

	dev->kick = fds.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dev->call = fds.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds))
		err(2, "SET_QUEUE_FDS");
}

void raw_take_ring(struct raw_device *dev)
{
	raw_take_ring_of(dev, 0);
}

void raw_take_ring_of(struct raw_device *dev, uint32_t index)
{
	struct virtio_loopback_queue queue = { .size = sizeof(queue), .index = index };

	if (ioctl(dev->fd, VIRTIO_LOOPBACK_GET_QUEUE, &queue) ||
	    !(queue.flags & VIRTIO_LOOPBACK_QUEUE_ENABLED))
		return;
	dev->flags = queue.flags;
	dev->vring.num = queue.num;
	dev->vring.desc = (void *)(dev->pool + queue.desc_addr - RAW_POOL_BASE);
	dev->vring.avail = (void *)(dev->pool + queue.driver_addr - RAW_POOL_BASE);
	dev->vring.used = (void *)(dev->pool + queue.device_addr - RAW_POOL_BASE);
	dev->seen = dev->used = dev->vring.used->idx;
}

static void fill_buffer(struct raw_device *dev, const struct vring_desc *desc)
{
	uint8_t *buffer = dev->pool + desc->addr - RAW_POOL_BASE;

	for (uint32_t i = 0; i < desc->len; i++)
		dev->dirty += buffer[i] != 0;
	memset(buffer, dev->fill, desc->len);
}

static void serve_ring(struct raw_device *dev)
{
	uint64_t one = 1;

	while (dev->vring.num && dev->serve && dev->seen !=
	       __atomic_load_n(&dev->vring.avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = dev->vring.avail->ring[dev->seen++ % dev->vring.num];
		vring_used_elem_t *elem = &dev->vring.used->ring[dev->used % dev->vring.num];

		fill_buffer(dev, &dev->vring.desc[head]);
		elem->id = head;
		elem->len = dev->vring.desc[head].len;
		__atomic_store_n(&dev->vring.used->idx, ++dev->used, __ATOMIC_RELEASE);
		dev->served++;
		if (write(dev->call, &one, sizeof(one)) < 0)
			warn("call");
	}
}

static void handle_message(struct raw_device *dev)
{
	struct virtio_loopback_msg msg;
	struct virtio_loopback_reply reply;
	uint64_t one = 1;

	if (!dev->answer || read(dev->fd, &msg, sizeof(msg)) != sizeof(msg))
		return;
	if (msg.type == VIRTIO_LOOPBACK_MSG_STATUS && (msg.status.status & 4) && !dev->late)
		raw_take_ring(dev);
	if (msg.type == VIRTIO_LOOPBACK_MSG_RESET)
		dev->vring.num = 0;
	if (msg.type == VIRTIO_LOOPBACK_MSG_REGISTERED)
		dev->registered = msg;
	if (msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY) {
		reply = (struct virtio_loopback_reply){ .seq = msg.seq };
		if (write(dev->fd, &reply, sizeof(reply)) < 0 && errno != ENOENT)
			warn("reply to message %u", msg.type);
		/* What was kicked before the ring was known. */
		if (write(dev->kick, &one, sizeof(one)) < 0)
			warn("kick");
	}
	if (msg.type < 128)
		dev->messages[msg.type]++;
}

static void *raw_loop(void *arg)
{
	struct raw_device *dev = arg;
	uint64_t count;

	while (!dev->stop) {
		struct pollfd fds[] = { { dev->answer ? dev->fd : -1, POLLIN, 0 },
					{ dev->kick, POLLIN, 0 } };

		poll(fds, 2, 20);
		if (fds[0].revents & POLLIN)
			handle_message(dev);
		if (read(dev->kick, &count, sizeof(count)) > 0 || dev->serve)
			serve_ring(dev);
	}
	return NULL;
}

void raw_run(struct raw_device *dev)
{
	dev->stop = false;
	if (pthread_create(&dev->thread, NULL, raw_loop, dev))
		errx(2, "pthread_create");
	dev->running = true;
}

void raw_start(struct raw_device *dev, const char *driver, int ms)
{
	raw_run(dev);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_START))
		err(1, "START");
	if (!raw_wait_message(dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, ms) ||
	    !dev->registered.registered.bound)
		errx(1, "no driver has bound: is %s loaded?", driver);
}

void raw_halt(struct raw_device *dev)
{
	if (!dev->running)
		return;
	dev->stop = true;
	pthread_join(dev->thread, NULL);
	dev->running = false;
}

void raw_close(struct raw_device *dev)
{
	raw_halt(dev);
	munmap(dev->pool, dev->size);
	close(dev->memfd);
	close(dev->kick);
	close(dev->call);
	close(dev->fd);
}

bool raw_wait_message(struct raw_device *dev, unsigned int type, unsigned int count, int ms)
{
	for (; dev->messages[type] < count && ms > 0; ms -= 5)
		usleep(5000);
	return dev->messages[type] >= count;
}

bool raw_sysfs(const char *name, const char *attribute, char *value, size_t size)
{
	const char *dir = "/sys/devices/platform";
	char path[512], seen[64] = "";
	bool found = false;
	struct dirent *entry;
	FILE *file;
	DIR *d = opendir(dir);

	while (d && !found && (entry = readdir(d))) {
		if (strncmp(entry->d_name, "virtio-loopback.", 16))
			continue;
		snprintf(path, sizeof(path), "%s/%s/name", dir, entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		found = fgets(seen, sizeof(seen), file) && !strcmp(strtok(seen, "\n"), name);
		fclose(file);
		if (!found)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", dir, entry->d_name, attribute);
		file = fopen(path, "re");
		if (!file || !fgets(value, size, file))
			value[0] = 0;
		value[strcspn(value, "\n")] = 0;
		if (file)
			fclose(file);
	}
	if (d)
		closedir(d);
	return found;
}

bool raw_wait_gone(const char *name, int ms)
{
	char value[64];

	for (; ms > 0; ms -= 10) {
		if (!raw_sysfs(name, "state", value, sizeof(value)))
			return true;
		usleep(10000);
	}
	return false;
}
