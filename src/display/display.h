/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The display: heads, each with the picture that the GPU shows on it, and one output that shows
 * them to somebody.
 *
 *	client.c	the back-end's socket: its messages change the heads
 *	head.c		a head's picture and cursor
 *	dmabuf.c	a buffer that the picture lies in
 *	import-*.c	a graphics card that reads it, where the CPU cannot
 *	output-*.c	where the picture goes
 *	patience.c	the end of what a library of theirs waits for
 *	control.c	the adapter's socket: hands over the back-end's, is told of new sizes
 *	input.c		what is typed and pointed at there, for vhost-user-input
 *
 * One thread, one loop. What comes from the back-end is hostile: it can spoil its own picture and
 * nothing else.
 */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

#include "backends/common/loop.h"
#include "display/client.h"
#include "display/control.h"
#include "display/head.h"
#include "display/input.h"
#include "display/output.h"

#define DISPLAY_DEFAULT_WIDTH 1280
#define DISPLAY_DEFAULT_HEIGHT 800

struct display {
	struct loop *loop;
	unsigned int nheads;
	struct head heads[VGPU_MAX_SCANOUTS];
	struct output output;
	struct client client;
	struct control control;
	struct input input;
	struct importer *importer; /* NULL: buffers are shown that the CPU can read */
};

/*
 * display_init() - @nheads heads that are off, and offer @width by @height; no output yet
 *
 * Return: 0 or a negative errno.
 */
int display_init(struct display *display, unsigned int nheads, uint32_t width, uint32_t height);

/**
 * display_import() - have a graphics card read what the CPU cannot
 * @node:	such as /dev/dri/renderD128
 *
 * Return: 0, or a negative errno with the reason in words.
 */
int display_import(struct display *display, const char *node, struct failure *failure);

/* display_finish() - close the output and all connections */
void display_finish(struct display *display);

/**
 * display_mode() - a head gets another size, or is switched off
 * @width, @height:	0: off
 *
 * Return: 0; -EINVAL for a size that there cannot be; -ENOSPC: too large beside the other heads, or
 * -ENOMEM: the head is off.
 */
int display_mode(struct display *display, struct head *head, uint32_t width, uint32_t height);

/* display_off() - the back-end has gone: all heads are off */
void display_off(struct display *display);

/* display_damage() - pixels of a head have changed */
void display_damage(struct display *display, struct head *head, struct rect rect);

/**
 * display_resized() - the output wants another size for a head; the adapter is told of a new one
 *
 * Return: 0 or -ENOSPC: too large beside the other heads, it stays as it was.
 */
int display_resized(struct display *display, struct head *head, uint32_t width, uint32_t height);

#endif
