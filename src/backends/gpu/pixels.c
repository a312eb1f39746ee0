// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/pixels.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <linux/virtio_gpu.h>

/* virtio names the bytes in their order in memory, pixman the bits of a number. */
pixman_format_code_t pixels_format(uint32_t format)
{
#if BYTE_ORDER == LITTLE_ENDIAN
#define BY_ORDER(little, big) little
#else
#define BY_ORDER(little, big) big
#endif
	switch (format) {
	case VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM:
		return BY_ORDER(PIXMAN_a8r8g8b8, PIXMAN_b8g8r8a8);
	case VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM:
		return BY_ORDER(PIXMAN_x8r8g8b8, PIXMAN_b8g8r8x8);
	case VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM:
		return BY_ORDER(PIXMAN_b8g8r8a8, PIXMAN_a8r8g8b8);
	case VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM:
		return BY_ORDER(PIXMAN_b8g8r8x8, PIXMAN_x8r8g8b8);
	case VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM:
		return BY_ORDER(PIXMAN_a8b8g8r8, PIXMAN_r8g8b8a8);
	case VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM:
		return BY_ORDER(PIXMAN_r8g8b8x8, PIXMAN_x8b8g8r8);
	case VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM:
		return BY_ORDER(PIXMAN_r8g8b8a8, PIXMAN_a8b8g8r8);
	case VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM:
		return BY_ORDER(PIXMAN_x8b8g8r8, PIXMAN_r8g8b8x8);
	default:
		return (pixman_format_code_t)0;
	}
}

int pixels_convert(const struct pixels *dst, const void *src, size_t stride, uint32_t format,
		   uint32_t width, uint32_t height, bool alpha)
{
	pixman_format_code_t from = pixels_format(format);
	pixman_format_code_t to = alpha ? PIXMAN_a8r8g8b8 : PIXMAN_x8r8g8b8;
	pixman_image_t *in, *out;
	int ret = -ENOMEM;

	if (src == dst->at && (from == to || (!alpha && from == PIXMAN_a8r8g8b8)))
		return 0;
	/* pixman only reads it */
	in = pixman_image_create_bits(from, (int)width, (int)height, (uint32_t *)(uintptr_t)src,
				      (int)stride);
	out = pixman_image_create_bits(to, (int)width, (int)height, dst->at, (int)dst->stride);
	if (in && out) {
		pixman_image_composite32(PIXMAN_OP_SRC, in, NULL, out, 0, 0, 0, 0, 0, 0, (int)width,
					 (int)height);
		ret = 0;
	}
	if (in)
		pixman_image_unref(in);
	if (out)
		pixman_image_unref(out);
	return ret;
}
