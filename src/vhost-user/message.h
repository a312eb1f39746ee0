/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One vhost-user message with its descriptors: building, checking, sending, receiving. The one
 * codec of front-end and back-end, for both channels:
 *
 *	channel			front-end		back-end
 *	main socket		sends VU_REQUEST	receives VU_REQUEST
 *				receives VU_REPLY	sends VU_REPLY
 *	back-end channel	receives VU_BACKEND_REQUEST	sends VU_BACKEND_REQUEST
 *				sends VU_BACKEND_REPLY	receives VU_BACKEND_REPLY
 *
 * What comes in is checked against one table of rules (sizes, number of descriptors, whether there
 * is a reply) before anybody sees it, and what goes out is checked by the same table.
 *
 * Descriptors. A received message owns its descriptors: take one with vu_message_take_fd(), and
 * release the rest with vu_message_finish(). A message that is sent only refers to the caller's
 * descriptors, which stay the caller's.
 *
 * Errors are negative errnos:
 *	-EPROTO		the peer broke the protocol (size, flags, version, descriptors, wrong reply)
 *	-EOPNOTSUPP	a request number that is not in the document
 *	-ECONNRESET	the peer closed the connection (also in the middle of a message)
 *	-ETIMEDOUT	the deadline passed; the stream may be in the middle of a message: close it
 *	-EAGAIN		vu_reader_read() only: the message is not complete yet
 * After any error but -EAGAIN the stream is to be closed.
 */
#ifndef VHOST_USER_MESSAGE_H
#define VHOST_USER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/deadline.h"
#include "vhost-user/protocol.h"

enum vu_kind {
	VU_REQUEST, /* front-end message types */
	VU_REPLY, /* ... and what the back-end answers */
	VU_BACKEND_REQUEST, /* back-end message types */
	VU_BACKEND_REPLY, /* ... and what the front-end answers */
};

struct vu_message {
	struct vhost_user_header header;
	union vhost_user_payload payload; /* header.size bytes of it count */
	unsigned int nfds;
	int fds[VHOST_USER_MAX_FDS];
};

/* ---- building ---- */

/**
 * vu_message_init() - begin a message without payload and descriptors
 * @msg:	the message; what it held is forgotten, not released
 * @kind:	sets the reply flag
 * @request:	the message type
 */
void vu_message_init(struct vu_message *msg, enum vu_kind kind, uint32_t request);

/*
 * Set the payload. State, u64 and config cover most types; for the others fill payload and call
 * set_size.
 */
void vu_message_set_u64(struct vu_message *msg, uint64_t value);
void vu_message_set_state(struct vu_message *msg, uint32_t index, uint32_t num);
void vu_message_set_size(struct vu_message *msg, size_t size);

/**
 * vu_message_set_config() - payload of GET_CONFIG, SET_CONFIG and of the answer to GET_CONFIG
 * @msg:	the message
 * @offset:	in the config space
 * @data:	@size bytes, or NULL for zeroes (what GET_CONFIG asks with)
 * @size:	1..VHOST_USER_MAX_CONFIG_SIZE
 * @flags:	VHOST_USER_CONFIG_FLAG_*
 */
void vu_message_set_config(struct vu_message *msg, uint32_t offset, const void *data, uint32_t size,
			   uint32_t flags);

/**
 * vu_message_add_fd() - let a descriptor go with the message
 * @msg:	the message, which does not own it
 * @fd:		the descriptor
 *
 * Return: 0, or -ENOSPC for one more than VHOST_USER_MAX_FDS.
 */
int vu_message_add_fd(struct vu_message *msg, int fd);

/*
 * vu_message_set_vring_fd() - payload of SET_VRING_KICK, _CALL, _ERR; @fd < 0: none, the queue is
 * polled
 */
void vu_message_set_vring_fd(struct vu_message *msg, unsigned int index, int fd);

/* ---- what a received message holds ---- */

/**
 * vu_message_take_fd() - become the owner of a descriptor that came with a message
 * @msg:	a received message
 * @i:		which; below msg->nfds
 *
 * Return: the descriptor, or -1 when there is none.
 */
int vu_message_take_fd(struct vu_message *msg, unsigned int i);

/* vu_message_finish() - close what descriptors a received message still owns */
void vu_message_finish(struct vu_message *msg);

/**
 * vu_message_abandon() - the same, where the peer is not to say how long that takes
 * @msg:	a received message
 *
 * Return: 0, or -EBADFD when what is no file in memory was left open. See common/unwanted.h.
 */
int vu_message_abandon(struct vu_message *msg);

/* vu_message_needs_ack() - a request with the need_reply flag that has no reply of its own */
bool vu_message_needs_ack(const struct vu_message *msg, enum vu_kind kind);

/* vu_request_name() - e.g. "SET_MEM_TABLE"; "unknown" for a number that is not in the document */
const char *vu_request_name(enum vu_kind kind, uint32_t request);

/* vu_request_has_reply() - the document gives the request a reply of its own, REPLY_ACK or not */
bool vu_request_has_reply(enum vu_kind kind, uint32_t request);

