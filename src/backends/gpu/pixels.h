/* SPDX-License-Identifier: BSD-3-Clause */
/* Pixel formats (virtio 1.x, 5.7.6.8, enum virtio_gpu_formats), by pixman. All have 32 bits. */
#ifndef GPU_PIXELS_H
#define GPU_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pixman.h>

#define GPU_PIXEL_BYTES 4U

/* pixels_format() - pixman's name of a format, 0 for one that there is not */
pixman_format_code_t pixels_format(uint32_t format);

/* Pixels of four bytes, in lines @stride bytes apart */
struct pixels {
	uint32_t *at;
	size_t stride;
};

/**
 * pixels_convert() - from any format to a8r8g8b8, or x8r8g8b8
 * @dst:	where to; what lies between its lines is left alone
 * @src:	of @format, lines @stride bytes apart; may be @dst itself, with the same stride
 * @alpha:	keep it; the answer has 255 where @format has none
 *
 * Return: 0 or -ENOMEM.
 */
int pixels_convert(const struct pixels *dst, const void *src, size_t stride, uint32_t format,
		   uint32_t width, uint32_t height, bool alpha);

#endif
