/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A graphics card as who reads buffers that the CPU cannot: tiled ones, those in its own memory,
 * and formats of other kinds. The card's driver says what it takes.
 */
#ifndef DISPLAY_IMPORT_H
#define DISPLAY_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"
#include "vhost-user/gpu-protocol.h"

struct importer;
struct imported;

/**
 * importer_create() - load the OpenGL driver of a card
 * @node:	such as /dev/dri/renderD128
 * @failure:	the reason in words
 *
 * To be called before the process is confined: drivers read files of their own. One thread alone
 * uses all that is below.
 *
 * Return: the importer, or NULL.
 */
struct importer *importer_create(const char *node, struct failure *failure);
void importer_destroy(struct importer *importer);

/**
 * importer_import() - have the card look at a buffer
 * @importer:	which card
 * @scanout:	format, and where the picture lies in the buffer
 * @modifier:	how its pixels are laid out; DMABUF_IMPLICIT: the driver knows
 * @fd:		a dmabuf; stays the caller's
 * @imported:	the buffer, as the card has it
 *
 * Return: 0; -EOPNOTSUPP: the card does not take it, or cannot read it.
 */
int importer_import(struct importer *importer, const struct vgpu_dmabuf_scanout *scanout,
		    uint64_t modifier, int fd, struct imported **imported);

/* imported_release() - NULL: there is none */
void imported_release(struct imported *imported);

/**
 * imported_read() - read some lines of the buffer
 * @x, @y, @width, @height:	within the buffer
 * @dst:	where the first pixel goes: red, green, blue, alpha in memory, without gaps
 *
 * Return: 0 or -EIO.
 */
int imported_read(struct imported *imported, uint32_t x, uint32_t y, uint32_t width,
		  uint32_t height, void *dst);

#endif
