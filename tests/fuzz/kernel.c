// SPDX-License-Identifier: BSD-3-Clause
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "adapter/device.h"
#include "adapter/personality.h"
#include "common/cleanup.h"
#include "common/util.h"

#define MESSAGES 16
#define SLOTS 64
#define PAGE 4096
/* From the start of a virtqueue's page; it suits both layouts. */
#define DRIVER_AT 256
#define DEVICE_AT 512

struct queue_state {
	bool enabled;
	uint16_t published; /* requests so far */
	uint16_t taken; /* ... and those of them that were taken back */
};

static struct {
	uint64_t features;
	void (*idle)(void);

	int news; /* readable while there is something to read */
	struct virtio_loopback_msg messages[MESSAGES + 1]; /* one more is asked again */
	unsigned int num_messages;
	uint64_t seq;
	struct virtio_loopback_msg asked; /* the question that was read; seq 0: none */

	bool created, doomed, registered, stopped, probing;
	struct virtio_loopback_create device;
	uint32_t status;
	uint8_t *pool;
	size_t pool_size;
	struct queue_state queues[KERNEL_QUEUES];
	int store[SLOTS];
} kernel;

/* ---- messages ---- */

static void show_news(void)
{
	const uint64_t one = 1;
	uint64_t count;

	if (kernel.num_messages || (kernel.registered && !kernel.stopped)) {
		if (write(kernel.news, &one, sizeof(one)) < 0)
			abort();
	} else if (read(kernel.news, &count, sizeof(count)) < 0 && errno != EAGAIN) {
		abort();
	}
}

struct virtio_loopback_msg *kernel_tell(uint32_t type, bool question)
{
	struct virtio_loopback_msg *msg = &kernel.messages[kernel.num_messages];

	if (kernel.num_messages >= MESSAGES)
		return NULL;
	kernel.num_messages++;
	memset(msg, 0, sizeof(*msg));
	msg->seq = ++kernel.seq;
	msg->type = type;
	msg->flags = question ? VIRTIO_LOOPBACK_MSG_NEED_REPLY : 0;
	show_news();
	return msg;
}

static int kernel_read(struct device *device, struct virtio_loopback_msg *msg)
{
	(void)device;
	if (!kernel.num_messages && kernel.registered && !kernel.stopped)
		kernel.idle();
	if (!kernel.num_messages) {
		show_news();
		return -EAGAIN;
	}
	*msg = kernel.messages[0];
	kernel.num_messages--;
	memmove(kernel.messages, kernel.messages + 1,
		kernel.num_messages * sizeof(kernel.messages[0]));
	if (msg->flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY)
		kernel.asked = *msg;
	show_news();
	return 0;
}

static void registered(bool bound)
{
	struct virtio_loopback_msg *msg;

	kernel.probing = false;
	if (kernel.registered)
		return;
	msg = kernel_tell(VIRTIO_LOOPBACK_MSG_REGISTERED, false);
	if (!msg)
		abort();
	msg->registered.bound = bound;
	kernel.registered = true;
}

/* virtio 3.1.1: a probe goes on after each answer. */
static void probe_on(int error)
{
	static const uint8_t next[] = { [0] = 1, [1] = 3, [3] = 11, [11] = 15 };
	struct virtio_loopback_msg *msg;

	if (!kernel.probing || kernel.stopped)
		return;
	if (error || kernel.status == 15) {
		registered(!error);
		return;
	}
	msg = kernel_tell(VIRTIO_LOOPBACK_MSG_STATUS, true);
	if (!msg)
		return;
	kernel.status = next[kernel.status];
	msg->status.status = kernel.status;
	msg->status.features = kernel.device.features & kernel.features;
}

static int kernel_reply(struct device *device, const struct virtio_loopback_msg *msg, int error)
{
	(void)device;
	if (!kernel.asked.seq || msg->seq != kernel.asked.seq || error > 0)
		abort();
	kernel.asked.seq = 0;
	if (msg->type == VIRTIO_LOOPBACK_MSG_RESET || msg->type == VIRTIO_LOOPBACK_MSG_STATUS)
		probe_on(error);
	return 0;
}

void kernel_probe(void)
{
	if (kernel_tell(VIRTIO_LOOPBACK_MSG_RESET, true))
		kernel.probing = true;
	kernel.status = 0;
}

/* A question that was not answered is the next adapter's. */
static void ask_again(void)
{
	memmove(kernel.messages + 1, kernel.messages,
		kernel.num_messages * sizeof(kernel.messages[0]));
	kernel.messages[0] = kernel.asked;
	kernel.num_messages++;
	kernel.asked.seq = 0;
	show_news();
}

/* ---- the device ---- */

