// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/scanout.h"

#include <errno.h>
#include <string.h>

#include "backends/gpu/gpu.h"
#include "backends/gpu/pixels.h"
#include "common/log.h"
#include "common/util.h"

/* ---- rectangles ---- */

bool box_within(const struct gpu_box *box, uint32_t width, uint32_t height)
{
	return box->width && box->height && box->x < width && box->y < height &&
	       box->width <= width - box->x && box->height <= height - box->y;
}

/* Both lie within one resource, so nothing wraps. */
static struct gpu_box box_common(const struct gpu_box *a, const struct gpu_box *b)
{
	uint32_t x = MAX(a->x, b->x), y = MAX(a->y, b->y);
	uint32_t right = MIN(a->x + a->width, b->x + b->width);
	uint32_t bottom = MIN(a->y + a->height, b->y + b->height);

	if (x >= right || y >= bottom)
		return (struct gpu_box){ 0 };
	return (struct gpu_box){ x, y, right - x, bottom - y };
}

static struct gpu_box box_join(const struct gpu_box *a, const struct gpu_box *b)
{
	struct gpu_box both = { .x = MIN(a->x, b->x), .y = MIN(a->y, b->y) };

	if (!a->width)
		return *b;
	both.width = MAX(a->x + a->width, b->x + b->width) - both.x;
	both.height = MAX(a->y + a->height, b->y + b->height) - both.y;
	return both;
}

/* ---- what is shown ---- */

uint32_t scanout_set(struct gpu *gpu, uint32_t id, struct gpu_resource *res,
		     const struct gpu_box *box, const struct gpu_framebuffer *fb)
{
	struct gpu_scanout *s;

	if (id >= VGPU_MAX_SCANOUTS)
		return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
	if ((uint64_t)box->width * box->height > VGPU_MAX_PIXELS)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	s = &gpu->scanouts[id];
	s->resource_id = res->id;
	s->box = *box;
	s->fb = fb ? *fb : (struct gpu_framebuffer){ 0 };
	s->damage = (struct gpu_box){ 0 };
	s->changed = true;
	link_push(&gpu->link);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static void switch_off(struct gpu *gpu, struct gpu_scanout *s)
{
	shared_picture_end(gpu, &s->shared);
	s->resource_id = 0;
	s->damage = (struct gpu_box){ 0 };
	s->changed = true;
}

uint32_t scanout_off(struct gpu *gpu, uint32_t id)
{
	if (id >= VGPU_MAX_SCANOUTS)
		return VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID;
	switch_off(gpu, &gpu->scanouts[id]);
	link_push(&gpu->link);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

void scanout_resource_gone(struct gpu *gpu, uint32_t resource_id)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		if (gpu->scanouts[i].resource_id == resource_id) {
			switch_off(gpu, &gpu->scanouts[i]);
			any = true;
		}
	}
	if (any)
		link_push(&gpu->link);
}

void scanout_reset(struct gpu *gpu)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		struct gpu_scanout *s = &gpu->scanouts[i];

		switch_off(gpu, s);
		s->cursor.changed = false;
		s->cursor.moved = s->cursor.visible;
		s->cursor.visible = false;
	}
	link_push(&gpu->link);
}

void scanout_damage(struct gpu *gpu, const struct gpu_resource *res, const struct gpu_box *box)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		struct gpu_scanout *s = &gpu->scanouts[i];
		struct gpu_box seen;

		if (s->resource_id != res->id)
			continue;
		seen = box_common(box, &s->box);
		if (!seen.width)
			continue;
		seen.x -= s->box.x;
		seen.y -= s->box.y;
		s->damage = box_join(&s->damage, &seen);
	}
	link_push(&gpu->link);
}

bool scanout_pending(const struct gpu *gpu, uint32_t resource_id)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		if (gpu->scanouts[i].resource_id == resource_id && gpu->scanouts[i].damage.width)
			return true;
	}
	return gpu->link.dmabuf_updates > 0;
}

/* ---- cursors ---- */

/* A blob has no size of its own: it is long enough, and of the format that cursors have. */
static int read_cursor(struct gpu *gpu, struct gpu_resource *res, uint32_t *pixels)
{
	const struct pixels dst = { pixels, (size_t)VGPU_CURSOR_SIZE * GPU_PIXEL_BYTES };
	const struct gpu_box all = { 0, 0, VGPU_CURSOR_SIZE, VGPU_CURSOR_SIZE };
	struct backing_cursor at;
	const size_t bytes = sizeof(gpu->scanouts[0].cursor.pixels);

	if (res->kind == GPU_RESOURCE_BLOB) {
		backing_cursor_init(&at, &res->backing);
		if (!backing_read(&at, 0, pixels, bytes))
			return -EINVAL;
		return pixels_convert(&dst, pixels, dst.stride, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
				      VGPU_CURSOR_SIZE, VGPU_CURSOR_SIZE, true);
	}
	if (res->width != VGPU_CURSOR_SIZE || res->height != VGPU_CURSOR_SIZE)
		return -EINVAL;
	return gpu->renderer->read(gpu, res, &all, &dst, true);
}

