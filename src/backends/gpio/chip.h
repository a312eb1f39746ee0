/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lines behind the device: those of a GPIO chip of this machine, by the kernel's character
 * device (uAPI v2, linux/gpio.h).
 *
 * The uAPI is used as it is, without libgpiod: Debian 12 has the library's first generation and
 * Debian 13 the second, which share no call, and what is needed here are six ioctls of an interface
 * that the kernel keeps.
 *
 * Each line is a request of its own and is held for as long as the program runs, so that nobody
 * else can take one while the driver does not use it.
 */
#ifndef GPIO_CHIP_H
#define GPIO_CHIP_H

#include <stdint.h>

#include "backends/gpio/lines.h"

enum line_edges {
	EDGES_NONE = 0,
	EDGES_RISING = 1,
	EDGES_FALLING = 2,
	EDGES_BOTH = 3,
};

/* How a line is to be. */
struct line_setup {
	uint8_t direction; /* VIRTIO_GPIO_DIRECTION_... */
	uint8_t value; /* of an output */
	enum line_edges edges; /* of an input: those that are told */
};

/* @line counts the device's lines. Errors are negative errnos. */
struct chip_ops {
	int (*setup)(void *chip, unsigned int line, const struct line_setup *setup);
	int (*get_direction)(void *chip, unsigned int line); /* IN or OUT */
	int (*get_value)(void *chip, unsigned int line); /* 0 or 1 */
	int (*set_value)(void *chip, unsigned int line, int value);

	/* Edges since the last time, at least 1 if there were any; never blocks */
	int (*take_edges)(void *chip, unsigned int line);

	/* is readable while there are edges to take; -1: none to wait for */
	int (*event_fd)(void *chip, unsigned int line);
};

struct chip {
	const char *path;
	int fd;
	struct lines lines;
	int *fds; /* [lines.count] line requests */
	char *names; /* each ended by a zero byte */
	uint32_t names_size; /* 0: no line has a name */
};

extern const struct chip_ops chip_ops; /* of a struct chip */

/**
 * chip_open() - take hold of the lines
 * @chip:	filled in
 * @path:	of the character device
 * @list:	of lines, NULL: all
 *
 * How the lines are is not changed. Nothing more needs any privilege after it.
 *
 * Return: 0, or a negative errno after a line that says why.
 */
int chip_open(struct chip *chip, const char *path, const char *list);

/* chip_close() - also after chip_open() failed */
void chip_close(struct chip *chip);

#endif
