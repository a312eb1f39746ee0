// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/unwanted.h"
#include "common/util.h"

/*
 * What this front-end implements. BACKEND_SEND_FD and what builds on it (HOST_NOTIFIER, SHMEM) is
 * left out: there is nothing that a descriptor of the back-end could be used for. GPA_ADDRESSES
 * means two things in the wild.
 */
#define PROTOCOL_FEATURES                                                                     \
	(BIT_ULL(VHOST_USER_PROTOCOL_F_MQ) | BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) |       \
	 BIT_ULL(VHOST_USER_PROTOCOL_F_MTU) | BIT_ULL(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |    \
	 BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG) |                                              \
	 BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |                                      \
	 BIT_ULL(VHOST_USER_PROTOCOL_F_RESET_DEVICE))

/* A back-end that talks on its channel without end must not keep an exchange from its reply. */
#define CHANNEL_BURST 16

/* ---- the back-end channel ---- */

static int channel_answer(struct frontend *fe, const struct vu_message *request, uint64_t status)
{
	struct vu_message reply;
	int ret;

	/* one with an answer of its own is refused by that: the back-end waits for it */
	if (!vu_message_needs_ack(request, VU_BACKEND_REQUEST) &&
	    !vu_request_has_reply(VU_BACKEND_REQUEST, request->header.request))
		return 0;
	vu_message_init(&reply, VU_BACKEND_REPLY, request->header.request);
	vu_message_set_u64(&reply, status);
	/* Whoever asks for answers and does not read them is not waited for. */
	ret = vu_send(fe->channel, &reply, VU_BACKEND_REPLY, DEADLINE_NOW);
	return ret == -ETIMEDOUT ? -EPROTO : ret;
}

static int channel_request(struct frontend *fe, const struct vu_message *msg)
{
	uint32_t request = msg->header.request;

	if (request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG &&
	    frontend_has(fe, VHOST_USER_PROTOCOL_F_CONFIG)) {
		/*
		 * The new configuration is fetched later: a back-end may wait for this very answer
		 * before it takes GET_CONFIG.
		 */
		fe->config_changed = true;
		return channel_answer(fe, msg, 0);
	}
	log_ratelimited(LOG_LEVEL_WARNING,
			"the back-end asks for %s, which was not agreed upon: refused",
			vu_request_name(VU_BACKEND_REQUEST, request));
	return channel_answer(fe, msg, EOPNOTSUPP);
}

/* One request. 0, -EAGAIN when there is none, or an error. */
static int channel_read_one(struct frontend *fe)
{
	struct vu_message msg;
	int ret;

	ret = vu_reader_read(&fe->channel_reader, fe->channel, VU_BACKEND_REQUEST, &msg);
	if (ret)
		return ret;
	ret = channel_request(fe, &msg);
	vu_message_finish(&msg);
	return ret;
}

int frontend_channel_ready(struct frontend *fe)
{
	int i, ret = 0;

	for (i = 0; i < CHANNEL_BURST && !ret; i++)
		ret = channel_read_one(fe);
	if (!ret || ret == -EAGAIN)
		return 0;
	if (ret == -EBADFD)
		fe->left_open = true;
	if (ret == -ECONNRESET) { /* its right: it has no more to ask */
		fd_close(&fe->channel);
		vu_reader_finish(&fe->channel_reader);
		return 0;
	}
	return failure_set(&fe->failure, ret,
			   "the back-end broke the vhost-user protocol on its own channel (%s)",
			   strerror(-ret));
}

/* ---- exchanges ---- */

static int exchange_failed(struct frontend *fe, uint32_t request, int error)
{
	const char *name = vu_request_name(VU_REQUEST, request);

	switch (error) {
	case -ECONNRESET:
		return failure_set(&fe->failure, error, "the back-end closed the connection at %s",
				   name);
	case -ETIMEDOUT:
		return failure_set(&fe->failure, error, "the back-end does not answer %s in time",
				   name);
	case -EBADFD:
		fe->left_open = true;
		return failure_set(&fe->failure, error,
				   "the back-end sends a file with its answer to %s that is not in "
				   "memory, or not asked for: it stays open",
				   name);
	case -EPROTO:
	case -EOPNOTSUPP:
		return failure_set(&fe->failure, -EPROTO,
				   "the answer to %s is no vhost-user message: is this socket a "
				   "vhost-user back-end's?",
				   name);
	default:
		return failure_set(&fe->failure, error, "%s: %s", name, strerror(-error));
	}
}

