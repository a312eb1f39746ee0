// SPDX-License-Identifier: BSD-3-Clause
/* The requests of the front-end, one function each. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "backends/common/internal.h"
#include "common/cleanup.h"
#include "common/log.h"

#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

/*
 * What concerns the front-end and its driver alone. There are front-ends that hand on whatever the
 * driver took, also what this end never offered (QEMU for input and GPU).
 */
#define FEATURES_IGNORED \
	(BIT_ULL(VIRTIO_F_NOTIFY_ON_EMPTY) | BIT_ULL(VIRTIO_F_ANY_LAYOUT) | \
	 BIT_ULL(VIRTIO_F_RING_RESET))

/* How long a front-end may take to read an answer */
#define SEND_TIMEOUT_MS 5000

/*
 * A handler returns 0 or a negative errno. @reply is there for requests that have one of their
 * own, set up with no payload; handlers of other requests do not touch it.
 */
typedef int (*vu_handler)(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply);

uint64_t vu_offered_features(const struct vu_backend *backend)
{
	const struct vu_device *device = &backend->device;
	uint64_t features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) |
			    BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(VIRTIO_F_RING_PACKED) |
			    BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES);

	return features | device->ops->features(device->dev);
}

uint64_t vu_offered_protocol_features(const struct vu_backend *backend)
{
	const struct vu_device *device = &backend->device;
	uint64_t features = BIT_ULL(VHOST_USER_PROTOCOL_F_MQ) |
			    BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			    BIT_ULL(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			    BIT_ULL(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
			    BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);

	if (device->config_size)
		features |= BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG);
	if (!device->no_inflight)
		features |= BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	return features | device->protocol_features;
}

static struct vu_ring *find_ring(struct vu_backend *backend, uint64_t index)
{
	if (index >= backend->device.num_queues)
		return NULL;
	return &backend->rings[index];
}

/* ---- features ---- */

static int get_features(struct vu_backend *backend, struct vu_message *msg,
			struct vu_message *reply)
{
	(void)msg;
	vu_message_set_u64(reply, vu_offered_features(backend));
	return 0;
}

static int set_features(struct vu_backend *backend, struct vu_message *msg,
			struct vu_message *reply)
{
	uint64_t offered = vu_offered_features(backend);
	uint64_t features = msg->payload.u64 & ~(FEATURES_IGNORED & ~offered);

	(void)reply;
	if (features & ~offered)
		return -EINVAL;
	if (features == backend->features)
		return 0;
	vu_rings_stop(backend);
	backend->features = features;
	return vu_rings_update(backend);
}

static int get_protocol_features(struct vu_backend *backend, struct vu_message *msg,
				 struct vu_message *reply)
{
	(void)msg;
	vu_message_set_u64(reply, vu_offered_protocol_features(backend));
	return 0;
}

static int set_protocol_features(struct vu_backend *backend, struct vu_message *msg,
				 struct vu_message *reply)
{
	(void)reply;
	if (msg->payload.u64 & ~vu_offered_protocol_features(backend))
		return -EINVAL;
	backend->protocol_features = msg->payload.u64;
	return 0;
}

static int get_queue_num(struct vu_backend *backend, struct vu_message *msg,
			 struct vu_message *reply)
{
	(void)msg;
	vu_message_set_u64(reply, backend->device.num_queues);
	return 0;
}

static int set_owner(struct vu_backend *backend, struct vu_message *msg, struct vu_message *reply)
{
	(void)backend;
	(void)msg;
	(void)reply;
	return 0;
}

static int reset_owner(struct vu_backend *backend, struct vu_message *msg, struct vu_message *reply)
{
	unsigned int i;

	(void)msg;
	(void)reply;
	/* Deprecated, and front-ends differ in what they mean by it: all rings are disabled. */
	for (i = 0; i < backend->device.num_queues; i++) {
		vu_ring_stop(backend, &backend->rings[i]);
		backend->rings[i].enabled = false;
	}
	return 0;
}

static int reset_device(struct vu_backend *backend, struct vu_message *msg,
			struct vu_message *reply)
{
	unsigned int i;

	(void)msg;
	(void)reply;
	for (i = 0; i < backend->device.num_queues; i++)
		vu_ring_reset(backend, &backend->rings[i]);
	inflight_area_clear(&backend->inflight);
	backend->features = 0;
	if (backend->device.ops->reset)
		backend->device.ops->reset(backend->device.dev);
	return 0;
}

