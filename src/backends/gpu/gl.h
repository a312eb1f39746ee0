/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gl - where OpenGL comes from: a graphics card of the machine's, or its CPU
 *
 * EGL, left to choose, takes the first render node that works. That may be one of a card that is
 * attached by virtio-loopback: another back-end would draw, or this one would wait for itself.
 */
#ifndef GPU_GL_H
#define GPU_GL_H

#include <stdbool.h>
#include <stddef.h>

/**
 * gl_find_node() - a render node of a card that the machine really has
 * @number:	which one of them, from 0 on
 * @path:	filled in
 *
 * Return: 0 or -ENODEV: there are no more.
 */
int gl_find_node(unsigned int number, char *path, size_t size);

/* gl_check_node() - one that was named; 0, or a negative errno after a line that says why not */
int gl_check_node(const char *path);

struct gl;

/* gl_create() - OpenGL on the CPU; NULL after a line that says why it cannot be had */
struct gl *gl_create(void);
void gl_destroy(struct gl *gl);

/**
 * gl_context_create() - a context for no surface
 * @shared:	with the one that is current
 *
 * Return: the context, or NULL: this version cannot be had.
 */
void *gl_context_create(struct gl *gl, bool shared, int major, int minor);
void gl_context_destroy(struct gl *gl, void *context);

/* gl_make_current() - @context: NULL: none; 0 or -EIO */
int gl_make_current(struct gl *gl, void *context);

#endif
