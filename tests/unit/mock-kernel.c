// SPDX-License-Identifier: BSD-3-Clause
#include "mock-kernel.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/transport-loopback.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/util.h"

/* The pool: the ring first, then a slot for each request: header, data, status. */
#define RING_AT 0
#define SLOTS_AT 4096
#define SLOT_SIZE 1024
#define SLOT_DATA 64
#define SLOT_STATUS 1000

static struct mock_kernel *only; /* the device has no room for a pointer of ours */

static struct mock_kernel *kernel_of(struct device *device)
{
	(void)device;
	return only;
}

/* ---- messages ---- */

static void set_readable(struct mock_kernel *k)
{
	uint64_t count = 1;

	/* the counter is not zero exactly while there is something to read, or to do */
	if (k->num_messages || (k->bound && k->idle)) {
		if (write(k->poll_fd, &count, sizeof(count)) < 0)
			return;
	} else if (read(k->poll_fd, &count, sizeof(count)) < 0) {
		return;
	}
}

uint64_t mock_push(struct mock_kernel *k, uint32_t type, bool question)
{
	struct virtio_loopback_msg *msg = &k->messages[k->num_messages++];

	memset(msg, 0, sizeof(*msg));
	msg->seq = ++k->seq;
	msg->type = type;
	msg->flags = question ? VIRTIO_LOOPBACK_MSG_NEED_REPLY : 0;
	k->answers[k->seq % ARRAY_SIZE(k->answers)] = 1; /* none yet */
	set_readable(k);
	return k->seq;
}

uint64_t mock_push_status(struct mock_kernel *k, uint32_t status)
{
	uint64_t seq = mock_push(k, VIRTIO_LOOPBACK_MSG_STATUS, true);
	struct virtio_loopback_msg *msg = &k->messages[k->num_messages - 1];

	msg->status.status = status;
	msg->status.features = k->created.features & k->driver_features;
	return seq;
}

static int mock_read(struct device *device, struct virtio_loopback_msg *msg)
{
	struct mock_kernel *k = kernel_of(device);

	if (!k->num_messages && k->bound && k->idle)
		k->idle(k, k->context);
	if (!k->num_messages) {
		set_readable(k);
		return -EAGAIN;
	}
	*msg = k->messages[0];
	k->num_messages--;
	memmove(k->messages, k->messages + 1, k->num_messages * sizeof(k->messages[0]));
	if (msg->type == VIRTIO_LOOPBACK_MSG_REGISTERED)
		k->bound = true;
	set_readable(k);
	return 0;
}

static void push_registered(struct mock_kernel *k, uint32_t bound)
{
	mock_push(k, VIRTIO_LOOPBACK_MSG_REGISTERED, false);
	k->messages[k->num_messages - 1].registered.virtio_index = 7;
	k->messages[k->num_messages - 1].registered.bound = bound;
}

/* A probe goes on after each answer, as the driver does. */
static int mock_write(struct device *device, const struct virtio_loopback_reply *reply)
{
	static const uint32_t next[] = {
		[0] = VIRTIO_CONFIG_S_ACKNOWLEDGE,
		[1] = 3,
		[3] = 11, /* FEATURES_OK */
		[11] = 15, /* DRIVER_OK */
	};
	struct mock_kernel *k = kernel_of(device);

	k->answers[reply->seq % ARRAY_SIZE(k->answers)] = reply->error;
	if (k->bound || k->is_stopped)
		return 0;
	if (reply->error) {
		push_registered(k, 0);
		return 0;
	}
	if (k->status == 15) {
		push_registered(k, 1);
		return 0;
	}
	k->status = next[k->status];
	mock_push_status(k, k->status);
	return 0;
}

/* ---- calls ---- */

