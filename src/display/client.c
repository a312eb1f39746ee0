// SPDX-License-Identifier: BSD-3-Clause
#include "display/client.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "display/display.h"
#include "vhost-user/edid.h"

typedef int (*client_handler)(struct client *client, struct vgpu_message *msg);

/*
 * Answers are short. A back-end that does not read them while it asks on fills its own socket, and
 * is let go of.
 */
static int answer(struct client *client, const struct vgpu_message *msg)
{
	struct vgpu_writer writer;
	int ret;

	vgpu_writer_init(&writer);
	vgpu_writer_start(&writer, msg);
	ret = vgpu_writer_write(&writer, client->sock);
	vgpu_writer_finish(&writer);
	return ret == -EAGAIN ? -EPROTO : ret;
}

/* NULL after a line in the log: a head that there is not is the back-end's mistake alone. */
static struct head *find_head(struct client *client, uint32_t id)
{
	if (id < client->display->nheads)
		return &client->display->heads[id];
	log_ratelimited(LOG_LEVEL_WARNING, "the back-end shows something on head %u of %u", id,
			client->display->nheads);
	return NULL;
}

/* ---- questions ---- */

static int get_protocol_features(struct client *client, struct vgpu_message *msg)
{
	struct vgpu_message reply;

	vgpu_message_init(&reply, VGPU_REPLY, msg->header.request);
	reply.payload.u64 = BIT_ULL(VGPU_PROTOCOL_F_EDID) | BIT_ULL(VGPU_PROTOCOL_F_DMABUF2);
	return answer(client, &reply);
}

/* Back-ends in use send messages that they have not negotiated, so nothing depends on it. */
static int set_protocol_features(struct client *client, struct vgpu_message *msg)
{
	(void)client;
	log_debug("protocol features %#llx", (unsigned long long)msg->payload.u64);
	return 0;
}

/* All heads, side by side */
static int get_display_info(struct client *client, struct vgpu_message *msg)
{
	const struct display *display = client->display;
	struct virtio_gpu_resp_display_info *info;
	struct vgpu_message reply;
	uint32_t x = 0;
	unsigned int i;

	vgpu_message_init(&reply, VGPU_REPLY, msg->header.request);
	info = &reply.payload.display_info;
	info->hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	for (i = 0; i < display->nheads; i++) {
		const struct head *head = &display->heads[i];

		info->pmodes[i].enabled = htole32(1);
		info->pmodes[i].r.x = htole32(x);
		info->pmodes[i].r.width = htole32(head->wanted_width);
		info->pmodes[i].r.height = htole32(head->wanted_height);
		x += head->wanted_width;
	}
	return answer(client, &reply);
}

static int get_edid(struct client *client, struct vgpu_message *msg)
{
	uint32_t id = msg->payload.edid_request.scanout_id;
	const struct head *head = find_head(client, id);
	struct virtio_gpu_resp_edid *edid;
	struct vgpu_message reply;

	vgpu_message_init(&reply, VGPU_REPLY, msg->header.request);
	edid = &reply.payload.edid;
	edid->hdr.type = htole32(VIRTIO_GPU_RESP_OK_EDID);
	if (head) {
		struct edid_info info = {
			.width = head->wanted_width,
			.height = head->wanted_height,
			.serial = id + 1,
			.name = "virtio-loop",
		};

		edid_generate(&info, edid->edid);
		edid->size = htole32(EDID_SIZE);
	}
	return answer(client, &reply);
}

/* ---- the cursor ---- */

/* What it covered and what it covers now is shown anew. */
static void cursor_changed(struct client *client, struct head *head, struct rect before)
{
	struct rect now = head_cursor_rect(head);

	display_damage(client->display, head, before);
	if (memcmp(&before, &now, sizeof(now)) != 0 || head->cursor.visible)
		display_damage(client->display, head, now);
}

