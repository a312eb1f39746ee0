// SPDX-License-Identifier: BSD-3-Clause
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agreed.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "memfd.h"
#include "vhost-user/socket.h"

#define HOLD_MS 2
#define LOOK_MS 1 /* between two looks at the rings while kicks are suppressed */
#define SEND_MS 5000

#define FEATURES                                                                   \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES) |   \
	 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) |          \
	 BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_MQ))
#define PROTOCOL                                                                        \
	(BIT_ULL(VHOST_USER_PROTOCOL_F_MQ) | BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
	 BIT_ULL(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG))

/* xorshift64: the same seed, the same rubbish */
static uint64_t next_random(struct hostile *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	return h->random;
}

static void fill_random(struct hostile *h, void *at, size_t len)
{
	uint8_t *p = at;

	while (len--)
		*p++ = (uint8_t)next_random(h);
}

/* ---- life ---- */

void hostile_init(struct hostile *h, const struct hostile_options *options, struct disk *disk)
{
	unsigned int i;

	memset(h, 0, sizeof(*h));
	h->options = options;
	h->script = options->script;
	h->disk = disk;
	h->random = options->seed ? options->seed : 88172645463325252ULL;
	h->sock = -1;
	h->channel = -1;
	h->inflight_fd = -1;
	h->memory.fd = -1;
	vu_reader_init(&h->reader);
	for (i = 0; i < QUEUES_MAX; i++)
		h->rings[i] = (struct ring){ .index = i, .kick_fd = -1, .call_fd = -1 };
}

static void forget_memory(struct hostile *h)
{
	if (h->memory.map)
		munmap(h->memory.map, h->memory.offset + h->memory.size);
	h->memory.map = NULL;
	fd_close(&h->memory.fd);
}

/* What belongs to a connection; the script goes on counting. */
static void forget_connection(struct hostile *h)
{
	unsigned int i;

	for (i = 0; i < QUEUES_MAX; i++) {
		fd_close(&h->rings[i].kick_fd);
		fd_close(&h->rings[i].call_fd);
		h->rings[i] = (struct ring){ .index = i, .kick_fd = -1, .call_fd = -1 };
	}
	h->num_held = 0;
	h->through = false;
	h->offered = h->protocol_offered = h->features = h->protocol = 0;
	vu_reader_finish(&h->reader);
	forget_memory(h);
	fd_close(&h->inflight_fd);
	fd_close(&h->channel);
	fd_close(&h->sock);
}

void hostile_finish(struct hostile *h)
{
	forget_connection(h);
}

/* ---- what any event can meet ---- */

static void wait_ms(int64_t ms)
{
	deadline_t deadline = deadline_after_ms((uint64_t)ms);

	while (!deadline_passed(deadline))
		poll(NULL, 0, deadline_poll_ms(deadline));
}

/* True: the connection is over. */
static bool meet(struct hostile *h, const struct rule *rule)
{
	if (!rule)
		return false;
	log_info("%s: action %d, number %lld", rule->event, (int)rule->action,
		 (long long)rule->number);
	switch (rule->action) {
	case ACTION_CLOSE:
		return true;
	case ACTION_EXIT:
		exit((int)rule->number);
	case ACTION_STOP:
		raise(SIGSTOP);
		return false;
	case ACTION_DELAY:
		wait_ms(rule->number);
		return false;
	default:
		return h->quit;
	}
}

/* ---- sending what no codec would ---- */

/* Whatever is sent may not be wanted: a peer that is gone is noticed by the next read. */
static void send_bytes(int sock, const void *data, size_t len, const int *fds, unsigned int nfds)
{
	struct iovec iov = { (void *)data, len };
	deadline_t deadline = deadline_after_ms(SEND_MS);

	while (iov.iov_len) {
		ssize_t n = socket_send(sock, &iov, 1, fds, nfds);

		if (n == -EAGAIN && poll_fd(sock, POLLOUT, deadline) > 0)
			continue;
		if (n < 0)
			return;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		nfds = 0;
	}
}

static void send_message(int sock, const struct vu_message *msg, size_t len)
{
	uint8_t bytes[sizeof(msg->header) + sizeof(msg->payload)];

	memcpy(bytes, &msg->header, sizeof(msg->header));
	memcpy(bytes + sizeof(msg->header), &msg->payload, sizeof(msg->payload));
	send_bytes(sock, bytes, MIN(len, sizeof(bytes)), msg->fds, msg->nfds);
}