/* Waits until the socket has something, and answers the channel meanwhile. */
static int wait_reply(struct frontend *fe, deadline_t deadline)
{
	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = fe->sock, .events = POLLIN },
			{ .fd = fe->channel, .events = POLLIN },
		};
		int ret = poll(fds, 2, deadline_poll_ms(deadline));

		if (ret < 0 && errno != EINTR)
			return -errno;
		/* First what was said first: an answer may rest on what came on the channel. */
		if (ret > 0 && fds[1].revents) {
			int error = frontend_channel_ready(fe);

			if (error)
				return error;
		}
		if (ret > 0 && fds[0].revents)
			return 0;
		if (deadline_passed(deadline))
			return -ETIMEDOUT;
	}
}

static int receive_reply(struct frontend *fe, uint32_t request, struct vu_message *msg,
			 deadline_t deadline)
{
	int ret;

	/* of all that is asked for here, one thing is a descriptor */
	fe->reader.max_fds = request == VHOST_USER_GET_INFLIGHT_FD ? 1 : 0;
	do {
		ret = wait_reply(fe, deadline);
		if (!ret)
			ret = vu_reader_read(&fe->reader, fe->sock, VU_REPLY, msg);
	} while (ret == -EAGAIN);
	fe->reader.max_fds = 0;
	if (!ret && msg->header.request != request)
		ret = vu_message_abandon(msg) ? -EBADFD : -EPROTO;
	/* also half of a message, and then silence, can have brought one */
	if (ret && vu_reader_finish(&fe->reader))
		ret = -EBADFD;
	return ret;
}

/*
 * Sends a request and takes its reply, if there is one to come: of its own, or with REPLY_ACK as an
 * acknowledgement. On 0 @msg holds the reply (its descriptors are the caller's to release).
 */
static int exchange(struct frontend *fe, struct vu_message *msg, deadline_t deadline)
{
	uint32_t request = msg->header.request;
	bool reply = vu_request_has_reply(VU_REQUEST, request);
	bool ack = !reply && frontend_has(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	int ret;

	if (ack)
		msg->header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	ret = vu_send(fe->sock, msg, VU_REQUEST, deadline);
	if (!ret && (reply || ack))
		ret = receive_reply(fe, request, msg, deadline);
	if (ret)
		return exchange_failed(fe, request, ret);
	/* without a reply it is still the request, whose descriptors are the caller's */
	if (!ack)
		return 0;
	vu_message_finish(msg);
	if (msg->payload.u64)
		return failure_set(&fe->failure, -EREMOTEIO, "the back-end refused %s",
				   vu_request_name(VU_REQUEST, request));
	return 0;
}

static int command(struct frontend *fe, uint32_t request, deadline_t deadline)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	return exchange(fe, &msg, deadline);
}

static int set_u64(struct frontend *fe, uint32_t request, uint64_t value, deadline_t deadline)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	vu_message_set_u64(&msg, value);
	return exchange(fe, &msg, deadline);
}

static int get_u64(struct frontend *fe, uint32_t request, uint64_t *value, deadline_t deadline)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, request);
	ret = exchange(fe, &msg, deadline);
	if (ret)
		return ret;
	*value = msg.payload.u64;
	vu_message_finish(&msg);
	return 0;
}

static int set_state(struct frontend *fe, uint32_t request, unsigned int index, uint32_t num,
		     deadline_t deadline)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	vu_message_set_state(&msg, index, num);
	return exchange(fe, &msg, deadline);
}

static int set_vring_fd(struct frontend *fe, uint32_t request, unsigned int index, int fd,
			deadline_t deadline)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, request);
	vu_message_set_vring_fd(&msg, index, fd);
	return exchange(fe, &msg, deadline);
}

/* ---- the handshake ---- */

void frontend_init(struct frontend *fe)
{
	*fe = (struct frontend){ .sock = -1, .channel = -1 };
	vu_reader_init(&fe->reader);
	vu_reader_init(&fe->channel_reader);
	fe->reader.max_fds = 0;
	fe->channel_reader.max_fds = 0; /* BACKEND_SEND_FD is not agreed upon */
	fe->reader.foreign = true;
	fe->channel_reader.foreign = true;
}

