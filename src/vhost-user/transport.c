// SPDX-License-Identifier: BSD-3-Clause
/* Messages over a stream socket: in pieces, with deadlines. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "common/unwanted.h"
#include "vhost-user/rules.h"
#include "vhost-user/socket.h"

#define HEADER_SIZE sizeof(struct vhost_user_header)

static int wait_for(int sock, short events, deadline_t deadline)
{
	int ret = poll_fd(sock, events, deadline);

	return ret < 0 ? ret : 0;
}

/* ---- sending ---- */

int vu_send(int sock, const struct vu_message *msg, enum vu_kind kind, deadline_t deadline)
{
	size_t total = HEADER_SIZE + msg->header.size;
	size_t sent = 0;
	int ret;

	ret = vu_message_check(msg, kind);
	if (ret)
		return ret;
	while (sent < total) {
		struct iovec iov[2];
		size_t niov = 1;
		ssize_t n;

		if (sent < HEADER_SIZE) {
			iov[0].iov_base = (char *)&msg->header + sent;
			iov[0].iov_len = HEADER_SIZE - sent;
			iov[1].iov_base = (void *)&msg->payload;
			iov[1].iov_len = msg->header.size;
			niov = 2;
		} else {
			iov[0].iov_base = (char *)&msg->payload + (sent - HEADER_SIZE);
			iov[0].iov_len = total - sent;
		}
		/* Descriptors go with the first byte, once. */
		n = socket_send(sock, iov, niov, msg->fds, sent ? 0 : msg->nfds);
		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (n != -EAGAIN)
			return (int)n;
		ret = wait_for(sock, POLLOUT, deadline);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- receiving ---- */

static void begin(struct vu_reader *reader)
{
	reader->got = 0;
	reader->msg.nfds = 0;
}

void vu_reader_init(struct vu_reader *reader)
{
	begin(reader);
	reader->max_fds = VHOST_USER_MAX_FDS;
	reader->foreign = false;
}

int vu_reader_finish(struct vu_reader *reader)
{
	int ret = 0;

	if (reader->foreign)
		ret = vu_message_abandon(&reader->msg);
	vu_message_finish(&reader->msg);
	reader->got = 0;
	return ret;
}

bool vu_reader_pending(const struct vu_reader *reader)
{
	return reader->got > 0;
}

/*
 * What the kernel drops, it drops in this process, which waits for that. So either there is room
 * for all that can come, or what comes is looked at first: also if the socket refuses descriptors
 * now, for it did not when it was another's, or when the last message came.
 */
static ssize_t receive_foreign(struct vu_reader *reader, int sock, char *buf, size_t len)
{
	struct vu_message *msg = &reader->msg;
	ssize_t n;

	if (msg->nfds < reader->max_fds)
		return socket_receive_all(sock, buf, len, msg->fds, &msg->nfds, reader->max_fds);
	n = unwanted_look(sock, buf, len);
	if (n <= 0)
		return n ? n : -ECONNRESET;
	return socket_receive(sock, buf, (size_t)n, msg->fds, &msg->nfds, reader->max_fds);
}

static ssize_t receive_piece(struct vu_reader *reader, int sock, char *buf, size_t len)
{
	struct vu_message *msg = &reader->msg;

	if (reader->foreign)
		return receive_foreign(reader, sock, buf, len);
	return socket_receive(sock, buf, len, msg->fds, &msg->nfds, reader->max_fds);
}

static int reader_advance(struct vu_reader *reader, int sock, enum vu_kind kind)
{
	struct vu_message *msg = &reader->msg;

	while (reader->got < HEADER_SIZE || reader->got < HEADER_SIZE + msg->header.size) {
		bool in_header = reader->got < HEADER_SIZE;
		size_t end = in_header ? HEADER_SIZE : HEADER_SIZE + msg->header.size;
		char *buf = in_header ? (char *)&msg->header + reader->got :
					(char *)&msg->payload + (reader->got - HEADER_SIZE);
		ssize_t n = receive_piece(reader, sock, buf, end - reader->got);

		if (n < 0)
			return (int)n;
		reader->got += (size_t)n;
		/* The size must be known to be sane before a byte of payload is stored. */
		if (in_header && reader->got == HEADER_SIZE) {
			int ret = vu_check_header(&msg->header, kind);

			if (ret)
				return ret;
		}
	}
	return vu_message_check(msg, kind);
}

int vu_reader_read(struct vu_reader *reader, int sock, enum vu_kind kind, struct vu_message *msg)
{
	size_t size;
	int ret;

	ret = reader_advance(reader, sock, kind);
	if (ret == -EAGAIN)
		return ret;
	if (ret)
		return vu_reader_finish(reader) ? -EBADFD : ret;
	/* What is behind the payload's end must not be an earlier message's. */
	size = reader->msg.header.size;
	memset(reader->msg.payload.bytes + size, 0, sizeof(reader->msg.payload) - size);
	*msg = reader->msg;
	begin(reader);
	return 0;
}

int vu_recv(int sock, enum vu_kind kind, struct vu_message *msg, deadline_t deadline)
{
	struct vu_reader reader;
	int ret;

	vu_reader_init(&reader);
	while ((ret = vu_reader_read(&reader, sock, kind, msg)) == -EAGAIN) {
		ret = wait_for(sock, POLLIN, deadline);
		if (ret) {
			vu_reader_finish(&reader);
			break;
		}
	}
	return ret;
}

int vu_recv_reply(int sock, enum vu_kind kind, uint32_t request, struct vu_message *msg,
		  deadline_t deadline)
{
	int ret = vu_recv(sock, kind, msg, deadline);

	if (ret)
		return ret;
	if (msg->header.request != request) {
		vu_message_finish(msg);
		return -EPROTO;
	}
	return 0;
}

int vu_transact(int sock, struct vu_message *msg, enum vu_kind kind, bool ack, deadline_t deadline)
{
	enum vu_kind reply_kind = kind == VU_REQUEST ? VU_REPLY : VU_BACKEND_REPLY;
	uint32_t request = msg->header.request;
	bool has_reply = vu_request_has_reply(kind, request);
	int ret;

	if (ack && !has_reply)
		msg->header.flags |= VHOST_USER_FLAG_NEED_REPLY;
	ret = vu_send(sock, msg, kind, deadline);
	if (ret || (!has_reply && !ack))
		return ret;
	ret = vu_recv_reply(sock, reply_kind, request, msg, deadline);
	if (ret)
		return ret;
	return !has_reply && msg->payload.u64 ? 1 : 0;
}
