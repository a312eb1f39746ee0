// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands (virtio 1.x, 5.7.6.7 on). A command is a copy of what the driver wrote, so nothing in it
 * changes while it is looked at.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/gpu/gpu.h"
#include "backends/gpu/pixels.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"
#include "vhost-user/edid.h"

/* What is offered while no display says anything else */
#define FALLBACK_WIDTH 1280
#define FALLBACK_HEIGHT 800

/* No answer yet: the display is waited for */
#define LATER VIRTIO_GPU_UNDEFINED

struct command {
	const uint8_t *data; /* header and all */
	size_t len; /* what the type needs is there */
};

typedef uint32_t (*command_fn)(struct gpu *gpu, const struct command *cmd,
			       struct gpu_answer *answer);

/* The fixed part of a command, aligned; its length was checked. */
#define COMMAND(type, name, cmd) \
	struct type name;        \
	memcpy(&name, (cmd)->data, sizeof(name))

static struct gpu_box take_rect(const struct virtio_gpu_rect *r)
{
	return (struct gpu_box){ le32toh(r->x), le32toh(r->y), le32toh(r->width),
				 le32toh(r->height) };
}

/* ---- the display ---- */

static void fallback_info(struct virtio_gpu_resp_display_info *info)
{
	memset(info, 0, sizeof(*info));
	info->pmodes[0].enabled = htole32(1);
	info->pmodes[0].r.width = htole32(FALLBACK_WIDTH);
	info->pmodes[0].r.height = htole32(FALLBACK_HEIGHT);
}

static uint32_t get_display_info(struct gpu *gpu, const struct command *cmd,
				 struct gpu_answer *answer)
{
	struct virtio_gpu_resp_display_info info;
	union vgpu_payload payload;
	int ret = link_ask(&gpu->link, VGPU_GET_DISPLAY_INFO, 0, &payload);

	(void)cmd;
	if (ret == -EAGAIN)
		return LATER;
	if (ret)
		fallback_info(&info);
	else
		info = payload.display_info;
	memcpy(gpu->reply, &info, sizeof(info));
	answer->len = sizeof(info);
	return VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
}

static uint32_t get_edid(struct gpu *gpu, const struct command *cmd, struct gpu_answer *answer)
{
	struct edid_info fallback = { FALLBACK_WIDTH, FALLBACK_HEIGHT, 1, "virtio-loop" };
	struct virtio_gpu_resp_edid edid = { 0 };
	union vgpu_payload payload;
	uint32_t size;
	int ret;

	COMMAND(virtio_gpu_cmd_get_edid, get, cmd);
	if (le32toh(get.scanout) >= VGPU_MAX_SCANOUTS)
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	ret = link_ask(&gpu->link, VGPU_GET_EDID, le32toh(get.scanout), &payload);
	if (ret == -EAGAIN)
		return LATER;
	if (ret) {
		edid_generate(&fallback, edid.edid);
		edid.size = htole32(EDID_SIZE);
	} else {
		size = MIN(le32toh(payload.edid.size), (uint32_t)sizeof(edid.edid));
		edid.size = htole32(size);
		memcpy(edid.edid, payload.edid.edid, size);
	}
	memcpy(gpu->reply, &edid, sizeof(edid));
	answer->len = sizeof(edid);
	return VIRTIO_GPU_RESP_OK_EDID;
}

/* ---- resources ---- */

static uint32_t create_2d(struct gpu *gpu, const struct command *cmd, struct gpu_answer *answer)
{
	uint32_t width, height, ret;
	struct gpu_resource *res;

	COMMAND(virtio_gpu_resource_create_2d, create, cmd);
	(void)answer;
	width = le32toh(create.width);
	height = le32toh(create.height);
	if (!width || !height || width > GPU_MAX_SIDE || height > GPU_MAX_SIDE ||
	    !pixels_format(le32toh(create.format)))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	ret = resource_create(gpu, le32toh(create.resource_id), GPU_RESOURCE_2D,
			      (uint64_t)width * height * GPU_PIXEL_BYTES, &res);
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		return ret;
	res->width = width;
	res->height = height;
	res->format = le32toh(create.format);
	ret = gpu->renderer->create_2d(gpu, res);
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		resource_forget(gpu, res);
	return ret;
}

/*
 * Guest memory only: a blob in host memory would have to be mapped where the driver can reach it,
 * and nothing but a hypervisor can do that.
 */
