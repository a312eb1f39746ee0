// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/rules.h"

#include <errno.h>

#include "common/util.h"

/*
 * One form: bytes of payload and number of descriptors. Where programs in use disagree on padding
 * the range covers both.
 */
struct vu_form {
	uint16_t min_size;
	uint16_t max_size;
	uint8_t min_fds;
	uint8_t max_fds;
};

struct vu_rule {
	const char *name; /* NULL: no such message */
	struct vu_form request;
	struct vu_form reply;
	bool has_reply; /* one of its own; all others may get a REPLY_ACK */
};

/* clang-format off */
#define EMPTY { 0, 0, 0, 0 }
#define U64 { 8, 8, 0, 0 }
#define EXACT(type) { sizeof(type), sizeof(type), 0, 0 }
#define WITH_FD(type) { sizeof(type), sizeof(type), 1, 1 }
#define VRING_FD { 8, 8, 0, 1 }
#define CONFIG { VHOST_USER_CONFIG_HEADER, sizeof(struct vhost_user_config), 0, 0 }
#define IOTLB { 26, sizeof(struct vhost_user_iotlb), 0, 0 }
#define INFLIGHT(fds) { 20, sizeof(struct vhost_user_inflight), fds, fds }

#define F(id) [VHOST_USER_##id] = { .name = #id,
#define B(id) [VHOST_USER_BACKEND_##id] = { .name = #id,

static const struct vu_rule front_end_rules[VHOST_USER_REQUEST_COUNT] = {
	F(GET_FEATURES)		.request = EMPTY, .reply = U64, .has_reply = true },
	F(SET_FEATURES)		.request = U64, .reply = U64 },
	F(SET_OWNER)		.request = EMPTY, .reply = U64 },
	F(RESET_OWNER)		.request = EMPTY, .reply = U64 },
	F(SET_MEM_TABLE)	.request = { 8, sizeof(struct vhost_user_memory), 0,
					     VHOST_USER_MAX_FDS },
				.reply = { 8, sizeof(struct vhost_user_memory), 0, 0 } },
	/* a u64 before LOG_SHMFD; the reply is empty or a u64, by program */
	F(SET_LOG_BASE)		.request = { 8, sizeof(struct vhost_user_log), 0, 1 },
				.reply = { 0, 16, 0, 0 }, .has_reply = true },
	F(SET_LOG_FD)		.request = { 0, 8, 1, 1 }, .reply = U64 },
	F(SET_VRING_NUM)	.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	F(SET_VRING_ADDR)	.request = EXACT(struct vhost_user_vring_addr), .reply = U64 },
	F(SET_VRING_BASE)	.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	F(GET_VRING_BASE)	.request = EXACT(struct vhost_user_vring_state),
				.reply = EXACT(struct vhost_user_vring_state),
				.has_reply = true },
	F(SET_VRING_KICK)	.request = VRING_FD, .reply = U64 },
	F(SET_VRING_CALL)	.request = VRING_FD, .reply = U64 },
	F(SET_VRING_ERR)	.request = VRING_FD, .reply = U64 },
	F(GET_PROTOCOL_FEATURES) .request = EMPTY, .reply = U64, .has_reply = true },
	F(SET_PROTOCOL_FEATURES) .request = U64, .reply = U64 },
	F(GET_QUEUE_NUM)	.request = EMPTY, .reply = U64, .has_reply = true },
	F(SET_VRING_ENABLE)	.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	F(SEND_RARP)		.request = U64, .reply = U64 },
	F(NET_SET_MTU)		.request = U64, .reply = U64 },
	F(SET_BACKEND_REQ_FD)	.request = { 0, 8, 1, 1 }, .reply = U64 },
	F(IOTLB_MSG)		.request = IOTLB, .reply = U64 },
	F(SET_VRING_ENDIAN)	.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	/* an empty answer, or one with another size than asked for, is the back-end's error */
	F(GET_CONFIG)		.request = CONFIG,
				.reply = { 0, sizeof(struct vhost_user_config), 0, 0 },
				.has_reply = true },
	F(SET_CONFIG)		.request = CONFIG, .reply = U64 },
	F(CREATE_CRYPTO_SESSION) .request = { 0, VHOST_USER_MAX_PAYLOAD, 0, 0 },
				.reply = { 0, VHOST_USER_MAX_PAYLOAD, 0, 0 },
				.has_reply = true },
	F(CLOSE_CRYPTO_SESSION)	.request = U64, .reply = U64 },
	F(POSTCOPY_ADVISE)	.request = EMPTY, .reply = { 0, 8, 0, 1 }, .has_reply = true },
	F(POSTCOPY_LISTEN)	.request = EMPTY, .reply = U64 },
	F(POSTCOPY_END)		.request = EMPTY, .reply = U64, .has_reply = true },
	F(GET_INFLIGHT_FD)	.request = INFLIGHT(0),
				.reply = { 20, sizeof(struct vhost_user_inflight), 0, 1 },
				.has_reply = true },
	F(SET_INFLIGHT_FD)	.request = INFLIGHT(1), .reply = U64 },
	F(GPU_SET_SOCKET)	.request = { 0, 8, 1, 1 }, .reply = U64 },
	F(RESET_DEVICE)		.request = EMPTY, .reply = U64 },
	F(VRING_KICK)		.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	F(GET_MAX_MEM_SLOTS)	.request = EMPTY, .reply = U64, .has_reply = true },
	/* while postcopy listens, the answer is the region */
	F(ADD_MEM_REG)		.request = WITH_FD(struct vhost_user_single_region),
				.reply = { 8, 40, 0, 0 } },
	/* some front-ends send the descriptor here too; it is to be closed */
	F(REM_MEM_REG)		.request = { sizeof(struct vhost_user_single_region),
					     sizeof(struct vhost_user_single_region), 0, 1 },
				.reply = U64 },
	F(SET_STATUS)		.request = U64, .reply = U64 },
	F(GET_STATUS)		.request = EMPTY, .reply = U64, .has_reply = true },
	F(GET_SHARED_OBJECT)	.request = EXACT(struct vhost_user_shared),
				.reply = { 0, 16, 0, 1 }, .has_reply = true },
	F(SET_DEVICE_STATE_FD)	.request = WITH_FD(struct vhost_user_transfer_state),
				.reply = VRING_FD, .has_reply = true },
	F(CHECK_DEVICE_STATE)	.request = EMPTY, .reply = U64, .has_reply = true },
	F(GET_SHMEM_CONFIG)	.request = EMPTY,
				.reply = { 8, sizeof(struct vhost_user_shmem_config), 0, 0 },
				.has_reply = true },
};

