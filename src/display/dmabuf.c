// SPDX-License-Identifier: BSD-3-Clause
#include "display/dmabuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "display/import.h"

static bool known_format(uint32_t fourcc)
{
	return fourcc == VGPU_FOURCC_XR24 || fourcc == VGPU_FOURCC_AR24 ||
	       fourcc == VGPU_FOURCC_XB24 || fourcc == VGPU_FOURCC_AB24;
}

/*
 * What has seals is none. Of anything else this asks the file system, which can be a process that
 * does not answer (FUSE).
 */
static bool is_dmabuf(int fd)
{
	struct statfs st;

	return fcntl(fd, F_GET_SEALS) < 0 && fstatfs(fd, &st) == 0 && st.f_type == DMA_BUF_MAGIC;
}

/* Its size cannot change for the worse. */
static bool size_stays(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 ? seals & F_SEAL_SHRINK : is_dmabuf(fd);
}

static bool picture_fits(const struct vgpu_dmabuf_scanout *s)
{
	if (!s->width || !s->height || s->width > VGPU_MAX_SIDE || s->height > VGPU_MAX_SIDE ||
	    s->fd_width > VGPU_MAX_SIDE || s->fd_height > VGPU_MAX_SIDE)
		return false;
	return s->x <= s->fd_width && s->width <= s->fd_width - s->x && s->y <= s->fd_height &&
	       s->height <= s->fd_height - s->y && s->fd_stride <= 8 * VGPU_MAX_SIDE;
}

/* ---- in memory ---- */

/* Bytes from the start of the buffer to the end of the picture; 0: it does not fit. */
static uint64_t bytes_needed(const struct vgpu_dmabuf_scanout *s)
{
	if (s->fd_stride % 4 || s->fd_stride / 4 < s->fd_width)
		return 0;
	return (uint64_t)s->fd_stride * (s->fd_height - 1) + (uint64_t)s->fd_width * 4;
}

static int map_memory(struct dmabuf *buf, uint64_t modifier)
{
	uint64_t needed = bytes_needed(&buf->scanout);
	off_t size;
	void *map;

	if ((modifier != DMABUF_LINEAR && modifier != DMABUF_IMPLICIT) ||
	    !known_format(buf->scanout.fd_drm_fourcc))
		return -EOPNOTSUPP;
	if (!needed)
		return -EINVAL;
	if (!size_stays(buf->fd))
		return -EPERM;
	size = lseek(buf->fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	if ((uint64_t)size < needed)
		return -EINVAL;
	map = mmap(NULL, needed, PROT_READ, MAP_SHARED, buf->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	buf->map = map;
	buf->len = needed;
	return 0;
}

/* ---- by a graphics card ---- */

/* Whatever the layout, lines that the buffer ends before are not shown to the card's driver. */
static bool lines_are_there(const struct dmabuf *buf)
{
	off_t size = lseek(buf->fd, 0, SEEK_END);

	return size > 0 && buf->scanout.fd_stride &&
	       (uint64_t)size > (uint64_t)buf->scanout.fd_stride * (buf->scanout.fd_height - 1);
}

static int import(struct dmabuf *buf, uint64_t modifier)
{
	if (!buf->importer)
		return -EOPNOTSUPP;
	if (!is_dmabuf(buf->fd))
		return -EPERM;
	if (!lines_are_there(buf))
		return -EINVAL;
	return importer_import(buf->importer, &buf->scanout, modifier, buf->fd, &buf->imported);
}

/* ---- either way ---- */

/*
 * What is said to be linear is memory, if it can be. Of what is not said to be anything the card
 * may know more.
 */
int dmabuf_open(struct dmabuf *buf, const struct vgpu_dmabuf_scanout *scanout, uint64_t modifier,
		int fd)
{
	_cleanup_close_ int owned = fd;
	int ret = -EOPNOTSUPP;

	dmabuf_close(buf);
	if (!picture_fits(scanout))
		return -EINVAL;
	buf->scanout = *scanout;
	buf->fd = owned;
	if (modifier == DMABUF_IMPLICIT)
		ret = import(buf, modifier);
	if (ret)
		ret = map_memory(buf, modifier);
	if (ret && buf->importer && modifier != DMABUF_IMPLICIT)
		ret = import(buf, modifier);
	if (ret)
		buf->fd = -1;
	else
		fd_steal(&owned);
	return ret;
}

void dmabuf_close(struct dmabuf *buf)
{
	if (!dmabuf_is_open(buf))
		return;
	if (buf->map)
		munmap(buf->map, buf->len);
	imported_release(buf->imported);
	fd_close(&buf->fd);
	buf->map = NULL;
	buf->imported = NULL;
}

/* Best effort: a memfd has no caches to care for, and some exporters refuse. */
static void sync_caches(const struct dmabuf *buf, uint64_t edge)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_READ | edge };

	if (ioctl(buf->fd, DMA_BUF_IOCTL_SYNC, &sync) < 0)
		return;
}