static uint32_t create_blob(struct gpu *gpu, const struct command *cmd, struct gpu_answer *answer)
{
	struct gpu_resource *res;
	uint32_t ret;

	COMMAND(virtio_gpu_resource_create_blob, create, cmd);
	(void)answer;
	if (!(gpu->features & BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB)))
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	if (le32toh(create.blob_mem) != VIRTIO_GPU_BLOB_MEM_GUEST) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"a blob in host memory (type %u) refused: only a hypervisor could map it for the driver",
				le32toh(create.blob_mem));
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	ret = resource_create(gpu, le32toh(create.resource_id), GPU_RESOURCE_BLOB, 0, &res);
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		return ret;
	ret = resource_attach(gpu, res, cmd->data + sizeof(create), cmd->len - sizeof(create),
			      le32toh(create.nr_entries));
	if (ret == VIRTIO_GPU_RESP_OK_NODATA && le64toh(create.size) > res->backing.len)
		ret = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		resource_destroy(gpu, res);
	return ret;
}

static uint32_t unref(struct gpu *gpu, const struct command *cmd, struct gpu_answer *answer)
{
	struct gpu_resource *res;

	COMMAND(virtio_gpu_resource_unref, unref_cmd, cmd);
	(void)answer;
	res = resource_find(gpu, le32toh(unref_cmd.resource_id));
	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	resource_destroy(gpu, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t attach_backing(struct gpu *gpu, const struct command *cmd,
			       struct gpu_answer *answer)
{
	struct gpu_resource *res;

	COMMAND(virtio_gpu_resource_attach_backing, attach, cmd);
	(void)answer;
	res = resource_find(gpu, le32toh(attach.resource_id));
	if (!res || res->kind == GPU_RESOURCE_BLOB)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	return resource_attach(gpu, res, cmd->data + sizeof(attach), cmd->len - sizeof(attach),
			       le32toh(attach.nr_entries));
}

static uint32_t detach_backing(struct gpu *gpu, const struct command *cmd,
			       struct gpu_answer *answer)
{
	struct gpu_resource *res;

	COMMAND(virtio_gpu_resource_detach_backing, detach, cmd);
	(void)answer;
	res = resource_find(gpu, le32toh(detach.resource_id));
	if (!res || res->kind == GPU_RESOURCE_BLOB)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	resource_detach(gpu, res);
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static uint32_t transfer_to_host_2d(struct gpu *gpu, const struct command *cmd,
				    struct gpu_answer *answer)
{
	struct gpu_resource *res;
	struct gpu_box box;

	COMMAND(virtio_gpu_transfer_to_host_2d, transfer, cmd);
	(void)answer;
	res = resource_find(gpu, le32toh(transfer.resource_id));
	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (res->kind == GPU_RESOURCE_BLOB) /* it is the guest's pages */
		return VIRTIO_GPU_RESP_OK_NODATA;
	box = take_rect(&transfer.r);
	if (!box_within(&box, res->width, res->height))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (!res->backing.iov)
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	return gpu->renderer->transfer(gpu, res, &box, le64toh(transfer.offset));
}

/* ---- scan-outs ---- */

static uint32_t set_scanout(struct gpu *gpu, const struct command *cmd, struct gpu_answer *answer)
{
	struct gpu_resource *res;
	struct gpu_box box;

	COMMAND(virtio_gpu_set_scanout, set, cmd);
	(void)answer;
	if (!set.resource_id)
		return scanout_off(gpu, le32toh(set.scanout_id));
	res = resource_find(gpu, le32toh(set.resource_id));
	if (!res || res->kind == GPU_RESOURCE_BLOB)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	box = take_rect(&set.r);
	if (!box_within(&box, res->width, res->height))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return scanout_set(gpu, le32toh(set.scanout_id), res, &box, NULL);
}

/* The picture must lie within the blob, all of its lines. */
static bool framebuffer_fits(const struct gpu_framebuffer *fb, uint64_t len)
{
	uint64_t line = (uint64_t)fb->width * GPU_PIXEL_BYTES;

	if (!fb->width || !fb->height || fb->width > GPU_MAX_SIDE || fb->height > GPU_MAX_SIDE ||
	    fb->stride < line)
		return false;
	return fb->offset + (uint64_t)fb->stride * (fb->height - 1) + line <= len;
}

static uint32_t set_scanout_blob(struct gpu *gpu, const struct command *cmd,
				 struct gpu_answer *answer)
{
	struct gpu_framebuffer fb;
	struct gpu_resource *res;
	struct gpu_box box;

	COMMAND(virtio_gpu_set_scanout_blob, set, cmd);
	(void)answer;
	if (!(gpu->features & BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB)))
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	if (!set.resource_id)
		return scanout_off(gpu, le32toh(set.scanout_id));
	res = resource_find(gpu, le32toh(set.resource_id));
	if (!res || res->kind != GPU_RESOURCE_BLOB)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	box = take_rect(&set.r);
	fb = (struct gpu_framebuffer){ le32toh(set.width), le32toh(set.height), le32toh(set.format),
				       le32toh(set.strides[0]), le32toh(set.offsets[0]) };
	if (!pixels_format(fb.format) || !framebuffer_fits(&fb, res->backing.len) ||
	    !box_within(&box, fb.width, fb.height))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	return scanout_set(gpu, le32toh(set.scanout_id), res, &box, &fb);
}

/*
 * The answer tells the driver that it may draw again, so it waits until the display has taken the
 * pixels; a display that takes none gets what is there later on.
 */
static uint32_t flush(struct gpu *gpu, const struct command *cmd, struct gpu_answer *answer)
{
	struct gpu_resource *res;
	struct gpu_box box;

	COMMAND(virtio_gpu_resource_flush, flush_cmd, cmd);
	(void)answer;
	res = resource_find(gpu, le32toh(flush_cmd.resource_id));
	if (!res)
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (!gpu->flushing) {
		box = take_rect(&flush_cmd.r);
		if (res->kind == GPU_RESOURCE_BLOB ?
			    !box_within(&box, GPU_MAX_SIDE, GPU_MAX_SIDE) :
			    !box_within(&box, res->width, res->height))
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		scanout_damage(gpu, res, &box);
	}
	gpu->flushing = link_waits(&gpu->link) && scanout_pending(gpu, res->id);
	return gpu->flushing ? LATER : VIRTIO_GPU_RESP_OK_NODATA;
}

/* ---- dispatch ---- */

struct command_type {
	uint32_t type;
	size_t size;
	command_fn fn;
};

static const struct command_type types[] = {
	{ VIRTIO_GPU_CMD_GET_DISPLAY_INFO, sizeof(struct virtio_gpu_ctrl_hdr), get_display_info },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, sizeof(struct virtio_gpu_resource_create_2d),
	  create_2d },
	{ VIRTIO_GPU_CMD_RESOURCE_UNREF, sizeof(struct virtio_gpu_resource_unref), unref },
	{ VIRTIO_GPU_CMD_SET_SCANOUT, sizeof(struct virtio_gpu_set_scanout), set_scanout },
	{ VIRTIO_GPU_CMD_RESOURCE_FLUSH, sizeof(struct virtio_gpu_resource_flush), flush },
	{ VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, sizeof(struct virtio_gpu_transfer_to_host_2d),
	  transfer_to_host_2d },
	{ VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, sizeof(struct virtio_gpu_resource_attach_backing),
	  attach_backing },
	{ VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, sizeof(struct virtio_gpu_resource_detach_backing),
	  detach_backing },
	{ VIRTIO_GPU_CMD_GET_EDID, sizeof(struct virtio_gpu_cmd_get_edid), get_edid },
	{ VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, sizeof(struct virtio_gpu_resource_create_blob),
	  create_blob },
	{ VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, sizeof(struct virtio_gpu_set_scanout_blob),
	  set_scanout_blob },
};

static uint32_t execute(struct gpu *gpu, uint32_t type, const struct command *cmd,
			struct gpu_answer *answer)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].type != type)
			continue;
		if (cmd->len < types[i].size)
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
		return types[i].fn(gpu, cmd, answer);
	}
	if (gpu->renderer->command)
		return gpu->renderer->command(gpu, type, cmd->data, cmd->len, answer);
	return VIRTIO_GPU_RESP_ERR_UNSPEC;
}

