/* SPDX-License-Identifier: BSD-3-Clause */
/* What draws: resources' contents, and, with 3D, contexts and their commands. */
#ifndef GPU_RENDERER_H
#define GPU_RENDERER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost-user/gpu-protocol.h"

struct gpu;
struct gpu_answer;
struct gpu_resource;
struct pixels;

struct gpu_box {
	uint32_t x, y, width, height;
};

/* Callbacks return VIRTIO_GPU_RESP_OK_NODATA or the error to answer with, where no more is said. */
struct gpu_renderer {
	uint64_t features; /* VIRTIO_GPU_F_* bits that it adds */

	/* @node: a render node, or NULL. A negative errno after a line that says why. */
	int (*init)(struct gpu *gpu, const char *node);
	void (*finish)(struct gpu *gpu);

	/* NULL: no need. After all resources have gone. */
	void (*reset)(struct gpu *gpu);

	/* How many capability sets there are */
	uint32_t (*capsets)(struct gpu *gpu);

	/* Sizes, format and budget were checked. */
	uint32_t (*create_2d)(struct gpu *gpu, struct gpu_resource *res);
	/* Of any kind, blobs as well */
	void (*destroy)(struct gpu *gpu, struct gpu_resource *res);

	/* NULL: no need. The backing's iovecs are there, or are about to go. */
	uint32_t (*attach)(struct gpu *gpu, struct gpu_resource *res);
	void (*detach)(struct gpu *gpu, struct gpu_resource *res);

	/* From the backing, at @offset, into @box, which lies within the resource. */
	uint32_t (*transfer)(struct gpu *gpu, struct gpu_resource *res, const struct gpu_box *box,
			     uint64_t offset);

	/* Pixels of @box as x8r8g8b8 (with its alpha where @alpha); 0 or a negative errno. */
	int (*read)(struct gpu *gpu, struct gpu_resource *res, const struct gpu_box *box,
		    const struct pixels *dst, bool alpha);

	/*
	 * NULL: none. A command that is not one of the common ones: @request of @len bytes, at
	 * least a header. The answer's data goes behind the header of gpu->reply.
	 */
	uint32_t (*command)(struct gpu *gpu, uint32_t type, const void *request, size_t len,
			    struct gpu_answer *answer);

	/* NULL: all is finished when a command returns. */
	uint64_t (*fence)(struct gpu *gpu); /* its number, 0: it cannot be made */
	uint64_t (*finished)(struct gpu *gpu); /* the newest fence that has passed */

	/*
	 * NULL: never. A linear dmabuf of the resource, and where the picture lies in it.
	 * -EOPNOTSUPP: read it instead.
	 */
	int (*export)(struct gpu *gpu, struct gpu_resource *res,
		      struct vgpu_dmabuf_scanout *dmabuf);
};

extern const struct gpu_renderer gpu_renderer_2d;
extern const struct gpu_renderer gpu_renderer_virgl;

#endif