/* ---- memory ---- */

static int set_mem_table(struct vu_backend *backend, struct vu_message *msg,
			 struct vu_message *reply)
{
	const struct vhost_user_memory *memory = &msg->payload.memory;
	unsigned int i;
	int ret = 0, error;

	(void)reply;
	vu_rings_stop(backend);
	mem_finish(&backend->mem);
	for (i = 0; i < memory->nregions && !ret; i++)
		ret = mem_add(&backend->mem, &memory->regions[i], msg->fds[i]);
	if (ret)
		mem_finish(&backend->mem);
	error = vu_rings_update(backend);
	return ret ? ret : error;
}

static int get_max_mem_slots(struct vu_backend *backend, struct vu_message *msg,
			     struct vu_message *reply)
{
	(void)backend;
	(void)msg;
	vu_message_set_u64(reply, MEM_MAX_REGIONS);
	return 0;
}

static int add_mem_reg(struct vu_backend *backend, struct vu_message *msg, struct vu_message *reply)
{
	int ret, error;

	(void)reply;
	vu_rings_stop(backend);
	ret = mem_add(&backend->mem, &msg->payload.region.region, msg->fds[0]);
	error = vu_rings_update(backend);
	return ret ? ret : error;
}

static int rem_mem_reg(struct vu_backend *backend, struct vu_message *msg, struct vu_message *reply)
{
	int ret, error;

	(void)reply;
	vu_rings_stop(backend);
	ret = mem_remove(&backend->mem, &msg->payload.region.region);
	error = vu_rings_update(backend);
	return ret ? ret : error;
}

/* ---- rings ---- */

static bool is_packed(const struct vu_backend *backend)
{
	return backend->features & BIT_ULL(VIRTIO_F_RING_PACKED);
}

static int set_vring_num(struct vu_backend *backend, struct vu_message *msg,
			 struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.state.index);
	unsigned int num = msg->payload.state.num;

	(void)reply;
	if (!ring || !num || num > backend->device.max_queue_size)
		return -EINVAL;
	if (!is_packed(backend) && (num & (num - 1)))
		return -EINVAL;
	vu_ring_stop(backend, ring);
	ring->num = num;
	return vu_ring_update(backend, ring);
}

static int set_vring_addr(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.addr.index);

	(void)reply;
	if (!ring)
		return -EINVAL;
	vu_ring_stop(backend, ring);
	ring->addr = msg->payload.addr;
	ring->have_addr = true;
	return vu_ring_update(backend, ring);
}

static int set_vring_base(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.state.index);

	(void)reply;
	if (!ring || (!is_packed(backend) && msg->payload.state.num > UINT16_MAX))
		return -EINVAL;
	vu_ring_stop(backend, ring);
	ring->base = msg->payload.state.num;
	ring->have_base = true;
	return vu_ring_update(backend, ring);
}

static int get_vring_base(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.state.index);

	if (!ring)
		return -EINVAL;
	vu_ring_stop(backend, ring);
	/* it may have been disabled before, and stopped by that */
	if (ring->ran && is_packed(backend))
		inflight_packed_forget(&backend->inflight, ring->queue.index, ring->num);
	ring->ran = false;
	/* A stopped ring starts with the next kick descriptor. */
	fd_close(&ring->queue.kick_fd);
	fd_close(&ring->call_fd);
	vu_message_set_state(reply, ring->queue.index, ring->base);
	return 0;
}

/*
 * The descriptor of SET_VRING_KICK, _CALL, _ERR becomes ours. The other end could let a read or
 * write of it block for ever, so it must not block.
 *
 * Return: it, -1 when there is none, or another negative errno.
 */
static int take_vring_fd(struct vu_message *msg)
{
	int fd = vu_message_take_fd(msg, 0);
	int flags;

	if (fd < 0)
		return -1;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		fd_close(&fd);
		return -EINVAL;
	}
	return fd;
}

static int replace_vring_fd(struct vu_backend *backend, struct vu_ring *ring, int *fd, int new)
{
	vu_ring_stop(backend, ring);
	fd_close(fd);
	*fd = new;
	return vu_ring_update(backend, ring);
}

/*
 * One that is only written to can be another one at any time, and the ring goes on: to stop it
 * would end a stream of sound. Front-ends do so to mask an interrupt (QEMU, each time that the
 * guest has it come to another CPU). The number stays, so a thread that is just about to write to
 * it writes to the one or the other. That there is to be none any more stops the ring.
 *
 * @in_use: what the running ring has of it
 *
 * Return: 1 when the ring goes on with it, 0 when it has started, or not, as it would with any
 * other change, or a negative errno.
 */