static void send_garbage(struct hostile *h, int sock, int64_t len)
{
	uint8_t bytes[4096];
	size_t n = MIN((size_t)len, sizeof(bytes));

	if (sock < 0)
		return;
	fill_random(h, bytes, n);
	send_bytes(sock, bytes, n, NULL, 0);
}

/* The answer, as the rule has it. True: the connection is over. */
static bool send_reply(struct hostile *h, struct vu_message *msg, const struct rule *rule)
{
	size_t whole = sizeof(msg->header) + msg->header.size;
	int64_t number = rule ? rule->number : 0;
	unsigned int i;

	switch (rule ? rule->action : ACTION_NONE) {
	case ACTION_IGNORE:
		return false;
	case ACTION_VALUE:
	case ACTION_FAIL:
		msg->payload.u64 = (uint64_t)number;
		break;
	case ACTION_SIZE:
		msg->header.size = (uint32_t)number;
		whole = sizeof(msg->header) + msg->header.size;
		break;
	case ACTION_CLAIM:
		msg->header.size = (uint32_t)number;
		break;
	case ACTION_SHORT:
		send_message(h->sock, msg, (size_t)number);
		return true;
	case ACTION_REQUEST:
		msg->header.request = (uint32_t)number;
		break;
	case ACTION_FLAGS:
		msg->header.flags = (uint32_t)number;
		break;
	case ACTION_GARBAGE:
		send_garbage(h, h->sock, number);
		return false;
	case ACTION_FDS:
		for (i = 0; i < MIN((unsigned int)number, (unsigned int)VHOST_USER_MAX_FDS); i++)
			msg->fds[i] = STDERR_FILENO;
		msg->nfds = i;
		break;
	case ACTION_TWICE:
		send_message(h->sock, msg, whole);
		break;
	default:
		break;
	}
	send_message(h->sock, msg, whole);
	return false;
}

