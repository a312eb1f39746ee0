/* SPDX-License-Identifier: BSD-3-Clause */
/* What is shown: a resource, or a part of it, on each head, and a cursor. */
#ifndef GPU_SCANOUT_H
#define GPU_SCANOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/gpu/renderer.h"
#include "backends/gpu/shared-picture.h"
#include "vhost-user/gpu-message.h"

struct gpu;
struct gpu_resource;

/* A picture in guest memory: what SET_SCANOUT_BLOB says of it */
struct gpu_framebuffer {
	uint32_t width;
	uint32_t height;
	uint32_t format;
	uint32_t stride;
	uint32_t offset;
};

struct gpu_cursor {
	bool visible;
	bool moved; /* the display is to be told */
	bool changed; /* with its pixels */
	uint32_t x;
	uint32_t y;
	uint32_t hot_x;
	uint32_t hot_y;
	uint32_t pixels[VGPU_CURSOR_SIZE * VGPU_CURSOR_SIZE];
};

struct gpu_scanout {
	uint32_t resource_id; /* 0: off */
	struct gpu_box box; /* the part of it that is shown */
	struct gpu_framebuffer fb; /* for a blob */
	bool changed; /* the display is to be told what is shown */
	bool dmabuf; /* it was told of a buffer, not of pixels */
	struct shared_picture shared; /* that buffer, where it is ours and not the renderer's */
	uint32_t told_width; /* the size that it was told of */
	uint32_t told_height;
	struct gpu_box damage; /* pixels to be told, from the corner of @box on; width 0: none */
	struct gpu_cursor cursor;
};

/*
 * scanout_set() - show a part of a resource; @fb: for a blob; the sizes are checked
 *
 * Return: VIRTIO_GPU_RESP_OK_NODATA, or the error to answer with.
 */
uint32_t scanout_set(struct gpu *gpu, uint32_t id, struct gpu_resource *res,
		     const struct gpu_box *box, const struct gpu_framebuffer *fb);
uint32_t scanout_off(struct gpu *gpu, uint32_t id);

/* scanout_resource_gone() - no head shows it any more */
void scanout_resource_gone(struct gpu *gpu, uint32_t resource_id);

/* scanout_reset() - all heads and cursors are off */
void scanout_reset(struct gpu *gpu);

/* scanout_damage() - a part of a resource has changed: tell the display where it is shown */
void scanout_damage(struct gpu *gpu, const struct gpu_resource *res, const struct gpu_box *box);

/* scanout_pending() - the display has not taken all changes of a resource yet */
bool scanout_pending(const struct gpu *gpu, uint32_t resource_id);

/* The cursor of a head; @res: NULL for none. Mistakes of the driver hide it. */
void scanout_cursor_set(struct gpu *gpu, uint32_t id, struct gpu_resource *res, uint32_t hot_x,
			uint32_t hot_y);
void scanout_cursor_move(struct gpu *gpu, uint32_t id, uint32_t x, uint32_t y);

/* For the link: what there is to tell, and that all is to be told again. */
int scanout_next_message(struct gpu *gpu, struct vgpu_message *msg);
void scanout_tell_again(struct gpu *gpu);

/* box_within() - it is not empty and lies within @width by @height */
bool box_within(const struct gpu_box *box, uint32_t width, uint32_t height);

#endif