static int exchange_vring_fd(struct vu_backend *backend, struct vu_message *msg,
			     struct vu_ring *ring, int *fd, int *in_use)
{
	int new = take_vring_fd(msg);
	int ret = 1;

	if (new < -1)
		return new;
	if (!ring->running || new < 0)
		return replace_vring_fd(backend, ring, fd, new);
	if (*fd < 0) {
		*fd = new;
		WRITE_ONCE(*in_use, new);
		return 1;
	}
	if (dup3(new, *fd, O_CLOEXEC) < 0)
		ret = -errno;
	fd_close(&new);
	return ret;
}

static int set_vring_kick(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	int fd;

	(void)reply;
	/* without a descriptor the device would have to poll the ring */
	if (!ring || !msg->nfds)
		return -EINVAL;
	fd = take_vring_fd(msg);
	if (fd < 0)
		return fd;
	return replace_vring_fd(backend, ring, &ring->queue.kick_fd, fd);
}

static int set_vring_call(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	int ret;

	(void)reply;
	if (!ring)
		return -EINVAL;
	ret = exchange_vring_fd(backend, msg, ring, &ring->call_fd, &ring->queue.vq.call_fd);
	/* what was told by the last one may have been told to nobody */
	if (ret > 0)
		vu_ring_call(ring);
	return MIN(ret, 0);
}

static int set_vring_err(struct vu_backend *backend, struct vu_message *msg,
			 struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	int ret;

	(void)reply;
	if (!ring)
		return -EINVAL;
	ret = exchange_vring_fd(backend, msg, ring, &ring->err_fd, &ring->queue.vq.err_fd);
	return MIN(ret, 0);
}

static int set_vring_enable(struct vu_backend *backend, struct vu_message *msg,
			    struct vu_message *reply)
{
	struct vu_ring *ring = find_ring(backend, msg->payload.state.index);

	(void)reply;
	if (!ring || msg->payload.state.num > 1)
		return -EINVAL;
	ring->enabled = msg->payload.state.num;
	if (ring->enabled)
		return vu_ring_update(backend, ring);
	vu_ring_stop(backend, ring);
	return 0;
}

/* ---- configuration ---- */

static bool config_range_ok(const struct vu_backend *backend,
			    const struct vhost_user_config *config)
{
	return config->offset <= backend->device.config_size &&
	       config->size <= backend->device.config_size - config->offset;
}

/*
 * Front-ends ask for the largest config space of the type that they know; what this device lacks
 * of it reads as zero. A refusal is an answer without payload.
 */
static int get_config(struct vu_backend *backend, struct vu_message *msg, struct vu_message *reply)
{
	const struct vhost_user_config *config = &msg->payload.config;
	uint8_t data[VHOST_USER_MAX_CONFIG_SIZE] = { 0 };
	const struct vu_device *device = &backend->device;
	uint32_t size = config->size;

	if (!device->config_size || !device->ops->get_config ||
	    config->offset >= VHOST_USER_MAX_CONFIG_SIZE ||
	    size > VHOST_USER_MAX_CONFIG_SIZE - config->offset)
		return 0;
	if (config->offset < device->config_size)
		device->ops->get_config(device->dev, data, config->offset,
					MIN(size, device->config_size - config->offset));
	vu_message_set_config(reply, config->offset, data, size, config->flags);
	return 0;
}

static int set_config(struct vu_backend *backend, struct vu_message *msg, struct vu_message *reply)
{
	const struct vhost_user_config *config = &msg->payload.config;
	const struct vu_device *device = &backend->device;

	(void)reply;
	if (!device->ops->set_config || !config_range_ok(backend, config))
		return -EINVAL;
	return device->ops->set_config(device->dev, config->data, config->offset, config->size);
}

static int set_backend_req_fd(struct vu_backend *backend, struct vu_message *msg,
			      struct vu_message *reply)
{
	(void)reply;
	fd_close(&backend->request_fd);
	backend->request_fd = vu_message_take_fd(msg, 0);
	return 0;
}

/* ---- requests in flight ---- */

static int get_inflight_fd(struct vu_backend *backend, struct vu_message *msg,
			   struct vu_message *reply)
{
	const struct vhost_user_inflight *wanted = &msg->payload.inflight;
	int fd = -EINVAL;

