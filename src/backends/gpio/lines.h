/* SPDX-License-Identifier: BSD-3-Clause */
/* Which lines of a chip, and in which order: the list of --lines. */
#ifndef GPIO_LINES_H
#define GPIO_LINES_H

#include <stdint.h>

/* The virtio device counts its lines in 16 bits. */
#define LINES_MAX UINT16_MAX

struct lines {
	unsigned int count;
	uint32_t *offsets; /* [count] of the chip; the index is the line of the virtio device */
};

/**
 * lines_parse() - read a list such as 0-7,12
 * @text:	NULL: all lines
 * @chip_lines:	so many lines the chip has
 * @lines:	filled in
 *
 * The lines are numbered anew in the order of the list. None can be there twice.
 *
 * Return: 0, or -EINVAL or -ENOMEM after a line that says why.
 */
int lines_parse(const char *text, unsigned int chip_lines, struct lines *lines);

void lines_finish(struct lines *lines);

#endif