void scanout_cursor_set(struct gpu *gpu, uint32_t id, struct gpu_resource *res, uint32_t hot_x,
			uint32_t hot_y)
{
	struct gpu_cursor *c;

	if (id >= VGPU_MAX_SCANOUTS)
		return;
	c = &gpu->scanouts[id].cursor;
	if (res && read_cursor(gpu, res, c->pixels)) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: resource %u is no cursor", id, res->id);
		res = NULL;
	}
	c->visible = res;
	c->changed = res;
	c->moved = !res;
	c->hot_x = hot_x;
	c->hot_y = hot_y;
	link_push(&gpu->link);
}

void scanout_cursor_move(struct gpu *gpu, uint32_t id, uint32_t x, uint32_t y)
{
	struct gpu_cursor *c;

	if (id >= VGPU_MAX_SCANOUTS)
		return;
	c = &gpu->scanouts[id].cursor;
	c->x = x;
	c->y = y;
	c->moved = true;
	link_push(&gpu->link);
}

/* ---- telling the display ---- */

/* A picture in guest memory, straight from its pages */
static int read_blob(const struct gpu_scanout *s, const struct gpu_resource *res,
		     const struct gpu_box *box, const struct pixels *dst)
{
	struct backing_cursor cursor;
	uint32_t y;

	backing_cursor_init(&cursor, &res->backing);
	for (y = 0; y < box->height; y++) {
		uint64_t at = s->fb.offset + (uint64_t)s->fb.stride * (box->y + y) +
			      (uint64_t)box->x * GPU_PIXEL_BYTES;

		if (!backing_read(&cursor, at, (uint8_t *)dst->at + y * dst->stride,
				  (size_t)box->width * GPU_PIXEL_BYTES))
			return -EINVAL;
	}
	return pixels_convert(dst, dst->at, dst->stride, s->fb.format, box->width, box->height,
			      false);
}

static int read_picture(struct gpu *gpu, const struct gpu_scanout *s, struct gpu_resource *res,
			const struct gpu_box *damage, const struct pixels *dst)
{
	struct gpu_box box = *damage;

	box.x += s->box.x;
	box.y += s->box.y;
	if (res->kind == GPU_RESOURCE_BLOB)
		return read_blob(s, res, &box, dst);
	return gpu->renderer->read(gpu, res, &box, dst, false);
}

/* The renderer's own buffer, or one that pictures are copied to */
static int find_dmabuf(struct gpu *gpu, struct gpu_scanout *s, struct vgpu_dmabuf_scanout *d)
{
	struct gpu_resource *res = resource_find(gpu, s->resource_id);
	int fd = -EOPNOTSUPP;

	if (gpu->no_dmabuf)
		return fd;
	if (res && res->kind != GPU_RESOURCE_BLOB && gpu->renderer->export)
		fd = gpu->renderer->export(gpu, res, d);
	if (fd >= 0) {
		shared_picture_end(gpu, &s->shared);
		d->x = s->box.x;
		d->y = s->box.y;
		return fd;
	}
	return shared_picture_begin(gpu, &s->shared, s->box.width, s->box.height, d);
}

static int tell_dmabuf(struct gpu *gpu, unsigned int id, struct gpu_scanout *s,
		       struct vgpu_message *msg)
{
	bool with_modifier = gpu->link.features & BIT_ULL(VGPU_PROTOCOL_F_DMABUF2);
	struct vgpu_dmabuf_scanout d = { 0 };
	int fd = find_dmabuf(gpu, s, &d);

	if (fd < 0)
		return fd;
	d.scanout_id = id;
	d.width = s->box.width;
	d.height = s->box.height;
	vgpu_message_init(msg, VGPU_REQUEST,
			  with_modifier ? VGPU_DMABUF_SCANOUT2 : VGPU_DMABUF_SCANOUT);
	msg->payload.dmabuf = d; /* the modifier is 0: linear */
	msg->fd = fd;
	return 0;
}

/*
 * A size that the display knows already is not told again: it would forget the picture between
 * two page flips. Nor is a buffer that it has.
 */
