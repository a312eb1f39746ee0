// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/virgl-check.h"

#include <endian.h>
#include <string.h>

/* VIRGL_CCMD_*: what holds a box, each at the same place */
#define RESOURCE_INLINE_WRITE 9
#define TRANSFER3D 43
#define COPY_TRANSFER3D 45

/* Words of such a command, from its header on */
enum {
	STRIDE = 4,
	LAYER_STRIDE,
	BOX_Z = 8,
	BOX_HEIGHT = 10,
	BOX_DEPTH,
	BOX_END
};

bool virgl_check_transfer(const struct virgl_transfer *t)
{
	uint64_t lines = (uint64_t)t->stride * (t->height ? t->height - 1 : 0);
	uint64_t layers = (uint64_t)t->layer_stride * (t->depth ? t->depth - 1 : 0);

	/* what comes to these is the last line alone */
	return t->z <= INT32_MAX && t->depth <= INT32_MAX && lines <= INT32_MAX &&
	       layers <= INT32_MAX;
}

static uint32_t word(const void *stream, size_t at)
{
	uint32_t le;

	memcpy(&le, (const char *)stream + at * sizeof(le), sizeof(le));
	return le32toh(le);
}

static bool command_sound(const void *stream, size_t at)
{
	const struct virgl_transfer transfer = {
		.z = word(stream, at + BOX_Z),
		.height = word(stream, at + BOX_HEIGHT),
		.depth = word(stream, at + BOX_DEPTH),
		.stride = word(stream, at + STRIDE),
		.layer_stride = word(stream, at + LAYER_STRIDE),
	};

	return virgl_check_transfer(&transfer);
}

bool virgl_check_stream(const void *stream, size_t words)
{
	size_t at = 0;

	while (at < words) {
		uint32_t header = word(stream, at), what = header & 0xff;
		size_t len = 1 + (header >> 16);

		if (len > words - at)
			break;
		if ((what == RESOURCE_INLINE_WRITE || what == TRANSFER3D ||
		     what == COPY_TRANSFER3D) &&
		    len >= BOX_END && !command_sound(stream, at))
			return false;
		at += len;
	}
	return true;
}