static const struct vu_rule back_end_rules[VHOST_USER_BACKEND_REQUEST_COUNT] = {
	B(IOTLB_MSG)		.request = IOTLB, .reply = U64 },
	B(CONFIG_CHANGE_MSG)	.request = EMPTY, .reply = U64 },
	B(VRING_HOST_NOTIFIER_MSG) .request = { 24, 24, 0, 1 }, .reply = U64 },
	B(VRING_CALL)		.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	B(VRING_ERR)		.request = EXACT(struct vhost_user_vring_state), .reply = U64 },
	B(SHARED_OBJECT_ADD)	.request = EXACT(struct vhost_user_shared), .reply = U64 },
	B(SHARED_OBJECT_REMOVE)	.request = EXACT(struct vhost_user_shared), .reply = U64 },
	B(SHARED_OBJECT_LOOKUP)	.request = EXACT(struct vhost_user_shared),
				.reply = VRING_FD, .has_reply = true },
	B(SHMEM_MAP)		.request = WITH_FD(struct vhost_user_mmap), .reply = U64 },
	B(SHMEM_UNMAP)		.request = EXACT(struct vhost_user_mmap), .reply = U64 },
};
/* clang-format on */

static bool is_reply(enum vu_kind kind)
{
	return kind == VU_REPLY || kind == VU_BACKEND_REPLY;
}

static const struct vu_rule *find_rule(enum vu_kind kind, uint32_t request)
{
	const struct vu_rule *rules = front_end_rules;
	uint32_t count = VHOST_USER_REQUEST_COUNT;

	if (kind == VU_BACKEND_REQUEST || kind == VU_BACKEND_REPLY) {
		rules = back_end_rules;
		count = VHOST_USER_BACKEND_REQUEST_COUNT;
	}
	if (request >= count || !rules[request].name)
		return NULL;
	return &rules[request];
}

const char *vu_request_name(enum vu_kind kind, uint32_t request)
{
	const struct vu_rule *rule = find_rule(kind, request);

	return rule ? rule->name : "unknown";
}