/* 5.7.6.7: the fence's fields come back as they were. */
static void finish_answer(struct gpu *gpu, const struct virtio_gpu_ctrl_hdr *hdr, uint32_t response,
			  struct gpu_answer *answer)
{
	struct virtio_gpu_ctrl_hdr out = { .type = htole32(response) };

	if (response >= VIRTIO_GPU_RESP_ERR_UNSPEC)
		answer->len = sizeof(out);
	if (le32toh(hdr->flags) & VIRTIO_GPU_FLAG_FENCE) {
		out.flags = hdr->flags &
			    htole32(VIRTIO_GPU_FLAG_FENCE | VIRTIO_GPU_FLAG_INFO_RING_IDX);
		out.fence_id = hdr->fence_id;
		out.ctx_id = hdr->ctx_id;
		out.ring_idx = hdr->ring_idx;
		answer->fence = gpu->renderer->fence != NULL;
	}
	memcpy(gpu->reply, &out, sizeof(out));
}

int gpu_control(struct gpu *gpu, const void *request, size_t len, struct gpu_answer *answer)
{
	struct command cmd = { request, len };
	struct virtio_gpu_ctrl_hdr hdr = { 0 };
	uint32_t response;

	*answer = (struct gpu_answer){ .len = sizeof(hdr) };
	if (len < sizeof(hdr)) {
		response = VIRTIO_GPU_RESP_ERR_UNSPEC;
	} else {
		memcpy(&hdr, request, sizeof(hdr));
		response = execute(gpu, le32toh(hdr.type), &cmd, answer);
	}
	if (response == LATER) {
		link_patience(&gpu->link);
		return -EAGAIN;
	}
	link_calm(&gpu->link);
	gpu->flushing = false;
	if (response >= VIRTIO_GPU_RESP_ERR_UNSPEC)
		log_ratelimited(LOG_LEVEL_INFO, "command %#x refused: %#x", le32toh(hdr.type),
				response);
	finish_answer(gpu, &hdr, response, answer);
	return 0;
}