static int tell_scanout(struct gpu *gpu, unsigned int id, struct gpu_scanout *s,
			struct vgpu_message *msg)
{
	uint32_t width = s->resource_id ? s->box.width : 0;
	uint32_t height = s->resource_id ? s->box.height : 0;
	int ret = width ? tell_dmabuf(gpu, id, s, msg) : -EOPNOTSUPP;

	s->changed = false;
	if (!ret) {
		s->dmabuf = true;
		s->told_width = 0;
		s->told_height = 0;
	}
	if (!ret || ret == -EALREADY)
		return ret;
	if (!s->dmabuf && s->told_width == width && s->told_height == height)
		return -EAGAIN;
	s->dmabuf = false;
	s->told_width = width;
	s->told_height = height;
	vgpu_message_init(msg, VGPU_REQUEST, VGPU_SCANOUT);
	msg->payload.scanout = (struct vgpu_scanout){ id, width, height };
	return 0;
}

/* Where the damage is to be read to: into the message, or into the buffer that the display has */
static int begin_update(struct gpu_scanout *s, const struct vgpu_update *update,
			struct vgpu_message *msg, struct pixels *dst)
{
	int ret;

	if (s->dmabuf) {
		vgpu_message_init(msg, VGPU_REQUEST, VGPU_DMABUF_UPDATE);
		msg->payload.update = *update;
		*dst = shared_picture_at(&s->shared, update->x, update->y);
		return 0;
	}
	ret = vgpu_message_init_update(msg, update);
	*dst = (struct pixels){ msg->pixels, (size_t)update->width * GPU_PIXEL_BYTES };
	return ret;
}

static int tell_damage(struct gpu *gpu, unsigned int id, struct gpu_scanout *s,
		       struct vgpu_message *msg)
{
	struct vgpu_update update = { id, s->damage.x, s->damage.y, s->damage.width,
				      s->damage.height };
	struct gpu_resource *res = resource_find(gpu, s->resource_id);
	struct gpu_box damage = s->damage;
	struct pixels dst = { NULL, 0 };
	int ret;

	/* A picture in guest memory is read once that is there. */
	if (!gpu->mem || (s->dmabuf && !link_room(&gpu->link)))
		return -EAGAIN;
	s->damage = (struct gpu_box){ 0 };
	if (!res || begin_update(s, &update, msg, &dst))
		return -EAGAIN;
	/* what the renderer handed out is there already */
	ret = dst.at ? read_picture(gpu, s, res, &damage, &dst) : 0;
	if (!ret)
		return 0;
	log_ratelimited(LOG_LEVEL_WARNING, "head %u: its picture cannot be read: %s", id,
			strerror(-ret));
	vgpu_message_finish(msg);
	return -EAGAIN;
}

static int tell_cursor(unsigned int id, struct gpu_cursor *c, struct vgpu_message *msg)
{
	const struct vgpu_cursor_pos pos = { id, c->x, c->y };

	c->moved = false;
	if (!c->visible) {
		c->changed = false;
		vgpu_message_init(msg, VGPU_REQUEST, VGPU_CURSOR_POS_HIDE);
		msg->payload.cursor_pos = pos;
		return 0;
	}
	if (!c->changed) {
		vgpu_message_init(msg, VGPU_REQUEST, VGPU_CURSOR_POS);
		msg->payload.cursor_pos = pos;
		return 0;
	}
	c->changed = false;
	vgpu_message_init(msg, VGPU_REQUEST, VGPU_CURSOR_UPDATE);
	msg->payload.cursor_update.pos = pos;
	msg->payload.cursor_update.hot_x = c->hot_x;
	msg->payload.cursor_update.hot_y = c->hot_y;
	memcpy(msg->payload.cursor_update.data, c->pixels, sizeof(c->pixels));
	return 0;
}

int scanout_next_message(struct gpu *gpu, struct vgpu_message *msg)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		struct gpu_scanout *s = &gpu->scanouts[i];

		if (s->changed && !tell_scanout(gpu, i, s, msg))
			return 0;
		if (s->damage.width && !tell_damage(gpu, i, s, msg))
			return 0;
		if (s->cursor.changed || s->cursor.moved)
			return tell_cursor(i, &s->cursor, msg);
	}
	return -EAGAIN;
}

void scanout_tell_again(struct gpu *gpu)
{
	unsigned int i;

	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		struct gpu_scanout *s = &gpu->scanouts[i];

		shared_picture_end(gpu, &s->shared);
		s->dmabuf = false;
		s->told_width = 0;
		s->told_height = 0;
		s->changed = s->resource_id;
		s->damage = (struct gpu_box){ 0 };
		if (s->resource_id)
			s->damage = (struct gpu_box){ 0, 0, s->box.width, s->box.height };
		s->cursor.moved = false;
		s->cursor.changed = s->cursor.visible;
	}
}