static int cursor_pos(struct client *client, struct vgpu_message *msg)
{
	const struct vgpu_cursor_pos *pos = &msg->payload.cursor_pos;
	struct head *head = find_head(client, pos->scanout_id);
	struct rect before;

	if (!head)
		return 0;
	before = head_cursor_rect(head);
	head->cursor.x = (int32_t)pos->x;
	head->cursor.y = (int32_t)pos->y;
	head->cursor.visible = msg->header.request == VGPU_CURSOR_POS;
	cursor_changed(client, head, before);
	return 0;
}

static int cursor_update(struct client *client, struct vgpu_message *msg)
{
	const struct vgpu_cursor_update *update = &msg->payload.cursor_update;
	struct head *head = find_head(client, update->pos.scanout_id);
	struct rect before;

	if (!head)
		return 0;
	before = head_cursor_rect(head);
	head->cursor.x = (int32_t)update->pos.x;
	head->cursor.y = (int32_t)update->pos.y;
	head->cursor.hot_x = MIN(update->hot_x, VGPU_CURSOR_SIZE - 1U);
	head->cursor.hot_y = MIN(update->hot_y, VGPU_CURSOR_SIZE - 1U);
	memcpy(head->cursor.pixels, update->data, sizeof(head->cursor.pixels));
	head->cursor.visible = true;
	cursor_changed(client, head, before);
	return 0;
}

/* ---- pictures ---- */

/* What there is no room for leaves this head off: it is no reason to let go of the others. */
static int set_mode(struct client *client, struct head *head, uint32_t width, uint32_t height)
{
	int ret = display_mode(client->display, head, width, height);

	if (ret != -ENOSPC && ret != -ENOMEM)
		return ret;
	if (ret == -ENOSPC)
		log_ratelimited(LOG_LEVEL_WARNING,
				"head %u stays off: with %u x %u all heads would have more than %u pixels",
				head->index, width, height, VGPU_MAX_PIXELS);
	else
		log_ratelimited(LOG_LEVEL_WARNING, "head %u stays off: no memory for %u x %u",
				head->index, width, height);
	return 0;
}

static int scanout(struct client *client, struct vgpu_message *msg)
{
	const struct vgpu_scanout *s = &msg->payload.scanout;
	struct head *head = find_head(client, s->scanout_id);

	if (!head)
		return 0;
	dmabuf_close(&head->dmabuf);
	/* Some back-ends say it with each page flip: the picture stays until there is another. */
	if (head->width == s->width && head->height == s->height)
		return 0;
	return set_mode(client, head, s->width, s->height);
}

static int update(struct client *client, struct vgpu_message *msg)
{
	const struct vgpu_update *u = &msg->payload.update;
	struct head *head = find_head(client, u->scanout_id);
	struct rect rect = { u->x, u->y, u->width, u->height };
	uint32_t y;

	if (!head || !head->width)
		return 0;
	if (!rect_within(&rect, head->width, head->height)) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: pixels outside of its picture",
				u->scanout_id);
		return 0;
	}
	for (y = 0; y < rect.height; y++)
		memcpy(head->pixels + (size_t)(rect.y + y) * head->width + rect.x,
		       msg->pixels + (size_t)y * rect.width, (size_t)rect.width * sizeof(uint32_t));
	display_damage(client->display, head, rect);
	return 0;
}

/* A buffer that cannot be shown leaves the head black: it has the size all the same. */
static int show_dmabuf(struct client *client, struct vgpu_message *msg, uint64_t modifier)
{
	const struct vgpu_dmabuf_scanout *s = &msg->payload.dmabuf;
	struct head *head = find_head(client, s->scanout_id);
	bool off = msg->fd < 0;
	int ret;

	if (!head)
		return 0;
	dmabuf_close(&head->dmabuf);
	if (off || head->width != s->width || head->height != s->height) {
		ret = set_mode(client, head, off ? 0 : s->width, off ? 0 : s->height);
		if (ret || !head->width)
			return ret;
	}
	ret = dmabuf_open(&head->dmabuf, s, modifier, vgpu_message_take_fd(msg));
	if (ret)
		log_ratelimited(
			LOG_LEVEL_WARNING,
			"head %u: the buffer of format %#x, modifier %#llx cannot be shown: %s",
			s->scanout_id, s->fd_drm_fourcc, (unsigned long long)modifier,
			strerror(-ret));
	return 0;
}

