// SPDX-License-Identifier: BSD-3-Clause
#include "display/head.h"

#include <string.h>

#include "common/util.h"

bool rect_within(const struct rect *rect, uint32_t width, uint32_t height)
{
	return rect->width && rect->height && rect->x < width && rect->y < height &&
	       rect->width <= width - rect->x && rect->height <= height - rect->y;
}

struct rect rect_join(struct rect a, struct rect b)
{
	struct rect both;

	if (!a.width || !a.height)
		return b;
	if (!b.width || !b.height)
		return a;
	both.x = MIN(a.x, b.x);
	both.y = MIN(a.y, b.y);
	both.width = MAX(a.x + a.width, b.x + b.width) - both.x;
	both.height = MAX(a.y + a.height, b.y + b.height) - both.y;
	return both;
}

struct rect head_rect(const struct head *head)
{
	return (struct rect){ 0, 0, head->width, head->height };
}

/* The part of [@at, @at + size) that lies in [0, @limit); false when there is none. */
static bool clip(int64_t at, int64_t size, int64_t limit, uint32_t *start, uint32_t *len)
{
	int64_t first = MAX(at, (int64_t)0), end = MIN(at + size, limit);

	if (first >= end)
		return false;
	*start = (uint32_t)first;
	*len = (uint32_t)(end - first);
	return true;
}

struct rect head_cursor_rect(const struct head *head)
{
	const struct cursor *c = &head->cursor;
	struct rect rect = { 0 };

	if (!c->visible ||
	    !clip(c->x, VGPU_CURSOR_SIZE, head->width, &rect.x, &rect.width) ||
	    !clip(c->y, VGPU_CURSOR_SIZE, head->height, &rect.y, &rect.height))
		return (struct rect){ 0 };
	return rect;
}

/* One colour; that of @top has its alpha multiplied in already, as DRM wants cursors. */
static uint32_t blend(uint32_t top, uint32_t bottom, uint32_t alpha, unsigned int shift)
{
	uint32_t t = top >> shift & 0xff, b = bottom >> shift & 0xff;

	return MIN(t + (b * (255 - alpha) + 127) / 255, 255U) << shift;
}

static uint32_t over(uint32_t top, uint32_t bottom)
{
	uint32_t alpha = top >> 24;

	return blend(top, bottom, alpha, 16) | blend(top, bottom, alpha, 8) |
	       blend(top, bottom, alpha, 0);
}

static void compose_cursor(const struct head *head, const struct rect *rect, uint32_t *dst,
			   size_t stride)
{
	const struct cursor *c = &head->cursor;
	struct rect seen = head_cursor_rect(head);
	uint32_t x, y;

	for (y = seen.y; y < seen.y + seen.height; y++) {
		const uint32_t *line = c->pixels + (size_t)((int64_t)y - c->y) * VGPU_CURSOR_SIZE;

		if (y < rect->y || y - rect->y >= rect->height)
			continue;
		for (x = seen.x; x < seen.x + seen.width; x++) {
			uint32_t *p;

			if (x < rect->x || x - rect->x >= rect->width)
				continue;
			p = &dst[(size_t)(y - rect->y) * stride + (x - rect->x)];
			*p = over(line[(int64_t)x - c->x], *p);
		}
	}
}

void head_compose(const struct head *head, const struct rect *rect, uint32_t *dst, size_t stride)
{
	uint32_t y;

	for (y = 0; y < rect->height; y++)
		memcpy(dst + y * stride,
		       head->pixels + (size_t)(rect->y + y) * head->width + rect->x,
		       (size_t)rect->width * sizeof(uint32_t));
	compose_cursor(head, rect, dst, stride);
}
