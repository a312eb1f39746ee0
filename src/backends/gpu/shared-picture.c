// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/shared-picture.h"

#include <errno.h>
#include <fcntl.h>

#include "backends/gpu/gpu.h"

static size_t stride(const struct shared_picture *p)
{
	return (size_t)p->width * GPU_PIXEL_BYTES;
}

static int create(struct gpu *gpu, struct shared_picture *p)
{
	int ret;

	if (gpu->udmabuf < 0)
		return -EOPNOTSUPP;
	if (!resource_charge(gpu, stride(p) * p->height))
		return -ENOMEM;
	ret = udmabuf_create(&p->memory, gpu->udmabuf, stride(p) * p->height);
	if (ret)
		resource_uncharge(gpu, stride(p) * p->height);
	return ret;
}

int shared_picture_begin(struct gpu *gpu, struct shared_picture *p, uint32_t width, uint32_t height,
			 struct vgpu_dmabuf_scanout *dmabuf)
{
	int fd;

	if (p->width == width && p->height == height)
		return p->refused ? -EOPNOTSUPP : -EALREADY;
	shared_picture_end(gpu, p);
	p->width = width;
	p->height = height;
	p->refused = create(gpu, p) < 0;
	if (p->refused)
		return -EOPNOTSUPP;
	dmabuf->fd_width = width;
	dmabuf->fd_height = height;
	dmabuf->fd_stride = (uint32_t)stride(p);
	dmabuf->fd_drm_fourcc = VGPU_FOURCC_XR24;
	fd = fcntl(p->memory.fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		fd = -errno;
		shared_picture_end(gpu, p);
	}
	return fd;
}

void shared_picture_end(struct gpu *gpu, struct shared_picture *p)
{
	if (p->memory.map) {
		udmabuf_destroy(&p->memory);
		resource_uncharge(gpu, stride(p) * p->height);
	}
	*p = (struct shared_picture){ 0 };
}

struct pixels shared_picture_at(const struct shared_picture *p, uint32_t x, uint32_t y)
{
	if (!p->memory.map)
		return (struct pixels){ 0 };
	return (struct pixels){ (uint32_t *)p->memory.map + (size_t)y * p->width + x, stride(p) };
}
