// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/message.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/unwanted.h"

void vu_message_init(struct vu_message *msg, enum vu_kind kind, uint32_t request)
{
	msg->header.request = request;
	msg->header.flags = VHOST_USER_VERSION;
	if (kind == VU_REPLY || kind == VU_BACKEND_REPLY)
		msg->header.flags |= VHOST_USER_FLAG_REPLY;
	msg->header.size = 0;
	msg->nfds = 0;
	/* Padding goes out too: nothing of an earlier message may. */
	memset(&msg->payload, 0, sizeof(msg->payload));
}

void vu_message_set_size(struct vu_message *msg, size_t size)
{
	msg->header.size = (uint32_t)size;
}

void vu_message_set_u64(struct vu_message *msg, uint64_t value)
{
	msg->payload.u64 = value;
	vu_message_set_size(msg, sizeof(msg->payload.u64));
}

void vu_message_set_state(struct vu_message *msg, uint32_t index, uint32_t num)
{
	msg->payload.state.index = index;
	msg->payload.state.num = num;
	vu_message_set_size(msg, sizeof(msg->payload.state));
}

void vu_message_set_config(struct vu_message *msg, uint32_t offset, const void *data, uint32_t size,
			   uint32_t flags)
{
	struct vhost_user_config *config = &msg->payload.config;

	config->offset = offset;
	config->size = size;
	config->flags = flags;
	if (size > sizeof(config->data)) /* left for vu_message_check() to refuse */
		size = sizeof(config->data);
	if (data)
		memcpy(config->data, data, size);
	else
		memset(config->data, 0, size);
	vu_message_set_size(msg, VHOST_USER_CONFIG_HEADER + size);
}

int vu_message_add_fd(struct vu_message *msg, int fd)
{
	if (msg->nfds >= VHOST_USER_MAX_FDS)
		return -ENOSPC;
	msg->fds[msg->nfds++] = fd;
	return 0;
}

void vu_message_set_vring_fd(struct vu_message *msg, unsigned int index, int fd)
{
	uint64_t value = index & VHOST_USER_VRING_INDEX_MASK;

	if (fd < 0)
		value |= VHOST_USER_VRING_NOFD_MASK;
	else
		vu_message_add_fd(msg, fd);
	vu_message_set_u64(msg, value);
}

int vu_message_take_fd(struct vu_message *msg, unsigned int i)
{
	if (i >= msg->nfds)
		return -1;
	return fd_steal(&msg->fds[i]);
}

void vu_message_finish(struct vu_message *msg)
{
	while (msg->nfds)
		fd_close(&msg->fds[--msg->nfds]);
}

int vu_message_abandon(struct vu_message *msg)
{
	int ret = 0;

	while (msg->nfds) {
		int error = unwanted_forget(&msg->fds[--msg->nfds]);

		ret = error ? error : ret;
	}
	return ret;
}

bool vu_message_needs_ack(const struct vu_message *msg, enum vu_kind kind)
{
	return (msg->header.flags & VHOST_USER_FLAG_NEED_REPLY) &&
	       !vu_request_has_reply(kind, msg->header.request);
}

int vu_message_encode(const struct vu_message *msg, enum vu_kind kind, void *buf, size_t len)
{
	int ret = vu_message_check(msg, kind);

	if (ret)
		return ret;
	if (len < sizeof(msg->header) + msg->header.size)
		return -ENOSPC;
	memcpy(buf, &msg->header, sizeof(msg->header));
	memcpy((char *)buf + sizeof(msg->header), &msg->payload, msg->header.size);
	return (int)(sizeof(msg->header) + msg->header.size);
}

int vu_message_decode(struct vu_message *msg, enum vu_kind kind, const void *buf, size_t len)
{
	if (len < sizeof(msg->header))
		return -EPROTO;
	memcpy(&msg->header, buf, sizeof(msg->header));
	if (msg->header.size > sizeof(msg->payload) ||
	    len != sizeof(msg->header) + msg->header.size)
		return -EPROTO;
	memcpy(&msg->payload, (const char *)buf + sizeof(msg->header), msg->header.size);
	return vu_message_check(msg, kind);
}