static int mock_create(struct mock_kernel *k, const struct virtio_loopback_create *create)
{
	if (k->is_created)
		return -EBUSY;
	if (!deadline_passed(k->name_taken_until))
		return -EEXIST;
	k->created = *create;
	k->is_created = true;
	k->store[VIRTIO_LOOPBACK_STORE_POOL] = dup(create->pool_fd);
	memcpy(k->config, (const void *)(uintptr_t)create->config,
	       MIN((size_t)create->config_size, sizeof(k->config)));
	k->pool_size = (uint64_t)lseek(create->pool_fd, 0, SEEK_END);
	k->pool = mmap(NULL, k->pool_size, PROT_READ | PROT_WRITE, MAP_SHARED, create->pool_fd, 0);
	vring_init(&k->ring, MOCK_NUM, k->pool + RING_AT, 64);
	return k->pool == MAP_FAILED ? -ENOMEM : 0;
}

static uint64_t address(const struct mock_kernel *k, const void *p)
{
	return k->created.pool_base + (uint64_t)((const uint8_t *)p - k->pool);
}

static int mock_get_queue(struct mock_kernel *k, struct virtio_loopback_queue *queue)
{
	queue->flags = queue->index == 0 ? VIRTIO_LOOPBACK_QUEUE_ENABLED : 0;
	if (queue->index == 0 && k->quiet)
		queue->flags |= VIRTIO_LOOPBACK_QUEUE_QUIET;
	queue->num = MOCK_NUM;
	queue->desc_addr = address(k, k->ring.desc);
	queue->driver_addr = address(k, k->ring.avail);
	queue->device_addr = address(k, k->ring.used);
	queue->used_index = k->taken;
	return 0;
}

static int mock_outstanding(struct mock_kernel *k, struct virtio_loopback_outstanding *o)
{
	memcpy((void *)(uintptr_t)o->heads, k->order,
	       MIN(o->count, k->num_order) * sizeof(k->order[0]));
	o->count = k->num_order;
	return 0;
}

static int mock_set_config(struct mock_kernel *k, const struct virtio_loopback_config *c)
{
	if (c->offset + c->length > k->created.config_size)
		return -EINVAL;
	memcpy(k->config + c->offset, (const void *)(uintptr_t)c->data, c->length);
	k->config_notified += c->flags & VIRTIO_LOOPBACK_CONFIG_NOTIFY;
	return 0;
}

static int mock_set_fds(struct mock_kernel *k, const struct virtio_loopback_queue_fds *fds)
{
	if (fds->index)
		return 0;
	fd_close(&k->kick_fd);
	fd_close(&k->call_fd);
	k->kick_fd = dup(fds->kick_fd);
	k->call_fd = dup(fds->call_fd);
	return 0;
}

static int mock_store(struct mock_kernel *k, const struct virtio_loopback_store *args)
{
	if (args->slot >= MOCK_SLOTS || args->slot < VIRTIO_LOOPBACK_STORE_USER)
		return -EINVAL;
	if (k->died)
		return 0;
	k->died = k->dies_at && k->dies_at == args->slot;
	fd_close(&k->store[args->slot]);
	if (args->fd >= 0)
		k->store[args->slot] = dup(args->fd);
	return 0;
}

static int mock_fetch(struct mock_kernel *k, struct virtio_loopback_store *args)
{
	if (args->slot >= MOCK_SLOTS)
		return -EINVAL;
	if (k->store[args->slot] < 0)
		return -ENOENT;
	if (k->refused_slot && k->refused_slot == args->slot) {
		k->refused_slot = 0;
		return -EMFILE;
	}
	args->fd = dup(k->store[args->slot]);
	return 0;
}

static int mock_get_state(struct mock_kernel *k, struct virtio_loopback_state *state)
{
	state->parent = 5;
	state->virtio_index = 7;
	state->device_id = k->created.device_id;
	state->num_queues = k->created.num_queues;
	state->config_size = k->created.config_size;
	state->pool_base = k->created.pool_base;
	state->pool_size = k->pool_size;
	return 0;
}