bool vu_request_has_reply(enum vu_kind kind, uint32_t request)
{
	const struct vu_rule *rule = find_rule(kind, request);

	return rule && rule->has_reply;
}

static const struct vu_form *find_form(enum vu_kind kind, uint32_t request)
{
	const struct vu_rule *rule = find_rule(kind, request);

	if (!rule)
		return NULL;
	return is_reply(kind) ? &rule->reply : &rule->request;
}

int vu_check_header(const struct vhost_user_header *header, enum vu_kind kind)
{
	const struct vu_form *form = find_form(kind, header->request);

	if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return -EPROTO;
	if (header->flags & ~VHOST_USER_FLAGS_KNOWN)
		return -EPROTO;
	if (!!(header->flags & VHOST_USER_FLAG_REPLY) != is_reply(kind))
		return -EPROTO;
	if (!form)
		return -EOPNOTSUPP;
	if (header->size < form->min_size || header->size > form->max_size)
		return -EPROTO;
	return 0;
}

/* A config payload: the size inside must be that outside; a question may come without the bytes. */
static bool config_ok(const struct vu_message *msg, enum vu_kind kind)
{
	const struct vhost_user_config *config = &msg->payload.config;
	uint32_t size = msg->header.size;

	if (kind == VU_REPLY && size == 0) /* the back-end's way of saying no */
		return true;
	if (size < VHOST_USER_CONFIG_HEADER)
		return false;
	if (config->size > VHOST_USER_MAX_CONFIG_SIZE || config->size == 0)
		return false;
	if (kind == VU_REQUEST && msg->header.request == VHOST_USER_GET_CONFIG &&
	    size == VHOST_USER_CONFIG_HEADER)
		return true;
	return size == VHOST_USER_CONFIG_HEADER + config->size;
}

static bool memory_ok(const struct vu_message *msg)
{
	const struct vhost_user_memory *memory = &msg->payload.memory;

	if (memory->nregions > VHOST_USER_MEMORY_BASELINE_REGIONS || memory->nregions != msg->nfds)
		return false;
	return msg->header.size == 8 + memory->nregions * sizeof(memory->regions[0]);
}

static bool vring_fd_ok(const struct vu_message *msg)
{
	bool nofd = msg->payload.u64 & VHOST_USER_VRING_NOFD_MASK;

	return msg->nfds == (nofd ? 0 : 1);
}

static bool shmem_config_ok(const struct vu_message *msg)
{
	const struct vhost_user_shmem_config *config = &msg->payload.shmem;

	if (config->nregions > VHOST_USER_MAX_SHMEM_REGIONS)
		return false;
	return msg->header.size >= 8 + config->nregions * sizeof(config->sizes[0]) &&
	       msg->header.size % 8 == 0;
}

/* What the payload says about itself and about the descriptors beside it. */
static bool payload_ok(const struct vu_message *msg, enum vu_kind kind)
{
	uint32_t request = msg->header.request;

	if (kind == VU_BACKEND_REQUEST)
		return request != VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG || vring_fd_ok(msg);
	if (kind == VU_BACKEND_REPLY)
		return true;

	switch (request) {
	case VHOST_USER_GET_CONFIG:
		return config_ok(msg, kind);
	case VHOST_USER_SET_CONFIG:
		return kind == VU_REPLY || config_ok(msg, kind);
	case VHOST_USER_SET_MEM_TABLE:
		return kind == VU_REPLY || memory_ok(msg);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return kind == VU_REPLY || vring_fd_ok(msg);
	case VHOST_USER_SET_LOG_BASE:
		return kind == VU_REPLY || msg->header.size == (msg->nfds ? 16 : 8);
	case VHOST_USER_SET_DEVICE_STATE_FD:
		return kind == VU_REQUEST || vring_fd_ok(msg);
	case VHOST_USER_GET_SHMEM_CONFIG:
		return kind == VU_REQUEST || shmem_config_ok(msg);
	default:
		return true;
	}
}

int vu_message_check(const struct vu_message *msg, enum vu_kind kind)
{
	const struct vu_form *form;
	int ret;

	ret = vu_check_header(&msg->header, kind);
	if (ret)
		return ret;
	form = find_form(kind, msg->header.request);
	if (msg->nfds < form->min_fds || msg->nfds > form->max_fds)
		return -EPROTO;
	if (!payload_ok(msg, kind))
		return -EPROTO;
	return 0;
}
