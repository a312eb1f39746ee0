/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A picture in memory that the back-end shares: a linear dmabuf, or a memfd that is sealed against
 * shrinking; or any other dmabuf that a graphics card of this machine can read. Anything else is
 * refused: a file that can be truncated would end this process by SIGBUS.
 */
#ifndef DISPLAY_DMABUF_H
#define DISPLAY_DMABUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost-user/gpu-protocol.h"

struct importer;
struct imported;

struct dmabuf {
	void *map; /* NULL: not in memory */
	size_t len;
	struct importer *importer; /* NULL: no card is asked */
	struct imported *imported; /* NULL: no card has it */
	int fd;
	struct vgpu_dmabuf_scanout scanout;
};

/**
 * dmabuf_open() - look at a buffer from now on
 * @buf:	what it held before is released
 * @scanout:	where the picture lies in it
 * @modifier:	of DMABUF_SCANOUT2, or DMABUF_IMPLICIT
 * @fd:		taken over, also on errors
 *
 * Return: 0, -EINVAL (sizes do not fit), -EOPNOTSUPP (not linear, or a format of another kind, and
 * no card takes it), -EPERM (not a buffer whose size stays), or a negative errno.
 */
int dmabuf_open(struct dmabuf *buf, const struct vgpu_dmabuf_scanout *scanout, uint64_t modifier,
		int fd);
void dmabuf_close(struct dmabuf *buf);

static inline bool dmabuf_is_open(const struct dmabuf *buf)
{
	return buf->map || buf->imported;
}

#define DMABUF_LINEAR 0ULL
/* DRM_FORMAT_MOD_INVALID: the exporter did not say, as with DMABUF_SCANOUT */
#define DMABUF_IMPLICIT 0x00ffffffffffffffULL

/**
 * dmabuf_read() - copy part of the picture
 * @buf:	open
 * @x, @y, @width, @height:	within the scan-out
 * @dst:	x8r8g8b8
 * @stride:	pixels from one line of @dst to the next
 */
void dmabuf_read(const struct dmabuf *buf, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
		 uint32_t *dst, size_t stride);

#endif