static void copy_line(uint32_t *dst, const uint32_t *src, uint32_t width, bool swap)
{
	uint32_t x;

	if (!swap) {
		memcpy(dst, src, (size_t)width * sizeof(*dst));
		return;
	}
	for (x = 0; x < width; x++) {
		uint32_t p = src[x];

		dst[x] = (p & 0xff00ff00) | (p & 0xff) << 16 | (p >> 16 & 0xff);
	}
}

static void read_memory(const struct dmabuf *buf, uint32_t x, uint32_t y, uint32_t width,
			uint32_t height, uint32_t *dst, size_t stride)
{
	const struct vgpu_dmabuf_scanout *s = &buf->scanout;
	bool swap = s->fd_drm_fourcc == VGPU_FOURCC_XB24 || s->fd_drm_fourcc == VGPU_FOURCC_AB24;
	uint32_t i;

	sync_caches(buf, DMA_BUF_SYNC_START);
	for (i = 0; i < height; i++) {
		uint32_t line = s->y + y + i;
		const uint8_t *src;

		if (s->fd_flags & VGPU_DMABUF_BOTTOM_UP)
			line = s->fd_height - 1 - line;
		src = (const uint8_t *)buf->map + (size_t)line * s->fd_stride +
		      (size_t)(s->x + x) * 4;
		copy_line(dst + i * stride, (const uint32_t *)(const void *)src, width, swap);
	}
	sync_caches(buf, DMA_BUF_SYNC_END);
}

static void read_imported(const struct dmabuf *buf, uint32_t x, uint32_t y, uint32_t width,
			  uint32_t height, uint32_t *dst, size_t stride)
{
	const struct vgpu_dmabuf_scanout *s = &buf->scanout;
	bool bottom_up = s->fd_flags & VGPU_DMABUF_BOTTOM_UP;
	uint32_t *lines = calloc((size_t)width * height, sizeof(*lines));
	uint32_t first = s->y + y, i;

	if (bottom_up)
		first = s->fd_height - first - height;
	if (!lines || imported_read(buf->imported, s->x + x, first, width, height, lines)) {
		log_ratelimited(LOG_LEVEL_WARNING, "head %u: the graphics card cannot read its buffer",
				s->scanout_id);
		free(lines);
		return;
	}
	for (i = 0; i < height; i++)
		copy_line(dst + i * stride,
			  lines + (size_t)(bottom_up ? height - 1 - i : i) * width, width, true);
	free(lines);
}

void dmabuf_read(const struct dmabuf *buf, uint32_t x, uint32_t y, uint32_t width, uint32_t height,
		 uint32_t *dst, size_t stride)
{
	if (buf->map)
		read_memory(buf, x, y, width, height, dst, stride);
	else
		read_imported(buf, x, y, width, height, dst, stride);
}