	if (wanted->num_queues <= backend->device.num_queues &&
	    wanted->queue_size <= backend->device.max_queue_size)
		fd = inflight_area_create(wanted->num_queues, wanted->queue_size,
					  &reply->payload.inflight);
	/* a refusal has a size of 0 and no descriptor */
	vu_message_set_size(reply, sizeof(reply->payload.inflight));
	if (fd >= 0)
		vu_message_add_fd(reply, fd);
	return 0;
}

static int set_inflight_fd(struct vu_backend *backend, struct vu_message *msg,
			   struct vu_message *reply)
{
	unsigned int i;
	int ret, error;

	(void)reply;
	vu_rings_stop(backend);
	for (i = 0; i < backend->device.num_queues; i++)
		backend->rings[i].ran = false;
	ret = inflight_area_attach(&backend->inflight, &msg->payload.inflight, msg->fds[0]);
	error = vu_rings_update(backend);
	return ret ? ret : error;
}

/* ---- dispatch ---- */

static const vu_handler handlers[VHOST_USER_REQUEST_COUNT] = {
	[VHOST_USER_GET_FEATURES] = get_features,
	[VHOST_USER_SET_FEATURES] = set_features,
	[VHOST_USER_SET_OWNER] = set_owner,
	[VHOST_USER_RESET_OWNER] = reset_owner,
	[VHOST_USER_SET_MEM_TABLE] = set_mem_table,
	[VHOST_USER_SET_VRING_NUM] = set_vring_num,
	[VHOST_USER_SET_VRING_ADDR] = set_vring_addr,
	[VHOST_USER_SET_VRING_BASE] = set_vring_base,
	[VHOST_USER_GET_VRING_BASE] = get_vring_base,
	[VHOST_USER_SET_VRING_KICK] = set_vring_kick,
	[VHOST_USER_SET_VRING_CALL] = set_vring_call,
	[VHOST_USER_SET_VRING_ERR] = set_vring_err,
	[VHOST_USER_GET_PROTOCOL_FEATURES] = get_protocol_features,
	[VHOST_USER_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VHOST_USER_GET_QUEUE_NUM] = get_queue_num,
	[VHOST_USER_SET_VRING_ENABLE] = set_vring_enable,
	[VHOST_USER_SET_BACKEND_REQ_FD] = set_backend_req_fd,
	[VHOST_USER_GET_CONFIG] = get_config,
	[VHOST_USER_SET_CONFIG] = set_config,
	[VHOST_USER_GET_INFLIGHT_FD] = get_inflight_fd,
	[VHOST_USER_SET_INFLIGHT_FD] = set_inflight_fd,
	[VHOST_USER_RESET_DEVICE] = reset_device,
	[VHOST_USER_GET_MAX_MEM_SLOTS] = get_max_mem_slots,
	[VHOST_USER_ADD_MEM_REG] = add_mem_reg,
	[VHOST_USER_REM_MEM_REG] = rem_mem_reg,
};

static int handle_request(struct vu_backend *backend, struct vu_message *msg,
			  struct vu_message *reply)
{
	const struct vu_device *device = &backend->device;

	if (handlers[msg->header.request])
		return handlers[msg->header.request](backend, msg, reply);
	if (device->ops->request)
		return device->ops->request(device->dev, msg);
	return -EOPNOTSUPP;
}

int vu_handle(struct vu_backend *backend, struct vu_message *msg)
{
	const char *name = vu_request_name(VU_REQUEST, msg->header.request);
	struct vu_message reply;
	int ret, sent = 0;

	log_debug("%s, %u bytes, %u descriptors", name, msg->header.size, msg->nfds);
	vu_message_init(&reply, VU_REPLY, msg->header.request);
	ret = handle_request(backend, msg, &reply);
	if (ret)
		log_ratelimited(LOG_LEVEL_WARNING, "%s from the front-end refused: %s", name,
				strerror(-ret));
	if (vu_message_needs_ack(msg, VU_REQUEST)) {
		vu_message_set_u64(&reply, ret ? 1 : 0);
		ret = 0;
	}
	if (!ret && (msg->header.flags & VHOST_USER_FLAG_NEED_REPLY ||
		     vu_request_has_reply(VU_REQUEST, msg->header.request)))
		sent = vu_send(backend->sock, &reply, VU_REPLY, deadline_after_ms(SEND_TIMEOUT_MS));
	vu_message_finish(&reply);
	return ret ? ret : sent;
}