void gpu_cursor(struct gpu *gpu, const void *request, size_t len)
{
	struct virtio_gpu_update_cursor c = { 0 };
	uint32_t type, id;

	if (len < sizeof(c))
		return;
	memcpy(&c, request, sizeof(c));
	type = le32toh(c.hdr.type);
	id = le32toh(c.pos.scanout_id);
	if (type != VIRTIO_GPU_CMD_UPDATE_CURSOR && type != VIRTIO_GPU_CMD_MOVE_CURSOR)
		return;
	if (type == VIRTIO_GPU_CMD_UPDATE_CURSOR)
		scanout_cursor_set(gpu, id, resource_find(gpu, le32toh(c.resource_id)),
				   le32toh(c.hot_x), le32toh(c.hot_y));
	scanout_cursor_move(gpu, id, le32toh(c.pos.x), le32toh(c.pos.y));
}

/* ---- the device ---- */

static int next_message(void *owner, struct vgpu_message *msg)
{
	return scanout_next_message(owner, msg);
}

static void progress(void *owner)
{
	struct gpu *gpu = owner;

	if (gpu->work)
		gpu->work(gpu);
}

static void connected(void *owner)
{
	scanout_tell_again(owner);
}

static const struct link_ops link_ops = {
	.next = next_message,
	.progress = progress,
	.connected = connected,
};

int gpu_init(struct gpu *gpu, struct loop *loop, const struct gpu_renderer *renderer,
	     const char *render_node)
{
	int ret;

	memset(gpu, 0, sizeof(*gpu));
	gpu->loop = loop;
	gpu->renderer = renderer;
	gpu->udmabuf = -1;
	gpu->memory_limit = GPU_DEFAULT_MEMORY;
	ret = link_init(&gpu->link, loop, &link_ops, gpu);
	if (ret) {
		log_error("no timer for the display: %s", strerror(-ret));
		gpu->renderer = NULL;
		return ret;
	}
	ret = renderer->init(gpu, render_node);
	if (ret) {
		link_finish(&gpu->link);
		gpu->renderer = NULL;
	}
	return ret;
}

void gpu_finish(struct gpu *gpu)
{
	if (!gpu->renderer)
		return;
	gpu->work = NULL;
	gpu_reset(gpu);
	gpu->renderer->finish(gpu);
	link_finish(&gpu->link);
	fd_close(&gpu->udmabuf);
	gpu->renderer = NULL;
}

void gpu_reset(struct gpu *gpu)
{
	resource_destroy_all(gpu);
	if (gpu->renderer->reset)
		gpu->renderer->reset(gpu);
	scanout_reset(gpu);
	gpu->flushing = false;
}

void gpu_memory_changed(struct gpu *gpu, const struct mem_table *mem)
{
	gpu->mem = mem;
	resource_remap(gpu);
	/* a queue that is broken is stopped in the middle of a command */
	if (!mem)
		link_forget(&gpu->link);
	link_push(&gpu->link);
}
