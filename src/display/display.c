// SPDX-License-Identifier: BSD-3-Clause
#include "display/display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/util.h"
#include "display/import.h"
#include "vhost-user/edid.h"

int display_init(struct display *display, unsigned int nheads, uint32_t width, uint32_t height)
{
	unsigned int i;

	memset(display, 0, sizeof(*display));
	client_init(&display->client, display);
	control_init(&display->control, display);
	input_init(&display->input, display);
	display->nheads = nheads;
	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		display->heads[i].index = i;
		display->heads[i].wanted_width = width;
		display->heads[i].wanted_height = height;
	}
	display->loop = loop_create();
	return display->loop ? 0 : -errno;
}

int display_import(struct display *display, const char *node, struct failure *failure)
{
	unsigned int i;

	display->importer = importer_create(node, failure);
	if (!display->importer)
		return -ENODEV;
	for (i = 0; i < VGPU_MAX_SCANOUTS; i++)
		display->heads[i].dmabuf.importer = display->importer;
	return 0;
}

void display_finish(struct display *display)
{
	unsigned int i;

	if (!display->loop)
		return;
	client_stop(&display->client);
	control_finish(&display->control);
	input_finish(&display->input);
	output_close(&display->output);
	for (i = 0; i < VGPU_MAX_SCANOUTS; i++) {
		dmabuf_close(&display->heads[i].dmabuf);
		free(display->heads[i].pixels);
	}
	importer_destroy(display->importer);
	loop_destroy(display->loop);
	display->loop = NULL;
}

/* All heads together, so that sixteen large ones do not eat the memory. */
static uint64_t pixels_of_others(const struct display *display, const struct head *head)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < display->nheads; i++) {
		const struct head *other = &display->heads[i];

		if (other != head)
			sum += (uint64_t)other->width * other->height;
	}
	return sum;
}

int display_mode(struct display *display, struct head *head, uint32_t width, uint32_t height)
{
	uint64_t pixels = (uint64_t)width * height;
	int ret = 0;

	if (width > VGPU_MAX_SIDE || height > VGPU_MAX_SIDE || !width != !height)
		return -EINVAL;
	if (pixels + pixels_of_others(display, head) > VGPU_MAX_PIXELS)
		ret = -ENOSPC;
	/* The output may hold back a frame that was shown: it is the last chance to see it. */
	output_settle(&display->output, head);
	free(head->pixels);
	head->pixels = pixels && !ret ? calloc(pixels, sizeof(uint32_t)) : NULL;
	if (pixels && !ret && !head->pixels)
		ret = -ENOMEM;
	head->width = ret ? 0 : width;
	head->height = ret ? 0 : height;
	log_info("head %u: %u x %u", head->index, head->width, head->height);
	output_mode(&display->output, head);
	return ret;
}

void display_off(struct display *display)
{
	unsigned int i;

	for (i = 0; i < display->nheads; i++) {
		struct head *head = &display->heads[i];

		dmabuf_close(&head->dmabuf);
		head->cursor.visible = false;
		if (head->width)
			display_mode(display, head, 0, 0);
	}
}

void display_damage(struct display *display, struct head *head, struct rect rect)
{
	if (rect_within(&rect, head->width, head->height))
		output_damage(&display->output, head, &rect);
}

/* What is offered fits as well, or the driver would follow into the dark. */
static bool offer_fits(const struct display *display, const struct head *head, uint32_t width,
		       uint32_t height)
{
	uint64_t sum = (uint64_t)width * height;
	unsigned int i;

	for (i = 0; i < display->nheads; i++) {
		const struct head *other = &display->heads[i];

		if (other != head)
			sum += (uint64_t)other->wanted_width * other->wanted_height;
	}
	return sum <= VGPU_MAX_PIXELS;
}

int display_resized(struct display *display, struct head *head, uint32_t width, uint32_t height)
{
	width = MAX(EDID_MIN_SIDE, MIN(width, EDID_MAX_SIDE));
	height = MAX(EDID_MIN_SIDE, MIN(height, EDID_MAX_SIDE));
	if (width == head->wanted_width && height == head->wanted_height)
		return 0;
	if (!offer_fits(display, head, width, height))
		return -ENOSPC;
	head->wanted_width = width;
	head->wanted_height = height;
	control_resize(&display->control, head);
	return 0;
}
