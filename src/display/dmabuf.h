/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A picture in memory that the back-end shares: a linear dmabuf, or a memfd that is sealed against
 * shrinking. Anything else is refused: a file that can be truncated would end this process by
 * SIGBUS.
 */
#ifndef DISPLAY_DMABUF_H
#define DISPLAY_DMABUF_H

#include <stddef.h>
#include <stdint.h>

#include "vhost-user/gpu-protocol.h"

struct dmabuf {
	void *map; /* NULL: none */
	size_t len;
	int fd;
	struct vgpu_dmabuf_scanout scanout;
};

/**
 * dmabuf_map() - look at a buffer from now on
 * @buf:	what it held before is released
 * @scanout:	where the picture lies in it
 * @modifier:	of DMABUF_SCANOUT2, or DMABUF_LINEAR
 * @fd:		taken over, also on errors
 *
 * Return: 0, -EINVAL (sizes do not fit), -EOPNOTSUPP (not linear, or a format of another kind),
 * -EPERM (not a buffer whose size stays), or a negative errno.
 */
int dmabuf_map(struct dmabuf *buf, const struct vgpu_dmabuf_scanout *scanout, uint64_t modifier,
	       int fd);
void dmabuf_unmap(struct dmabuf *buf);

#define DMABUF_LINEAR 0ULL
/* DRM_FORMAT_MOD_INVALID: the exporter did not say, as with DMABUF_SCANOUT */
#define DMABUF_IMPLICIT 0x00ffffffffffffffULL

/**
 * dmabuf_read() - copy part of the picture
 * @buf:	mapped
 * @x, @y, @width, @height:	within the scan-out
 * @dst:	x8r8g8b8
 * @stride:	pixels from one line of @dst to the next
 */
void dmabuf_read(const struct dmabuf *buf, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
		 uint32_t *dst, size_t stride);

#endif