/* Of a device that was ended nothing stays but the place for the next. */
static void forget(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		fd_close(&kernel.store[i]);
	if (kernel.pool)
		munmap(kernel.pool, kernel.pool_size);
	kernel.pool = NULL;
	kernel.created = kernel.doomed = kernel.registered = false;
	kernel.stopped = kernel.probing = false;
	kernel.num_messages = 0;
	kernel.asked.seq = 0;
	kernel.status = 0;
	memset(kernel.queues, 0, sizeof(kernel.queues));
}

static int kernel_open(struct device *device, const struct transport_place *place,
		       struct failure *failure)
{
	(void)place;
	(void)failure;
	*device = (struct device){
		.transport = &kernel_transport,
		.fd = dup(kernel.news),
		.info = {
			.abi = VIRTIO_LOOPBACK_ABI,
			.capabilities = VIRTIO_LOOPBACK_CAP_OUTSTANDING |
					VIRTIO_LOOPBACK_CAP_POSTED,
			.transport_features = UINT64_MAX,
			.page_size = PAGE,
			.max_queues = KERNEL_QUEUES,
			.max_queue_size = KERNEL_NUM,
			.max_config_size = CONFIG_SIZE_MAX,
		},
	};
	return device->fd < 0 ? -errno : 0;
}

static void kernel_close(struct device *device)
{
	fd_close(&device->fd);
	if (kernel.doomed)
		forget();
	else if (kernel.asked.seq)
		ask_again();
}

static int kernel_create(struct device *device, struct virtio_loopback_create *create,
			 struct failure *failure)
{
	(void)device;
	(void)failure;
	if (kernel.created || !create->num_queues || create->num_queues > KERNEL_QUEUES ||
	    create->config_size > CONFIG_SIZE_MAX)
		abort();
	forget();
	kernel.device = *create;
	kernel.pool_size = (size_t)lseek(create->pool_fd, 0, SEEK_END);
	if (kernel.pool_size < (size_t)PAGE * create->num_queues)
		abort();
	kernel.pool = mmap(NULL, kernel.pool_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   create->pool_fd, 0);
	if (kernel.pool == MAP_FAILED)
		abort();
	kernel.store[VIRTIO_LOOPBACK_STORE_POOL] = dup(create->pool_fd);
	kernel.created = true;
	return 0;
}

static int kernel_make_pool(struct device *device, struct pool *pool, const char *name,
			    uint64_t size, struct failure *failure)
{
	return pool_init(pool, name, size, device->info.page_size, failure);
}

static int kernel_memory(struct device *device, struct pool *pool, const struct window *window,
			 struct memory_map *map)
{
	(void)device;
	(void)window;
	memory_map_add(map, pool->fd, 0, pool->base, pool->size);
	return 0;
}

static int kernel_start(struct device *device)
{
	unsigned int i;

	(void)device;
	for (i = 0; i < kernel.device.num_queues; i++)
		kernel.queues[i].enabled = true;
	kernel_probe();
	return 0;
}

/* The driver lets go in good order. */
static int kernel_stop(struct device *device)
{
	(void)device;
	if (!kernel.created || kernel.stopped)
		return -EINVAL;
	kernel.num_messages = 0;
	kernel.stopped = true;
	kernel_tell(VIRTIO_LOOPBACK_MSG_RESET, true);
	kernel_tell(VIRTIO_LOOPBACK_MSG_UNREGISTERED, false);
	return 0;
}

static int kernel_fail(struct device *device)
{
	(void)device;
	return kernel.created ? 0 : -EINVAL;
}

/* It ends when its file is closed; the driver may still ask until then. */
static int kernel_destroy(struct device *device)
{
	(void)device;
	kernel.doomed = true;
	return 0;
}

static int kernel_set_queue_fds(struct device *device, unsigned int index, int kick_fd, int call_fd)
{
	(void)device;
	if (index >= kernel.device.num_queues || kick_fd < 0 || call_fd < 0)
		abort();
	return 0;
}

static int kernel_set_config(struct device *device, unsigned int offset, const void *data,
			     unsigned int length, uint32_t flags)
{
	(void)device;
	(void)data;
	(void)flags;
	if (offset > kernel.device.config_size || length > kernel.device.config_size - offset)
		abort();
	return 0;
}

/* ---- virtqueues ---- */

static uint8_t *ring(unsigned int index)
{
	return kernel.pool + (size_t)index * PAGE;
}

static struct vring_avail *avail_of(unsigned int index)
{
	return (struct vring_avail *)(void *)(ring(index) + DRIVER_AT);
}

static bool has_queue(unsigned int index)
{
	return kernel.pool && index < kernel.device.num_queues;
}