static int mock_call(struct device *device, unsigned long request, void *arg)
{
	struct mock_kernel *k = kernel_of(device);
	struct virtio_loopback_info *info = arg;

	switch (request) {
	case VIRTIO_LOOPBACK_GET_INFO:
		info->abi = VIRTIO_LOOPBACK_ABI;
		info->capabilities = VIRTIO_LOOPBACK_CAP_OUTSTANDING;
		info->transport_features = BIT_ULL(VIRTIO_F_VERSION_1) |
					   BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |
					   BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) |
					   BIT_ULL(VIRTIO_F_RING_PACKED);
		info->page_size = 4096;
		info->max_queues = 256;
		info->max_queue_size = 32768;
		info->max_config_size = 4096;
		return 0;
	case VIRTIO_LOOPBACK_CREATE:
		return mock_create(k, arg);
	case VIRTIO_LOOPBACK_SET_QUEUE_FDS:
		return mock_set_fds(k, arg);
	case VIRTIO_LOOPBACK_GET_STATE:
		return mock_get_state(k, arg);
	case VIRTIO_LOOPBACK_STORE_FD:
		return mock_store(k, arg);
	case VIRTIO_LOOPBACK_FETCH_FD:
		return mock_fetch(k, arg);
	case VIRTIO_LOOPBACK_TAKEOVER:
		return k->is_created ? 0 : -ENOENT;
	case VIRTIO_LOOPBACK_START:
		k->is_started = true;
		mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
		return 0;
	case VIRTIO_LOOPBACK_STOP:
		k->is_stopped = true;
		k->idle = NULL;
		mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
		mock_push(k, VIRTIO_LOOPBACK_MSG_UNREGISTERED, false);
		return 0;
	case VIRTIO_LOOPBACK_GET_QUEUE:
		return mock_get_queue(k, arg);
	case VIRTIO_LOOPBACK_GET_OUTSTANDING:
		return mock_outstanding(k, arg);
	case VIRTIO_LOOPBACK_SET_CONFIG:
		return mock_set_config(k, arg);
	case VIRTIO_LOOPBACK_CHECK_POOL:
		return -(int)k->check_pool_error;
	case VIRTIO_LOOPBACK_FAIL:
		k->is_failed = true;
		return 0;
	case VIRTIO_LOOPBACK_DESTROY:
		k->is_destroyed = true;
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct device_ops mock_ops = {
	.call = mock_call,
	.read = mock_read,
	.write = mock_write,
};

void mock_init(struct mock_kernel *k, struct device *device)
{
	struct failure failure = { 0 };
	unsigned int i;

	*k = (struct mock_kernel){ .kick_fd = -1, .call_fd = -1, .driver_features = UINT64_MAX };
	k->poll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (i = 0; i < MOCK_SLOTS; i++)
		k->store[i] = -1;
	for (i = 0; i < MOCK_NUM; i++)
		k->free[k->num_free++] = (uint16_t)i;
	only = k;
	loopback_init(device, dup(k->poll_fd), &mock_ops, &failure);
}

void mock_reopen(struct mock_kernel *k, struct device *device)
{
	struct failure failure = { 0 };

	set_readable(k);
	loopback_init(device, dup(k->poll_fd), &mock_ops, &failure);
}

void mock_replug(struct mock_kernel *k, struct device *device)
{
	unsigned int i;

	for (i = 0; i < MOCK_SLOTS; i++)
		fd_close(&k->store[i]);
	if (k->pool)
		munmap(k->pool, k->pool_size);
	k->pool = NULL;
	k->is_created = k->is_started = k->is_failed = k->is_destroyed = k->bound = false;
	k->status = 0;
	k->taken = 0;
	k->num_messages = k->num_order = k->num_free = 0;
	for (i = 0; i < MOCK_NUM; i++)
		k->free[k->num_free++] = (uint16_t)i;
	mock_reopen(k, device);
}

void mock_finish(struct mock_kernel *k)
{
	unsigned int i;

	for (i = 0; i < MOCK_SLOTS; i++)
		fd_close(&k->store[i]);
	fd_close(&k->poll_fd);
	fd_close(&k->kick_fd);
	fd_close(&k->call_fd);
	if (k->pool)
		munmap(k->pool, k->pool_size);
	k->pool = NULL;
}

/* ---- the driver ---- */

/*
 * A request takes one descriptor of the ring (its head, which is the number of its slot) and an
 * indirect table in its slot.
 */
bool mock_submit(struct mock_kernel *k, bool write_it, uint64_t sector, uint8_t fill)
{
	struct virtio_blk_outhdr *header;
	struct vring_desc *table;
	uint8_t *slot;
	uint16_t head;

	if (!k->num_free)
		return false;
	head = k->free[--k->num_free];
	slot = k->pool + SLOTS_AT + head * SLOT_SIZE;
	memset(slot, 0, SLOT_SIZE);
	header = (struct virtio_blk_outhdr *)slot;
	header->type = write_it ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	header->sector = sector;
	memset(slot + SLOT_DATA, write_it ? fill : 0x5a, MOCK_SECTOR);
	slot[SLOT_STATUS] = 0xff;
	table = (struct vring_desc *)(slot + 640);
	table[0] = (struct vring_desc){ address(k, slot), 16, VRING_DESC_F_NEXT, 1 };
	table[1] = (struct vring_desc){
		address(k, slot + SLOT_DATA), MOCK_SECTOR,
		(uint16_t)(VRING_DESC_F_NEXT | (write_it ? 0 : VRING_DESC_F_WRITE)), 2
	};
	table[2] = (struct vring_desc){ address(k, slot + SLOT_STATUS), 1, VRING_DESC_F_WRITE, 0 };
	k->ring.desc[head] = (struct vring_desc){ address(k, table), sizeof(table[0]) * 3,
						  VRING_DESC_F_INDIRECT, 0 };
	k->order[k->num_order++] = head;
	k->ring.avail->ring[k->ring.avail->idx & (MOCK_NUM - 1)] = head;
	__atomic_store_n(&k->ring.avail->idx, (uint16_t)(k->ring.avail->idx + 1), __ATOMIC_SEQ_CST);
	return true;
}

void mock_kick(struct mock_kernel *k)
{
	uint64_t one = 1;

	if (write(k->kick_fd, &one, sizeof(one)) < 0)
		return;
}

static void forget(struct mock_kernel *k, uint16_t head)
{
	unsigned int i;

	for (i = 0; i < k->num_order && k->order[i] != head; i++)
		;
	if (i == k->num_order) {
		k->twice++;
		return;
	}
	k->num_order--;
	memmove(&k->order[i], &k->order[i + 1], (k->num_order - i) * sizeof(k->order[0]));
	k->free[k->num_free++] = head;
}

int mock_take(struct mock_kernel *k, int fill)
{
	int count = 0;
	bool bad = false;

	while (k->taken != __atomic_load_n(&k->ring.used->idx, __ATOMIC_ACQUIRE)) {
		uint32_t head = k->ring.used->ring[k->taken & (MOCK_NUM - 1)].id;
		uint8_t *slot = k->pool + SLOTS_AT + (head % MOCK_NUM) * SLOT_SIZE;

		k->taken++;
		count++;
		if (head >= MOCK_NUM)
			return -1;
		bad |= slot[SLOT_STATUS] != 0;
		bad |= fill >= 0 && ((struct virtio_blk_outhdr *)slot)->type == VIRTIO_BLK_T_IN &&
		       (slot[SLOT_DATA] != fill || slot[SLOT_DATA + MOCK_SECTOR - 1] != fill);
		forget(k, (uint16_t)head);
	}
	return bad ? -1 : count;
}

bool mock_wait(struct mock_kernel *k, int fill, unsigned int ms)
{
	deadline_t deadline = deadline_after_ms(ms);
	uint64_t count;

	for (;;) {
		if (mock_take(k, fill) < 0)
			return false;
		if (!k->num_order)
			return true;
		if (deadline_passed(deadline))
			return false;
		/* without event index and flags the device calls each time */
		if (poll_fd(k->call_fd, POLLIN, deadline) > 0 &&
		    read(k->call_fd, &count, sizeof(count)) < 0)
			return false;
	}
}