static int dmabuf_scanout(struct client *client, struct vgpu_message *msg)
{
	return show_dmabuf(client, msg, DMABUF_IMPLICIT);
}

static int dmabuf_scanout2(struct client *client, struct vgpu_message *msg)
{
	return show_dmabuf(client, msg, msg->payload.dmabuf2.modifier);
}

/* The back-end waits for the answer, so there is one whatever it asked for. */
static int dmabuf_update(struct client *client, struct vgpu_message *msg)
{
	const struct vgpu_update *u = &msg->payload.update;
	struct head *head = find_head(client, u->scanout_id);
	struct rect rect = { u->x, u->y, u->width, u->height };
	struct vgpu_message reply;

	if (head && dmabuf_is_open(&head->dmabuf) &&
	    rect_within(&rect, head->width, head->height)) {
		dmabuf_read(&head->dmabuf, rect.x, rect.y, rect.width, rect.height,
			    head->pixels + (size_t)rect.y * head->width + rect.x, head->width);
		display_damage(client->display, head, rect);
	}
	vgpu_message_init(&reply, VGPU_REPLY, msg->header.request);
	return answer(client, &reply);
}

/* ---- the connection ---- */

static const client_handler handlers[VGPU_REQUEST_COUNT] = {
	[VGPU_GET_PROTOCOL_FEATURES] = get_protocol_features,
	[VGPU_SET_PROTOCOL_FEATURES] = set_protocol_features,
	[VGPU_GET_DISPLAY_INFO] = get_display_info,
	[VGPU_CURSOR_POS] = cursor_pos,
	[VGPU_CURSOR_POS_HIDE] = cursor_pos,
	[VGPU_CURSOR_UPDATE] = cursor_update,
	[VGPU_SCANOUT] = scanout,
	[VGPU_UPDATE] = update,
	[VGPU_DMABUF_SCANOUT] = dmabuf_scanout,
	[VGPU_DMABUF_UPDATE] = dmabuf_update,
	[VGPU_GET_EDID] = get_edid,
	[VGPU_DMABUF_SCANOUT2] = dmabuf_scanout2,
};

static void close_connection(struct client *client)
{
	loop_remove(client->display->loop, client->source);
	client->source = NULL;
	vgpu_reader_finish(&client->reader);
	fd_close(&client->sock);
	display_off(client->display);
}

/* One message a turn: the adapter is heard in between, however much the back-end sends. */
static void sock_ready(void *data, uint32_t events)
{
	struct client *client = data;
	struct vgpu_message msg;
	int ret;

	(void)events;
	ret = vgpu_reader_read(&client->reader, client->sock, VGPU_REQUEST, &msg);
	if (ret == -EAGAIN)
		return;
	if (!ret) {
		log_debug("%s, %u bytes", vgpu_request_name(msg.header.request), msg.header.size);
		ret = handlers[msg.header.request](client, &msg);
		vgpu_message_finish(&msg);
	}
	if (!ret)
		return;
	if (ret == -ECONNRESET)
		log_info("the back-end has gone");
	else
		log_ratelimited(LOG_LEVEL_WARNING, "connection to the back-end closed: %s",
				ret == -EPROTO ? "it broke the protocol" : strerror(-ret));
	close_connection(client);
}

void client_init(struct client *client, struct display *display)
{
	client->display = display;
	client->sock = -1;
	client->source = NULL;
	vgpu_reader_init(&client->reader);
}

int client_start(struct client *client, int sock)
{
	_cleanup_close_ int owned = sock;
	socklen_t len = sizeof(int);
	int type = 0;

	client_stop(client);
	if (getsockopt(owned, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -EPROTOTYPE;
	client->source = loop_add(client->display->loop, owned, EPOLLIN, sock_ready, client);
	if (!client->source)
		return -errno;
	client->sock = fd_steal(&owned);
	return 0;
}

void client_stop(struct client *client)
{
	if (client->sock >= 0)
		close_connection(client);
}
