/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A head's picture in memory that the display was handed (/dev/udmabuf): what is shown is copied
 * there, once, and goes through no socket.
 */
#ifndef GPU_SHARED_PICTURE_H
#define GPU_SHARED_PICTURE_H

#include <stdint.h>

#include "backends/gpu/pixels.h"
#include "backends/gpu/udmabuf.h"
#include "vhost-user/gpu-protocol.h"

struct gpu;

struct shared_picture {
	struct udmabuf memory;
	uint32_t width;
	uint32_t height;
	bool refused; /* of this size it cannot be had */
};

/**
 * shared_picture_begin() - have one of this size
 * @dmabuf:	filled in but for what is shown of it
 *
 * Return: a dmabuf for the display, -EALREADY when it has that of this size, or another negative
 * errno: there is none, and pixels are to be sent.
 */
int shared_picture_begin(struct gpu *gpu, struct shared_picture *p, uint32_t width, uint32_t height,
			 struct vgpu_dmabuf_scanout *dmabuf);

/* shared_picture_end() - have none; the display keeps what it was handed */
void shared_picture_end(struct gpu *gpu, struct shared_picture *p);

/* shared_picture_at() - the pixels from there on; NULL: there is no picture */
struct pixels shared_picture_at(const struct shared_picture *p, uint32_t x, uint32_t y);

#endif