static void use_channel(struct hostile *h, const struct rule *rule)
{
	struct vu_message msg;
	int64_t i;

	if (!rule || h->channel < 0)
		return;
	if (rule->action == ACTION_CHANNEL_GARBAGE) {
		send_garbage(h, h->channel, rule->number);
	} else if (rule->action == ACTION_CHANNEL_REQUEST) {
		vu_message_init(&msg, VU_BACKEND_REQUEST, (uint32_t)rule->number);
		msg.header.flags |= VHOST_USER_FLAG_NEED_REPLY;
		vu_message_set_state(&msg, 0, 0);
		send_message(h->channel, &msg, sizeof(msg.header) + msg.header.size);
	} else if (rule->action == ACTION_CONFIG_CHANGE) {
		vu_message_init(&msg, VU_BACKEND_REQUEST, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
		for (i = 0; i < rule->number; i++)
			send_message(h->channel, &msg, sizeof(msg.header));
	}
}

/* ---- messages ---- */

static struct ring *find_ring(struct hostile *h, uint64_t index)
{
	return index < QUEUES_MAX ? &h->rings[index] : NULL;
}

static int set_memory(struct hostile *h, struct vu_message *msg)
{
	const struct vhost_user_memory_region *region = &msg->payload.memory.regions[0];
	struct memory *m = &h->memory;
	uint64_t length;
	unsigned int i;
	off_t end;

	forget_memory(h);
	if (!msg->payload.memory.nregions || msg->nfds != msg->payload.memory.nregions)
		return -EPROTO;
	m->fd = vu_message_take_fd(msg, 0);
	m->guest = region->guest_addr;
	m->user = region->user_addr;
	m->size = region->size;
	m->offset = region->mmap_offset;
	/* Several are parts of one file, as far apart there as by their addresses. */
	for (i = 1; i < msg->payload.memory.nregions; i++) {
		if (region[i].guest_addr < m->guest ||
		    region[i].guest_addr - m->guest != region[i].mmap_offset - m->offset)
			return -EPROTO;
		m->size = MAX(m->size, region[i].guest_addr - m->guest + region[i].size);
	}
	length = m->size + m->offset;
	end = lseek(m->fd, 0, SEEK_END);
	if (end >= 0 && (uint64_t)end < length) /* memory of the kernel's has no end */
		return -EPROTO;
	m->map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (m->map == MAP_FAILED) {
		m->map = NULL;
		return -errno;
	}
	return 0;
}

static int set_vring_addr(struct hostile *h, const struct vhost_user_vring_addr *addr)
{
	struct ring *r = find_ring(h, addr->index);

	if (!r)
		return -EPROTO;
	r->desc_user = addr->descriptor;
	r->avail_user = addr->available;
	r->used_user = addr->used;
	r->event_idx = h->features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	return ring_map(r, &h->memory);
}

static int set_vring_fd(struct hostile *h, struct vu_message *msg)
{
	struct ring *r = find_ring(h, msg->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	int fd = vu_message_take_fd(msg, 0);
	int *slot;

	if (!r) {
		fd_close(&fd);
		return -EPROTO;
	}
	slot = msg->header.request == VHOST_USER_SET_VRING_KICK ? &r->kick_fd : &r->call_fd;
	fd_close(slot);
	*slot = fd;
	if (slot == &r->kick_fd && r->desc) {
		r->started = true;
		ring_want_kicks(r, !h->options->suppress);
	}
	return 0;
}

static int set_vring_state(struct hostile *h, struct vu_message *msg)
{
	struct ring *r = find_ring(h, msg->payload.state.index);
	uint32_t num = msg->payload.state.num;

	if (!r)
		return -EPROTO;
	switch (msg->header.request) {
	case VHOST_USER_SET_VRING_NUM:
		r->num = num;
		return num && num <= RING_MAX && !(num & (num - 1)) ? 0 : -EPROTO;
	case VHOST_USER_SET_VRING_BASE:
		r->last_avail = (uint16_t)num;
		return 0;
	case VHOST_USER_SET_VRING_ENABLE:
		r->enabled = num;
		return 0;
	default: /* GET_VRING_BASE */
		r->started = false;
		msg->payload.state.num = r->last_avail;
		return 0;
	}
}

/* A stopped ring gives nothing back any more; what waits is completed first. */
static void complete_held(struct hostile *h, bool all);

/* Does the work, and makes the reply's payload where there is one of its own. */
static int carry_out(struct hostile *h, struct vu_message *msg)
{
	const struct hostile_options *o = h->options;

	switch (msg->header.request) {
	case VHOST_USER_GET_FEATURES:
		vu_message_set_u64(msg, o->features ? o->features : FEATURES);
		return 0;
	case VHOST_USER_SET_FEATURES:
		h->features = msg->payload.u64;
		return 0;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		vu_message_set_u64(msg, o->protocol_features ? o->protocol_features : PROTOCOL);
		return 0;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		h->protocol = msg->payload.u64;
		return 0;
	case VHOST_USER_GET_QUEUE_NUM:
		vu_message_set_u64(msg, o->queues);
		return 0;
	case VHOST_USER_SET_CONFIG: /* a disk has one field to write to */
		h->through = !msg->payload.config.data[0];
		return 0;
	case VHOST_USER_RESET_DEVICE:
		h->through = false;
		return 0;
	case VHOST_USER_GET_INFLIGHT_FD:
		return agreed_inflight(h, msg);
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_NET_SET_MTU:
	case VHOST_USER_SET_INFLIGHT_FD:
		return 0;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		fd_close(&h->channel);
		h->channel = vu_message_take_fd(msg, 0);
		return 0;
	case VHOST_USER_GET_CONFIG:
		disk_config(h->disk, o->queues, !h->through, msg->payload.config.data,
			    MIN(msg->payload.config.size, (uint32_t)VHOST_USER_MAX_CONFIG_SIZE));
		return 0;
	case VHOST_USER_SET_MEM_TABLE:
		return set_memory(h, msg);
	case VHOST_USER_SET_VRING_ADDR:
		return set_vring_addr(h, &msg->payload.addr);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
		return set_vring_fd(h, msg);
	case VHOST_USER_GET_VRING_BASE:
		complete_held(h, true);
		return set_vring_state(h, msg);
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		return set_vring_state(h, msg);
	default: /* of no protocol feature that it knows */
		return -ENOSYS;
	}
}

/* True: the connection is over. */
static bool answer(struct hostile *h, struct vu_message *msg)
{
	uint32_t request = msg->header.request;
	const struct rule *rule = script_event(&h->script, vu_request_name(VU_REQUEST, request));
	bool ack = vu_message_needs_ack(msg, VU_REQUEST);
	bool over = false;
	int ret;

	if (meet(h, rule)) {
		vu_message_finish(msg);
		return true;
	}
	if (!agreed_allows(h, msg)) {
		log_error("%s was not agreed upon", vu_request_name(VU_REQUEST, request));
		vu_message_finish(msg);
		return true;
	}
	ret = carry_out(h, msg);
	vu_message_finish(msg);
	if (ret == -ENOSYS) {
		log_error("%s is not known", vu_request_name(VU_REQUEST, request));
		return true;
	}
	msg->nfds = 0;
	agreed_note(h, msg, rule);
	if (request == VHOST_USER_GET_INFLIGHT_FD && h->inflight_fd >= 0)
		vu_message_add_fd(msg, h->inflight_fd);
	msg->header.flags = VHOST_USER_VERSION | VHOST_USER_FLAG_REPLY;
	if (ack)
		vu_message_set_u64(msg, (uint64_t)-ret);
	if (ack || vu_request_has_reply(VU_REQUEST, request))
		over = send_reply(h, msg, rule);
	else if (rule && rule->action == ACTION_GARBAGE)
		send_garbage(h, h->sock, rule->number);
	use_channel(h, rule);
	return over;
}

/* ---- requests ---- */

static void complete_one(struct hostile *h, const struct held *held)
{
	const struct rule *rule = script_event(&h->script, "complete");
	uint32_t id = held->head, len = held->len;

	if (meet(h, rule))
		h->quit = true;
	switch (rule ? rule->action : ACTION_NONE) {
	case ACTION_USED_ID:
		id = (uint32_t)rule->number;
		break;
	case ACTION_USED_LEN:
		len = (uint32_t)rule->number;
		break;
	case ACTION_DROP:
		return;
	case ACTION_AGAIN:
		ring_push(held->ring, id, len);
		break;
	case ACTION_JOIN:
		ring_join(held->ring);
		break;
	default:
		break;
	}
	ring_push(held->ring, id, len);
}

static unsigned int pick(struct hostile *h)
{
	switch (h->options->order) {
	case ORDER_LIFO:
		return h->num_held - 1;
	case ORDER_RANDOM:
		return (unsigned int)(next_random(h) % h->num_held);
	default:
		return 0;
	}
}

static deadline_t first_due(const struct hostile *h)
{
	deadline_t due = DEADLINE_NEVER;
	unsigned int i;

	for (i = 0; i < h->num_held; i++)
		due = MIN(due, h->held[i].due);
	return due;
}

/* Completes in the chosen order, when enough wait or the first one's time has come. */
static void complete_held(struct hostile *h, bool all)
{
	unsigned int i;

	if (!h->num_held)
		return;
	if (!all && h->num_held < h->options->hold && !deadline_passed(first_due(h)))
		return;
	if (!all && h->options->delay_ms && !deadline_passed(first_due(h)))
		return;
	while (h->num_held) {
		i = pick(h);
		complete_one(h, &h->held[i]);
		h->num_held--;
		memmove(&h->held[i], &h->held[i + 1], (h->num_held - i) * sizeof(h->held[0]));
	}
	for (i = 0; i < QUEUES_MAX; i++) {
		if (h->rings[i].started)
			ring_notify(&h->rings[i]);
	}
}

static void hold(struct hostile *h, struct ring *r, uint32_t len)
{
	unsigned int wait = h->options->delay_ms;

	if (!wait && h->options->hold)
		wait = HOLD_MS;
	h->held[h->num_held++] = (struct held){
		.ring = r,
		.head = h->chain.head,
		.len = len,
		.due = wait ? deadline_after_ms(wait) : DEADLINE_NOW,
	};
}

static void take_requests(struct hostile *h, struct ring *r)
{
	int ret;

	while (h->num_held < RING_MAX && (ret = ring_pop(r, &h->memory, &h->chain)) != 0) {
		if (ret < 0) /* its own rubbish, as likely as not */
			log_info("virtqueue %u: nonsense in the ring", r->index);
		else
			hold(h, r, disk_request(h->disk, &h->chain));
	}
}

static void serve_ring(struct hostile *h, struct ring *r)
{
	do {
		take_requests(h, r);
		ring_want_kicks(r, !h->options->suppress);
		/* what came before the wish was seen */
	} while (!h->options->suppress && ring_pending(r) && h->num_held < RING_MAX);
}

/* ---- tampering ---- */

static void tamper(struct hostile *h, struct ring *r, const struct rule *rule)
{
	int64_t i;

	switch (rule->action) {
	case ACTION_SCRIBBLE_POOL:
		fill_random(h, h->memory.map + h->memory.offset, h->memory.size);
		break;
	case ACTION_SCRIBBLE_RINGS:
		fill_random(h, r->desc, sizeof(*r->desc) * r->num);
		fill_random(h, r->avail, 6 + 2 * (size_t)r->num);
		fill_random(h, r->used, 6 + 8 * (size_t)r->num);
		break;
	case ACTION_SCRIBBLE_USED:
		fill_random(h, r->used->ring, 8 * (size_t)r->num);
		break;
	case ACTION_PUNCH:
		memfd_punch(h->memory.fd, (off_t)h->memory.offset, (off_t)h->memory.size);
		break;
	case ACTION_STALL:
		memfd_stall(h->memory.fd);
		break;
	case ACTION_STORM:
		for (i = 0; i < rule->number; i++)
			ring_call(r);
		break;
	case ACTION_USED_JUMP:
		r->used_idx += (uint16_t)rule->number;
		ring_show(r);
		ring_call(r);
		break;
	case ACTION_ENTRY_MOVE:
		r->desc[0].addr = (uint64_t)rule->number;
		break;
	default:
		return;
	}
	ring_call(r);
}

/* True: the connection is over. */
static bool kicked(struct hostile *h, struct ring *r)
{
	const struct rule *rule;
	uint64_t count;

	if (read(r->kick_fd, &count, sizeof(count)) < 0)
		return false;
	r->kicks++;
	rule = script_event(&h->script, "kick");
	if (meet(h, rule))
		return true;
	if (!r->enabled && (h->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES)))
		return false;
	if (rule)
		tamper(h, r, rule);
	serve_ring(h, r);
	return false;
}

/* ---- the loop ---- */

static bool read_messages(struct hostile *h, int *error)
{
	struct vu_message msg;
	int ret;

	ret = vu_reader_read(&h->reader, h->sock, VU_REQUEST, &msg);
	if (ret == -EAGAIN)
		return false;
	if (ret) {
		*error = ret == -ECONNRESET ? 0 : ret;
		return true;
	}
	return answer(h, &msg);
}

/* Whatever comes on the channel are answers that nobody waits for. */
static void drain_channel(struct hostile *h)
{
	char bytes[256];
	ssize_t n = recv(h->channel, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		fd_close(&h->channel);
}

static int loop_timeout(const struct hostile *h)
{
	int timeout = deadline_poll_ms(first_due(h));

	if (h->options->suppress && (timeout < 0 || timeout > LOOK_MS))
		return LOOK_MS;
	return timeout;
}

static void look_at_rings(struct hostile *h)
{
	unsigned int i;

	for (i = 0; i < QUEUES_MAX; i++) {
		if (h->options->suppress && h->rings[i].started && h->rings[i].enabled)
			serve_ring(h, &h->rings[i]);
	}
	complete_held(h, false);
}

int hostile_serve(struct hostile *h, int sock)
{
	struct pollfd fds[2 + QUEUES_MAX];
	bool over = false;
	int error = 0;
	unsigned int i;

	h->sock = sock;
	h->quit = false;
	if (meet(h, script_event(&h->script, "connect")))
		over = true;
	while (!over && !h->quit) {
		fds[0] = (struct pollfd){ .fd = h->sock, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = h->channel, .events = POLLIN };
		for (i = 0; i < QUEUES_MAX; i++)
			fds[2 + i] = (struct pollfd){
				.fd = h->rings[i].started ? h->rings[i].kick_fd : -1,
				.events = POLLIN,
			};
		if (poll(fds, ARRAY_SIZE(fds), loop_timeout(h)) < 0 && errno != EINTR)
			break;
		for (i = 0; i < QUEUES_MAX && !over; i++) {
			if (fds[2 + i].revents)
				over = kicked(h, &h->rings[i]);
		}
		if (fds[1].revents && h->channel >= 0)
			drain_channel(h);
		if (!over && fds[0].revents)
			over = read_messages(h, &error);
		look_at_rings(h);
	}
	forget_connection(h);
	return error;
}
