/* SPDX-License-Identifier: BSD-3-Clause */
/* One head: the picture that a scan-out shows, and the cursor on it. */
#ifndef DISPLAY_HEAD_H
#define DISPLAY_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "display/dmabuf.h"
#include "vhost-user/gpu-protocol.h"

struct rect {
	uint32_t x;
	uint32_t y;
	uint32_t width; /* 0: empty */
	uint32_t height;
};

struct cursor {
	bool visible;
	/*
	 * Of its left upper corner, as the Linux driver has it: the hot spot is not added. Off the
	 * head to the left or at the top it is negative.
	 */
	int32_t x;
	int32_t y;
	uint32_t hot_x;
	uint32_t hot_y;
	uint32_t pixels[VGPU_CURSOR_SIZE * VGPU_CURSOR_SIZE]; /* a8r8g8b8 */
};

struct head {
	unsigned int index;
	uint32_t width; /* 0: off */
	uint32_t height;
	uint32_t *pixels; /* x8r8g8b8, without gaps between the lines */
	struct cursor cursor;
	struct dmabuf dmabuf; /* where the picture comes from, with DMABUF_SCANOUT */
	uint32_t wanted_width; /* the mode that is offered to the driver */
	uint32_t wanted_height;
};

/* rect_within() - it is not empty and lies within @width by @height */
bool rect_within(const struct rect *rect, uint32_t width, uint32_t height);

/* rect_join() - the smallest that covers both */
struct rect rect_join(struct rect a, struct rect b);

/* head_rect() - all of the head */
struct rect head_rect(const struct head *head);

/* head_cursor_rect() - what the cursor covers of the head; empty when it is not seen */
struct rect head_cursor_rect(const struct head *head);

/**
 * head_compose() - the picture with the cursor on it
 * @rect:	which part; must lie within the head
 * @dst:	where its first pixel goes
 * @stride:	pixels from one line of @dst to the next
 */
void head_compose(const struct head *head, const struct rect *rect, uint32_t *dst, size_t stride);

#endif