/**
 * vu_message_check() - check a whole message against the document
 * @msg:	header, payload and descriptors
 * @kind:	what it is
 *
 * Sizes and number of descriptors by message type; counts and sizes inside the payload. Whether
 * addresses and indices mean anything is the receiver's to decide.
 *
 * Return: 0, -EPROTO, or -EOPNOTSUPP.
 */
int vu_message_check(const struct vu_message *msg, enum vu_kind kind);

/* ---- bytes ---- */

/**
 * vu_message_encode() - the bytes that go on the wire
 * @msg:	the message
 * @kind:	what it is
 * @buf:	where they go
 * @len:	room there
 *
 * Return: bytes written, -ENOSPC, or what vu_message_check() says.
 */
int vu_message_encode(const struct vu_message *msg, enum vu_kind kind, void *buf, size_t len);

/**
 * vu_message_decode() - a message from exactly its bytes
 * @msg:	filled in; its descriptors, if any, must be in place already (msg->nfds, msg->fds)
 * @kind:	what it should be
 * @buf:	the bytes
 * @len:	their number: header and payload, no more
 *
 * Return: 0, -EPROTO, or -EOPNOTSUPP. Descriptors stay in @msg in each case.
 */
int vu_message_decode(struct vu_message *msg, enum vu_kind kind, const void *buf, size_t len);

/* ---- sockets: blocking or not, both work ---- */

/**
 * vu_send() - send one message
 * @sock:	a connected stream socket
 * @msg:	the message
 * @kind:	what it is
 * @deadline:	when to give up
 *
 * Return: 0 or a negative errno (-EPIPE is told as -ECONNRESET).
 */
int vu_send(int sock, const struct vu_message *msg, enum vu_kind kind, deadline_t deadline);

/**
 * struct vu_reader - takes in one message, in as many pieces as it comes
 * @max_fds:	how many descriptors the next message may bring: VHOST_USER_MAX_FDS, unless the
 *		owner knows better. Others do not come into this process, and are -EPROTO.
 * @foreign:	the peer is not to say how long anything takes: what it sent is abandoned, not
 *		closed, after which an error is -EBADFD (see vu_message_abandon()); so is that of a
 *		descriptor that may not come, which stays in the socket's queue
 *
 * For event loops: a peer that sends half a message does not block the loop. Other fields are
 * internal.
 *
 * Where none is to come, none may come in: to close a file whose file system is the peer's (FUSE)
 * can take for ever, and such a wait no signal ends.
 */
struct vu_reader {
	struct vu_message msg;
	size_t got; /* bytes of header and payload so far */
	unsigned int max_fds;
	bool foreign;
};

void vu_reader_init(struct vu_reader *reader);

/*
 * vu_reader_finish() - release what a partly received message holds; 0, or -EBADFD as said above
 */
int vu_reader_finish(struct vu_reader *reader);

/**
 * vu_reader_read() - take in what is there, without waiting
 * @reader:	the state between calls
 * @sock:	a connected stream socket
 * @kind:	what is expected
 * @msg:	filled in on 0; the caller then owns its descriptors
 *
 * On any error but -EAGAIN descriptors received so far are closed, or abandoned.
 *
 * Return: 0 a whole message, -EAGAIN, or another negative errno.
 */
int vu_reader_read(struct vu_reader *reader, int sock, enum vu_kind kind, struct vu_message *msg);

/* vu_reader_pending() - true in the middle of a message: the peer owes the rest */
bool vu_reader_pending(const struct vu_reader *reader);

/**
 * vu_recv() - wait for one message
 * @sock:	a connected stream socket
 * @kind:	what is expected
 * @msg:	filled in on 0; the caller then owns its descriptors
 * @deadline:	when to give up
 */
int vu_recv(int sock, enum vu_kind kind, struct vu_message *msg, deadline_t deadline);

/**
 * vu_recv_reply() - wait for the answer to a request
 * @sock:	a connected stream socket
 * @kind:	VU_REPLY or VU_BACKEND_REPLY
 * @request:	the request that it must answer; another is -EPROTO
 * @msg:	filled in on 0; the caller then owns its descriptors
 * @deadline:	when to give up
 */
int vu_recv_reply(int sock, enum vu_kind kind, uint32_t request, struct vu_message *msg,
		  deadline_t deadline);

/**
 * vu_transact() - send a request, and wait for its reply when there is one to come
 * @sock:	a connected stream socket
 * @msg:	the request; on 0 with a reply it is that reply; its descriptors are the caller's
 * @kind:	VU_REQUEST or VU_BACKEND_REQUEST
 * @ack:	REPLY_ACK was negotiated: ask for an acknowledgement where there is no other reply
 * @deadline:	when to give up, sending and receiving together
 *
 * Return: 0, a negative errno, or 1 when the peer acknowledged with a failure (msg->payload.u64 is
 * its non-zero status).
 */
int vu_transact(int sock, struct vu_message *msg, enum vu_kind kind, bool ack, deadline_t deadline);

#endif
