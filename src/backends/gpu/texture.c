// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/texture.h"

#include <endian.h>

#include "common/util.h"

#define WIDEST_TEXEL 16 /* R32G32B32A32 */

/* VIRGL_FORMAT_*, by the bytes of a texel, as far as a card may have to keep it unpacked */
static const struct {
	uint16_t first;
	uint16_t last;
	uint8_t bytes;
} narrow_formats[] = {
	{ 1, 4, 4 }, /* B8G8R8A8_UNORM and so on */
	{ 5, 7, 2 }, /* B5G5R5A1, B4G4R4A4, B5G6R5 */
	{ 8, 8, 4 }, /* R10G10B10A2 */
	{ 9, 11, 1 }, /* L8, A8, I8 */
	{ 12, 13, 2 }, /* L8A8, L16 */
	{ 14, 15, 2 }, /* UYVY, YUYV */
	{ 16, 16, 2 }, /* Z16 */
	{ 17, 22, 4 }, /* Z32, Z24_S8 and so on */
	{ 23, 23, 1 }, /* S8 */
	{ 28, 28, 4 }, /* R32_FLOAT */
	{ 29, 29, 8 },
	{ 48, 48, 2 }, /* R16_UNORM */
	{ 49, 49, 4 },
	{ 50, 51, 8 },
	{ 56, 56, 2 }, /* R16_SNORM */
	{ 57, 57, 4 },
	{ 58, 59, 8 },
	{ 64, 64, 1 }, /* R8_UNORM */
	{ 65, 65, 2 },
	{ 66, 68, 4 },
	{ 74, 74, 1 }, /* R8_SNORM */
	{ 75, 75, 2 },
	{ 76, 77, 4 },
	{ 91, 91, 2 }, /* R16_FLOAT */
	{ 92, 92, 4 },
	{ 93, 94, 8 },
	{ 95, 95, 1 }, /* L8_SRGB */
	{ 96, 96, 2 },
	{ 97, 104, 4 }, /* R8G8B8_SRGB and so on */
	{ 105, 116, 1 }, /* DXT1 to DXT5, RGTC */
	{ 121, 121, 4 }, /* A8B8G8R8 */
	{ 122, 122, 2 }, /* B5G5R5X1 */
	{ 124, 125, 4 }, /* R11G11B10, R9G9B9E5 */
	{ 126, 126, 8 }, /* Z32_FLOAT_S8X24 */
	{ 131, 131, 4 }, /* B10G10R10A2 */
	{ 134, 134, 4 }, /* R8G8B8X8 */
	{ 163, 167, 2 }, /* YV12 to NV21 */
	{ 177, 177, 1 }, /* R8_UINT */
	{ 178, 178, 2 },
	{ 179, 180, 4 },
	{ 181, 181, 1 }, /* R8_SINT */
	{ 182, 182, 2 },
	{ 183, 184, 4 },
	{ 185, 185, 2 }, /* R16_UINT */
	{ 186, 186, 4 },
	{ 187, 188, 8 },
	{ 189, 189, 2 }, /* R16_SINT */
	{ 190, 190, 4 },
	{ 191, 192, 8 },
	{ 193, 193, 4 }, /* R32_UINT */
	{ 194, 194, 8 },
	{ 197, 197, 4 }, /* R32_SINT */
	{ 198, 198, 8 },
	{ 225, 226, 4 }, /* B10G10R10A2_UINT, ETC1 */
	{ 229, 233, 4 }, /* R8G8B8X8, B10G10R10X2 */
	{ 234, 238, 8 }, /* R16G16B16X16 */
	{ 253, 253, 4 }, /* R10G10B10A2_UINT */
	{ 254, 254, 2 }, /* B5G6R5_SRGB */
	{ 255, 256, 4 }, /* BPTC */
	{ 257, 258, 8 },
	{ 269, 306, 4 }, /* ETC2, ASTC */
	{ 312, 312, 1 }, /* R8_SRGB */
	{ 313, 313, 2 },
	{ 314, 317, 4 }, /* P010 to P016, B8G8R8 */
	{ 318, 318, 1 }, /* R3G3B2 */
	{ 319, 321, 2 }, /* R4G4B4A4, R5G5B5A1, R5G6B5 */
};

static uint64_t texel_bytes(uint32_t format)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(narrow_formats); i++) {
		if (format >= narrow_formats[i].first && format <= narrow_formats[i].last)
			return narrow_formats[i].bytes;
	}
	return WIDEST_TEXEL;
}

uint64_t texture_bytes(const struct virtio_gpu_resource_create_3d *c)
{
	/* the library takes sizes of 0 for textures that have none there */
	uint64_t side = (uint64_t)le32toh(c->width) * MAX(le32toh(c->height), 1U);
	uint64_t layers = (uint64_t)MAX(le32toh(c->depth), 1U) * MAX(le32toh(c->array_size), 1U);
	uint64_t samples = MAX(le32toh(c->nr_samples), 1U), bytes;

	if (__builtin_mul_overflow(side, layers, &bytes) ||
	    __builtin_mul_overflow(bytes, samples * texel_bytes(le32toh(c->format)), &bytes) ||
	    __builtin_add_overflow(bytes, le32toh(c->last_level) ? bytes / 2 : 0, &bytes))
		return UINT64_MAX;
	return bytes;
}