void frontend_finish(struct frontend *fe)
{
	vu_reader_finish(&fe->reader);
	vu_reader_finish(&fe->channel_reader);
	if (unwanted_close(&fe->sock))
		fe->left_open = true;
	if (unwanted_close(&fe->channel))
		fe->left_open = true;
	fe->config_changed = false;
}

void frontend_leave(struct frontend *fe)
{
	fd_close(&fe->sock);
	fd_close(&fe->channel);
	frontend_finish(fe);
}

static int open_channel(struct frontend *fe, deadline_t deadline)
{
	_cleanup_close_ int theirs = -1;
	struct vu_message msg;
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return failure_set(&fe->failure, -errno, "socketpair: %s", strerror(errno));
	fe->channel = pair[0];
	theirs = pair[1];
	unwanted_refuse(fe->channel, true);
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_BACKEND_REQ_FD);
	ret = vu_message_add_fd(&msg, theirs);
	return ret ? ret : exchange(fe, &msg, deadline);
}

static int negotiate_protocol(struct frontend *fe, deadline_t deadline)
{
	uint64_t offered, queues;
	int ret;

	ret = get_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &offered, deadline);
	if (ret)
		return ret;
	/* REPLY_ACK counts from the next message on */
	ret = set_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, offered & PROTOCOL_FEATURES, deadline);
	if (ret)
		return ret;
	fe->protocol = offered & PROTOCOL_FEATURES;
	if (!frontend_has(fe, VHOST_USER_PROTOCOL_F_MQ))
		return 0;
	ret = get_u64(fe, VHOST_USER_GET_QUEUE_NUM, &queues, deadline);
	if (ret)
		return ret;
	if (!queues)
		return failure_set(&fe->failure, -EPROTO,
				   "the back-end says that it has no virtqueue");
	fe->max_queues = (unsigned int)MIN(queues, (uint64_t)VHOST_USER_MAX_QUEUES);
	return 0;
}

int frontend_handshake(struct frontend *fe, int sock, deadline_t deadline)
{
	int ret;

	frontend_finish(fe);
	failure_clear(&fe->failure);
	fe->sock = sock;
	unwanted_refuse(sock, true); /* it need not have been connected to by a path */
	fe->protocol = 0;
	fe->max_queues = 0;
	ret = get_u64(fe, VHOST_USER_GET_FEATURES, &fe->features, deadline);
	if (ret)
		return ret;
	if (fe->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES)) {
		ret = negotiate_protocol(fe, deadline);
		if (ret)
			return ret;
	}
	ret = command(fe, VHOST_USER_SET_OWNER, deadline);
	if (!ret && frontend_has(fe, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		ret = open_channel(fe, deadline);
	return ret;
}

/* ---- commands ---- */

int frontend_get_config(struct frontend *fe, void *config, unsigned int size, deadline_t deadline)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_CONFIG);
	vu_message_set_config(&msg, 0, NULL, size, VHOST_USER_CONFIG_FLAG_WRITABLE);
	ret = exchange(fe, &msg, deadline);
	if (ret)
		return ret;
	vu_message_finish(&msg);
	if (msg.header.size != VHOST_USER_CONFIG_HEADER + size || msg.payload.config.size != size ||
	    msg.payload.config.offset)
		return failure_set(
			&fe->failure, -EPROTO,
			"the back-end does not give the %u bytes of configuration that this "
			"device type has: is the type right?",
			size);
	memcpy(config, msg.payload.config.data, size);
	return 0;
}

int frontend_set_config(struct frontend *fe, unsigned int offset, const void *data,
			unsigned int size, deadline_t deadline)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_CONFIG);
	vu_message_set_config(&msg, offset, data, size, VHOST_USER_CONFIG_FLAG_WRITABLE);
	return exchange(fe, &msg, deadline);
}

int frontend_set_features(struct frontend *fe, uint64_t features, deadline_t deadline)
{
	/* Without this bit SET_VRING_ENABLE would not be understood. */
	features |= fe->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES);
	return set_u64(fe, VHOST_USER_SET_FEATURES, features, deadline);
}

int frontend_set_mtu(struct frontend *fe, unsigned int mtu, deadline_t deadline)
{
	if (!frontend_has(fe, VHOST_USER_PROTOCOL_F_MTU))
		return 0;
	return set_u64(fe, VHOST_USER_NET_SET_MTU, mtu, deadline);
}

