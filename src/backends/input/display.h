/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A keyboard or pointer at virtio-loopback-display (common/display-input.h), in the place of an
 * evdev node.
 */
#ifndef INPUT_DISPLAY_H
#define INPUT_DISPLAY_H

#include "backends/input/evdev.h"

struct display_source {
	const char *path;
	int fd;
	char kind; /* DISPLAY_INPUT_KEYBOARD or DISPLAY_INPUT_POINTER */
	int32_t x, y; /* as it was told last */
};

extern const struct evdev_ops display_ops; /* of a struct display_source */

/**
 * display_open() - connect to the display
 * @source:	its @kind is set; filled in
 * @path:	what the display was given as --input
 * @info:	filled in
 *
 * Return: 0, or a negative errno after a line that says why.
 */
int display_open(struct display_source *source, const char *path, struct input_info *info);
void display_close(struct display_source *source);

#endif
