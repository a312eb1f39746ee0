/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One vhost-user-gpu message: building, checking, sending, receiving. The one codec of the back-end
 * (which sends VGPU_REQUEST and receives VGPU_REPLY) and the display (the other way round).
 *
 * What comes in is checked against one table of rules before anybody sees it: sizes, descriptors,
 * and that the rectangle of an UPDATE has the pixels that it says. Whether a scan-out exists and a
 * rectangle lies within it is the receiver's to decide.
 *
 * The fixed part of the payload is in the message itself. The pixels of UPDATE, which can be many,
 * are on the heap and belong to the message, and so does its descriptor.
 *
 * Errors are negative errnos: -EPROTO the peer broke the protocol, -EOPNOTSUPP a request that is
 * not in the document, -ECONNRESET the peer has gone, -EAGAIN nothing more for now, -ENOMEM. After
 * any but -EAGAIN the socket is to be closed.
 */
#ifndef VHOST_USER_GPU_MESSAGE_H
#define VHOST_USER_GPU_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost-user/gpu-protocol.h"

enum vgpu_kind {
	VGPU_REQUEST,
	VGPU_REPLY,
};

struct vgpu_message {
	struct vgpu_header header;
	union vgpu_payload payload; /* vgpu_fixed_size() bytes of it count */
	uint32_t *pixels; /* of UPDATE; NULL otherwise */
	int fd; /* of DMABUF_SCANOUT and DMABUF_SCANOUT2; -1: none */
};

/**
 * vgpu_message_init() - begin a message
 * @msg:	the message; what it held is forgotten, not released
 * @kind:	sets the reply flag
 * @request:	the message type
 *
 * The payload is cleared, and has the size that the type asks for. Fill it in.
 */
void vgpu_message_init(struct vgpu_message *msg, enum vgpu_kind kind, uint32_t request);

/**
 * vgpu_message_init_update() - begin an UPDATE
 * @msg:	the message
 * @update:	where; at least one pixel and at most VGPU_MAX_PIXELS
 *
 * Return: 0, with room for its pixels in msg->pixels, which are black; -EINVAL, -ENOMEM.
 */
int vgpu_message_init_update(struct vgpu_message *msg, const struct vgpu_update *update);

/* vgpu_message_finish() - release pixels and descriptor */
void vgpu_message_finish(struct vgpu_message *msg);

/* vgpu_message_take_fd() - become the owner of its descriptor; -1 when there is none */
int vgpu_message_take_fd(struct vgpu_message *msg);

/* vgpu_request_has_reply() - the display must answer it */
bool vgpu_request_has_reply(uint32_t request);

/* vgpu_request_name() - e.g. "SCANOUT"; "unknown" */
const char *vgpu_request_name(uint32_t request);

/* vgpu_pixels_size() - bytes of pixels that follow the fixed part */
size_t vgpu_pixels_size(const struct vgpu_message *msg);

/* ---- receiving, without waiting ---- */

/* Takes in one message in as many pieces as it comes. Internal fields. */
struct vgpu_reader {
	struct vgpu_message msg;
	size_t got;
};

void vgpu_reader_init(struct vgpu_reader *reader);
void vgpu_reader_finish(struct vgpu_reader *reader);

/**
 * vgpu_reader_read() - take in what is there
 * @msg:	on 0 a whole message, which the caller then owns
 *
 * Return: 0, -EAGAIN, or another negative errno.
 */
int vgpu_reader_read(struct vgpu_reader *reader, int sock, enum vgpu_kind kind,
		     struct vgpu_message *msg);

/* ---- sending, without waiting ---- */

struct vgpu_writer {
	struct vgpu_message msg;
	size_t sent;
	bool busy;
};

/* vgpu_writer_init() - nothing to send */
void vgpu_writer_init(struct vgpu_writer *writer);
void vgpu_writer_finish(struct vgpu_writer *writer);

/* vgpu_writer_start() - send this next; it belongs to the writer; not while it is busy */
void vgpu_writer_start(struct vgpu_writer *writer, const struct vgpu_message *msg);

/**
 * vgpu_writer_write() - send as much as the socket takes
 *
 * Return: 0 all is sent and the message released, -EAGAIN, or another negative errno.
 */
int vgpu_writer_write(struct vgpu_writer *writer, int sock);

#endif