static int add_region(struct vu_message *msg, const struct memory_region *region,
		      uint64_t user_offset)
{
	struct vhost_user_memory *memory = &msg->payload.memory;

	memory->regions[memory->nregions++] = (struct vhost_user_memory_region){
		.guest_addr = region->base,
		.size = region->size,
		.user_addr = region->base + user_offset,
		.mmap_offset = region->offset,
	};
	return vu_message_add_fd(msg, region->fd);
}

int frontend_set_memory(struct frontend *fe, const struct memory_map *map, deadline_t deadline)
{
	struct vhost_user_memory *memory;
	struct vu_message msg;
	unsigned int i;
	int ret = 0;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_MEM_TABLE);
	memory = &msg.payload.memory;
	memory->nregions = 0;
	memory->padding = 0;
	for (i = 0; i < map->count && !ret; i++)
		ret = add_region(&msg, &map->regions[i], map->user_offset);
	if (ret)
		return ret;
	fe->user_offset = map->user_offset;
	vu_message_set_size(&msg, offsetof(struct vhost_user_memory, regions) +
					  memory->nregions * sizeof(memory->regions[0]));
	return exchange(fe, &msg, deadline);
}

int frontend_set_gpu_socket(struct frontend *fe, int fd, deadline_t deadline)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GPU_SET_SOCKET);
	ret = vu_message_add_fd(&msg, fd);
	/* back-ends that know REPLY_ACK do not answer this one either */
	if (!ret)
		ret = vu_send(fe->sock, &msg, VU_REQUEST, deadline);
	return ret ? exchange_failed(fe, VHOST_USER_GPU_SET_SOCKET, ret) : 0;
}

int frontend_get_inflight(struct frontend *fe, struct inflight *inflight, deadline_t deadline)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_INFLIGHT_FD);
	memset(&msg.payload.inflight, 0, sizeof(msg.payload.inflight));
	msg.payload.inflight.num_queues = (uint16_t)inflight->num_queues;
	msg.payload.inflight.queue_size = (uint16_t)inflight->queue_size;
	vu_message_set_size(&msg, sizeof(msg.payload.inflight));
	unwanted_refuse(fe->sock, false);
	ret = exchange(fe, &msg, deadline);
	unwanted_refuse(fe->sock, true);
	if (ret)
		return ret;
	inflight_finish(inflight);
	inflight->fd = vu_message_take_fd(&msg, 0);
	inflight->mmap_size = msg.payload.inflight.mmap_size;
	inflight->mmap_offset = msg.payload.inflight.mmap_offset;
	vu_message_finish(&msg);
	if (inflight->fd >= 0 && !inflight_is_memory(inflight)) {
		fe->left_open = true;
		return failure_set(&fe->failure, -EBADFD,
				   "the back-end's in-flight record is no file in memory "
				   "(GET_INFLIGHT_FD)");
	}
	if (inflight->fd >= 0 && inflight->mmap_size)
		return 0;
	inflight_finish(inflight);
	return failure_set(
		&fe->failure, -EPROTO,
		"the back-end offers an in-flight record and gives none (GET_INFLIGHT_FD)");
}

int frontend_set_inflight(struct frontend *fe, const struct inflight *inflight, deadline_t deadline)
{
	struct vu_message msg;
	int ret;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_INFLIGHT_FD);
	msg.payload.inflight = (struct vhost_user_inflight){
		.mmap_size = inflight->mmap_size,
		.mmap_offset = inflight->mmap_offset,
		.num_queues = (uint16_t)inflight->num_queues,
		.queue_size = (uint16_t)inflight->queue_size,
	};
	vu_message_set_size(&msg, sizeof(msg.payload.inflight));
	ret = vu_message_add_fd(&msg, inflight->fd);
	return ret ? ret : exchange(fe, &msg, deadline);
}

bool inflight_is_memory(struct inflight *inflight)
{
	if (fcntl(inflight->fd, F_GET_SEALS) >= 0)
		return true;
	/* left open: to close it can take for ever */
	inflight->fd = -1;
	return false;
}

void inflight_finish(struct inflight *inflight)
{
	fd_close(&inflight->fd);
}

static int set_vring_addr(struct frontend *fe, const struct frontend_ring *ring,
			  deadline_t deadline)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_SET_VRING_ADDR);
	msg.payload.addr = (struct vhost_user_vring_addr){
		.index = ring->index,
		.descriptor = ring->descriptor + fe->user_offset,
		.available = ring->driver + fe->user_offset,
		.used = ring->device + fe->user_offset,
	};
	vu_message_set_size(&msg, sizeof(msg.payload.addr));
	return exchange(fe, &msg, deadline);
}

