// SPDX-License-Identifier: BSD-3-Clause
/* Resources as pixman images in this process's memory. */
#include <errno.h>
#include <string.h>

#include "backends/gpu/gpu.h"
#include "backends/gpu/pixels.h"

static int init(struct gpu *gpu, const char *node)
{
	(void)gpu;
	(void)node;
	return 0;
}

static void finish(struct gpu *gpu)
{
	(void)gpu;
}

static uint32_t capsets(struct gpu *gpu)
{
	(void)gpu;
	return 0;
}

/* The image begins black. */
static uint32_t create_2d(struct gpu *gpu, struct gpu_resource *res)
{
	(void)gpu;
	res->priv = pixman_image_create_bits(pixels_format(res->format), (int)res->width,
					     (int)res->height, NULL, 0);
	return res->priv ? VIRTIO_GPU_RESP_OK_NODATA : VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
}

static void destroy(struct gpu *gpu, struct gpu_resource *res)
{
	(void)gpu;
	if (res->priv) /* a blob has no image */
		pixman_image_unref(res->priv);
}

static uint8_t *pixel(const struct gpu_resource *res, uint32_t x, uint32_t y)
{
	uint8_t *data = (uint8_t *)pixman_image_get_data(res->priv);

	return data + (size_t)y * (size_t)pixman_image_get_stride(res->priv) +
	       (size_t)x * GPU_PIXEL_BYTES;
}

/* 5.7.6.8: lines in the backing are as far apart as in the resource. */
static uint32_t transfer(struct gpu *gpu, struct gpu_resource *res, const struct gpu_box *box,
			 uint64_t offset)
{
	uint64_t stride = (uint64_t)res->width * GPU_PIXEL_BYTES;
	struct backing_cursor cursor;
	uint32_t y;

	(void)gpu;
	backing_cursor_init(&cursor, &res->backing);
	for (y = 0; y < box->height; y++) {
		uint64_t at;

		if (__builtin_add_overflow(offset, stride * y, &at) ||
		    !backing_read(&cursor, at, pixel(res, box->x, box->y + y),
				  (size_t)box->width * GPU_PIXEL_BYTES))
			return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	return VIRTIO_GPU_RESP_OK_NODATA;
}

static int read_pixels(struct gpu *gpu, struct gpu_resource *res, const struct gpu_box *box,
		       const struct pixels *dst, bool alpha)
{
	(void)gpu;
	return pixels_convert(dst, pixel(res, box->x, box->y),
			      (size_t)pixman_image_get_stride(res->priv), res->format, box->width,
			      box->height, alpha);
}

const struct gpu_renderer gpu_renderer_2d = {
	.init = init,
	.finish = finish,
	.capsets = capsets,
	.create_2d = create_2d,
	.destroy = destroy,
	.transfer = transfer,
	.read = read_pixels,
};
