// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/gpu-message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/unwanted.h"
#include "vhost-user/socket.h"

#define HEADER_SIZE sizeof(struct vgpu_header)

struct vgpu_rule {
	const char *name; /* NULL: no such message */
	uint16_t request; /* bytes of the fixed part */
	uint16_t reply; /* the same of the answer */
	bool has_reply;
	bool has_fd; /* a descriptor may come with it */
};

static const struct vgpu_rule rules[VGPU_REQUEST_COUNT] = {
	[VGPU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", 0, 8, true, false },
	[VGPU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", 8, 0, false, false },
	[VGPU_GET_DISPLAY_INFO] = { "GET_DISPLAY_INFO", 0,
				    sizeof(struct virtio_gpu_resp_display_info), true, false },
	[VGPU_CURSOR_POS] = { "CURSOR_POS", sizeof(struct vgpu_cursor_pos), 0, false, false },
	[VGPU_CURSOR_POS_HIDE] = { "CURSOR_POS_HIDE", sizeof(struct vgpu_cursor_pos), 0, false,
				   false },
	[VGPU_CURSOR_UPDATE] = { "CURSOR_UPDATE", sizeof(struct vgpu_cursor_update), 0, false,
				 false },
	[VGPU_SCANOUT] = { "SCANOUT", sizeof(struct vgpu_scanout), 0, false, false },
	[VGPU_UPDATE] = { "UPDATE", sizeof(struct vgpu_update), 0, false, false },
	[VGPU_DMABUF_SCANOUT] = { "DMABUF_SCANOUT", sizeof(struct vgpu_dmabuf_scanout), 0, false,
				  true },
	[VGPU_DMABUF_UPDATE] = { "DMABUF_UPDATE", sizeof(struct vgpu_update), 0, true, false },
	[VGPU_GET_EDID] = { "GET_EDID", sizeof(struct vgpu_edid_request),
			    sizeof(struct virtio_gpu_resp_edid), true, false },
	[VGPU_DMABUF_SCANOUT2] = { "DMABUF_SCANOUT2", sizeof(struct vgpu_dmabuf_scanout2), 0, false,
				   true },
};

static const struct vgpu_rule *find_rule(uint32_t request)
{
	if (request >= VGPU_REQUEST_COUNT || !rules[request].name)
		return NULL;
	return &rules[request];
}

static size_t fixed_size(const struct vgpu_header *header)
{
	const struct vgpu_rule *rule = find_rule(header->request);

	return header->flags & VGPU_FLAG_REPLY ? rule->reply : rule->request;
}

bool vgpu_request_has_reply(uint32_t request)
{
	const struct vgpu_rule *rule = find_rule(request);

	return rule && rule->has_reply;
}

const char *vgpu_request_name(uint32_t request)
{
	const struct vgpu_rule *rule = find_rule(request);

	return rule ? rule->name : "unknown";
}

void vgpu_message_init(struct vgpu_message *msg, enum vgpu_kind kind, uint32_t request)
{
	memset(msg, 0, sizeof(*msg));
	msg->fd = -1;
	msg->header.request = request;
	msg->header.flags = kind == VGPU_REPLY ? VGPU_FLAG_REPLY : 0;
	msg->header.size = (uint32_t)fixed_size(&msg->header);
}

/* Bytes of pixels, 0 for a rectangle that there cannot be. */
static size_t update_bytes(const struct vgpu_update *update)
{
	uint64_t pixels = (uint64_t)update->width * update->height;

	if (update->width > VGPU_MAX_SIDE || update->height > VGPU_MAX_SIDE ||
	    pixels > VGPU_MAX_PIXELS)
		return 0;
	return (size_t)pixels * sizeof(uint32_t);
}

int vgpu_message_init_update(struct vgpu_message *msg, const struct vgpu_update *update)
{
	size_t bytes = update_bytes(update);

	if (!bytes)
		return -EINVAL;
	vgpu_message_init(msg, VGPU_REQUEST, VGPU_UPDATE);
	msg->payload.update = *update;
	msg->header.size += (uint32_t)bytes;
	msg->pixels = calloc(1, bytes);
	return msg->pixels ? 0 : -ENOMEM;
}

void vgpu_message_finish(struct vgpu_message *msg)
{
	free(msg->pixels);
	msg->pixels = NULL;
	fd_close(&msg->fd);
}

int vgpu_message_take_fd(struct vgpu_message *msg)
{
	return fd_steal(&msg->fd);
}

size_t vgpu_pixels_size(const struct vgpu_message *msg)
{
	return msg->header.size - fixed_size(&msg->header);
}

/* ---- receiving ---- */

void vgpu_reader_init(struct vgpu_reader *reader)
{
	reader->got = 0;
	reader->msg.fd = -1;
	reader->msg.pixels = NULL;
}

static bool may_have_fd(const struct vgpu_header *header)
{
	const struct vgpu_rule *rule = find_rule(header->request);

	return rule && rule->has_fd && !(header->flags & VGPU_FLAG_REPLY);
}

/* To close what nobody asked for can take for ever. */
void vgpu_reader_finish(struct vgpu_reader *reader)
{
	if (reader->got < HEADER_SIZE || !may_have_fd(&reader->msg.header))
		unwanted_forget(&reader->msg.fd);
	vgpu_message_finish(&reader->msg);
	vgpu_reader_init(reader);
}

/*
 * At most one descriptor comes with a message. It goes with the first byte, before the header says
 * whether there may be one.
 */
static ssize_t receive_piece(int sock, struct vgpu_message *msg, void *buf, size_t len)
{
	unsigned int nfds = msg->fd >= 0;
	ssize_t n = socket_receive_all(sock, buf, len, &msg->fd, &nfds, 1);

	return n == -EBADFD ? -EPROTO : n;
}

/*
 * As soon as the header is there. Flags other than the reply's are left to whoever defines them.
 */
static int check_header(const struct vgpu_header *header, enum vgpu_kind kind)
{
	const struct vgpu_rule *rule = find_rule(header->request);
	bool reply = header->flags & VGPU_FLAG_REPLY;
	size_t fixed;

	if (reply != (kind == VGPU_REPLY))
		return -EPROTO;
	if (!rule)
		return -EOPNOTSUPP;
	if (reply && !rule->has_reply)
		return -EPROTO;
	fixed = fixed_size(header);
	if (!reply && header->request == VGPU_UPDATE)
		return header->size > fixed &&
				       header->size - fixed <= VGPU_MAX_PIXELS * sizeof(uint32_t) ?
			       0 :
			       -EPROTO;
	return header->size == fixed ? 0 : -EPROTO;
}

/* Once the fixed part is there: the rest must be exactly the pixels of the rectangle. */
static int check_fixed(struct vgpu_message *msg)
{
	size_t rest = vgpu_pixels_size(msg);

	if (!rest)
		return 0;
	if (update_bytes(&msg->payload.update) != rest)
		return -EPROTO;
	msg->pixels = malloc(rest);
	return msg->pixels ? 0 : -ENOMEM;
}

static int check_whole(const struct vgpu_message *msg)
{
	return msg->fd >= 0 && !may_have_fd(&msg->header) ? -EPROTO : 0;
}

/* Where the next piece goes, and how long it may be; 0: the message is whole. */
static size_t next_piece(struct vgpu_message *msg, size_t at, char **where)
{
	size_t fixed;

	if (at < HEADER_SIZE) {
		*where = (char *)&msg->header + at;
		return HEADER_SIZE - at;
	}
	at -= HEADER_SIZE;
	fixed = fixed_size(&msg->header);
	if (at < fixed) {
		*where = (char *)&msg->payload + at;
		return fixed - at;
	}
	if (at == msg->header.size)
		return 0;
	*where = (char *)msg->pixels + (at - fixed);
	return msg->header.size - at;
}

static int reader_advance(struct vgpu_reader *reader, int sock, enum vgpu_kind kind)
{
	struct vgpu_message *msg = &reader->msg;
	size_t len;
	char *where;
	int ret;

	while ((len = next_piece(msg, reader->got, &where))) {
		ssize_t n = receive_piece(sock, msg, where, len);

		if (n < 0)
			return (int)n;
		reader->got += (size_t)n;
		if (reader->got == HEADER_SIZE) {
			ret = check_header(&msg->header, kind);
			if (ret)
				return ret;
		}
		if (reader->got >= HEADER_SIZE &&
		    reader->got == HEADER_SIZE + fixed_size(&msg->header)) {
			ret = check_fixed(msg);
			if (ret)
				return ret;
		}
	}
	return check_whole(msg);
}

int vgpu_reader_read(struct vgpu_reader *reader, int sock, enum vgpu_kind kind,
		     struct vgpu_message *msg)
{
	int ret = reader_advance(reader, sock, kind);

	if (ret == -EAGAIN)
		return ret;
	if (ret) {
		vgpu_reader_finish(reader);
		return ret;
	}
	*msg = reader->msg;
	vgpu_reader_init(reader);
	return 0;
}

/* ---- sending ---- */

void vgpu_writer_init(struct vgpu_writer *writer)
{
	writer->busy = false;
}

void vgpu_writer_finish(struct vgpu_writer *writer)
{
	if (writer->busy)
		vgpu_message_finish(&writer->msg);
	writer->busy = false;
}

void vgpu_writer_start(struct vgpu_writer *writer, const struct vgpu_message *msg)
{
	writer->msg = *msg;
	writer->sent = 0;
	writer->busy = true;
}

/* The descriptor goes with the first byte. */
static ssize_t send_piece(const struct vgpu_writer *writer, int sock, char *where, size_t len)
{
	struct iovec iov = { .iov_base = where, .iov_len = len };
	unsigned int nfds = !writer->sent && writer->msg.fd >= 0;

	return socket_send(sock, &iov, 1, &writer->msg.fd, nfds);
}

int vgpu_writer_write(struct vgpu_writer *writer, int sock)
{
	size_t len;
	char *where;

	if (!writer->busy)
		return 0;
	while ((len = next_piece(&writer->msg, writer->sent, &where))) {
		ssize_t n = send_piece(writer, sock, where, len);

		if (n < 0)
			return (int)n;
		writer->sent += (size_t)n;
	}
	vgpu_writer_finish(writer);
	return 0;
}