int frontend_start_ring(struct frontend *fe, const struct frontend_ring *ring, deadline_t deadline)
{
	unsigned int index = ring->index;
	int ret;

	ret = set_state(fe, VHOST_USER_SET_VRING_NUM, index, ring->num, deadline);
	if (!ret)
		ret = set_state(fe, VHOST_USER_SET_VRING_BASE, index, ring->base, deadline);
	if (!ret)
		ret = set_vring_addr(fe, ring, deadline);
	/* the call before the kick, which starts the ring */
	if (!ret)
		ret = set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, index, ring->call_fd, deadline);
	if (!ret)
		ret = set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, index, ring->kick_fd, deadline);
	/*
	 * "If PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled
	 * state"
	 */
	if (!ret && (fe->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES)))
		ret = frontend_enable_ring(fe, index, ring->enabled, deadline);
	return ret;
}

int frontend_enable_ring(struct frontend *fe, unsigned int index, bool enabled, deadline_t deadline)
{
	return set_state(fe, VHOST_USER_SET_VRING_ENABLE, index, enabled, deadline);
}

int frontend_stop_ring(struct frontend *fe, unsigned int index, uint32_t *base, deadline_t deadline)
{
	struct vu_message msg;
	int ret;

	if (fe->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES)) {
		ret = set_state(fe, VHOST_USER_SET_VRING_ENABLE, index, 0, deadline);
		if (ret)
			return ret;
	}
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_VRING_BASE);
	vu_message_set_state(&msg, index, 0);
	ret = exchange(fe, &msg, deadline);
	if (ret)
		return ret;
	vu_message_finish(&msg);
	if (msg.payload.state.index != index)
		return failure_set(&fe->failure, -EPROTO,
				   "the back-end answers GET_VRING_BASE for another virtqueue");
	*base = msg.payload.state.num;
	return 0;
}

int frontend_reset(struct frontend *fe, deadline_t deadline)
{
	if (!frontend_has(fe, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
		return 0;
	return command(fe, VHOST_USER_RESET_DEVICE, deadline);
}

int frontend_settle(struct frontend *fe, deadline_t deadline)
{
	/* each command has been acknowledged */
	if (frontend_has(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return 0;
	/* commands are worked through in order, so any answer means that those before are done */
	return frontend_ping(fe, deadline);
}

int frontend_ping(struct frontend *fe, deadline_t deadline)
{
	uint64_t features;

	return get_u64(fe, VHOST_USER_GET_FEATURES, &features, deadline);
}

/*
 * Replies come in order. So a question that is not asked otherwise is a mark: what comes before its
 * reply was asked by the last owner.
 */
int frontend_resume(struct frontend *fe, deadline_t deadline)
{
	const uint32_t mark = VHOST_USER_GET_PROTOCOL_FEATURES;
	struct vu_message msg;
	int ret;

	if (!(fe->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES)))
		return failure_set(&fe->failure, -EOPNOTSUPP,
				   "the last adapter was killed while it asked the back-end");
	vu_message_init(&msg, VU_REQUEST, mark);
	ret = vu_send(fe->sock, &msg, VU_REQUEST, deadline);
	while (!ret) {
		ret = wait_reply(fe, deadline);
		if (!ret)
			ret = vu_reader_read(&fe->reader, fe->sock, VU_REPLY, &msg);
		if (ret == -EAGAIN) {
			ret = 0;
			continue;
		}
		if (ret)
			break;
		vu_message_finish(&msg);
		if (msg.header.request == mark)
			return 0;
		/* one that has always something to say lets no wait run out */
		if (deadline_passed(deadline))
			ret = -ETIMEDOUT;
	}
	return exchange_failed(fe, mark, ret);
}

int frontend_socket_ready(struct frontend *fe)
{
	struct vu_message msg;
	int ret;

	ret = vu_reader_read(&fe->reader, fe->sock, VU_REPLY, &msg);
	if (ret == -EAGAIN)
		return 0;
	if (ret == -ECONNRESET)
		return failure_set(&fe->failure, ret, "the back-end closed the connection");
	if (!ret)
		vu_message_finish(&msg);
	if (ret == -EBADFD)
		fe->left_open = true;
	else
		ret = -EPROTO;
	return failure_set(&fe->failure, ret, "the back-end sends what nobody asked for");
}