static int kernel_get_queue(struct device *device, unsigned int index,
			    struct virtio_loopback_queue *queue)
{
	uint64_t at = kernel.device.pool_base + (uint64_t)index * PAGE;

	(void)device;
	if (!has_queue(index))
		abort();
	*queue = (struct virtio_loopback_queue){
		.index = index,
		.flags = kernel.queues[index].enabled ? VIRTIO_LOOPBACK_QUEUE_ENABLED : 0,
		.num = KERNEL_NUM,
		.desc_addr = at,
		.driver_addr = at + DRIVER_AT,
		.device_addr = at + DEVICE_AT,
		.used_index = kernel.queues[index].taken,
	};
	return 0;
}

static int kernel_get_outstanding(struct device *device, unsigned int index, uint16_t *heads,
				  unsigned int room, unsigned int *count)
{
	const struct queue_state *queue = &kernel.queues[index];
	uint16_t i;

	(void)device;
	*count = (uint16_t)(queue->published - queue->taken);
	for (i = 0; i < MIN(*count, room); i++)
		heads[i] = (uint16_t)(queue->taken + i) % KERNEL_NUM;
	return 0;
}

void kernel_publish(unsigned int index, unsigned int count)
{
	struct queue_state *queue = &kernel.queues[index % KERNEL_QUEUES];

	if (!has_queue(index))
		return;
	for (; count && (uint16_t)(queue->published - queue->taken) < KERNEL_NUM; count--) {
		uint16_t slot = queue->published++ % KERNEL_NUM;

		avail_of(index)->ring[slot] = slot;
	}
	avail_of(index)->idx = queue->published;
}

/* No further than what it has published, as a driver that looks at what it is given. */
void kernel_take(unsigned int index)
{
	struct queue_state *queue = &kernel.queues[index % KERNEL_QUEUES];
	uint16_t used;

	if (!has_queue(index))
		return;
	used = ((struct vring_used *)(void *)(ring(index) + DEVICE_AT))->idx;
	if ((uint16_t)(used - queue->taken) <= (uint16_t)(queue->published - queue->taken))
		queue->taken = used;
}

void kernel_set_enabled(unsigned int index, bool enabled)
{
	if (has_queue(index))
		kernel.queues[index] = (struct queue_state){ .enabled = enabled };
}

uint8_t *kernel_pool(size_t *size)
{
	*size = kernel.pool_size;
	return kernel.pool;
}

/* ---- one adapter after the other ---- */

static int kernel_get_state(struct device *device, struct virtio_loopback_state *state)
{
	(void)device;
	*state = (struct virtio_loopback_state){
		.num_queues = kernel.device.num_queues,
		.config_size = kernel.device.config_size,
		.device_id = kernel.device.device_id,
		.pool_base = kernel.device.pool_base,
		.pool_size = kernel.pool_size,
	};
	return 0;
}

static int kernel_takeover(struct device *device, const char *name)
{
	(void)device;
	(void)name;
	return kernel.created && !kernel.doomed ? 0 : -ENOENT;
}

static int kernel_store(struct device *device, unsigned int slot, int fd)
{
	(void)device;
	if (slot < VIRTIO_LOOPBACK_STORE_USER || slot >= SLOTS)
		abort();
	fd_close(&kernel.store[slot]);
	if (fd >= 0)
		kernel.store[slot] = dup(fd);
	return 0;
}

static int kernel_fetch(struct device *device, unsigned int slot)
{
	(void)device;
	if (slot >= SLOTS)
		abort();
	return kernel.store[slot] < 0 ? -ENOENT : dup(kernel.store[slot]);
}

/* ---- the whole ---- */

const struct transport kernel_transport = {
	.name = "fuzz",
	.succession = true,
	.open = kernel_open,
	.close = kernel_close,
	.create = kernel_create,
	.make_pool = kernel_make_pool,
	.memory = kernel_memory,
	.start = kernel_start,
	.stop = kernel_stop,
	.fail = kernel_fail,
	.destroy = kernel_destroy,
	.set_queue_fds = kernel_set_queue_fds,
	.set_config = kernel_set_config,
	.get_queue = kernel_get_queue,
	.get_state = kernel_get_state,
	.read = kernel_read,
	.reply = kernel_reply,
	.get_outstanding = kernel_get_outstanding,
	.takeover = kernel_takeover,
	.store = kernel_store,
	.fetch = kernel_fetch,
};

void kernel_init(uint64_t features, void (*idle)(void))
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		kernel.store[i] = -1;
	forget();
	kernel.seq = 0;
	kernel.features = features;
	kernel.idle = idle;
	kernel.news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kernel.news < 0)
		abort();
}

void kernel_finish(void)
{
	forget();
	fd_close(&kernel.news);
}
