// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/udmabuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"

int udmabuf_create(struct udmabuf *u, int device, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + page - 1) & ~(page - 1);
	_cleanup_close_ int memfd = memfd_create("vhost-user-gpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct udmabuf_create create = {
		.memfd = (__u32)memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = size,
	};
	_cleanup_close_ int fd = -1;
	void *map;

	/* the kernel takes only what cannot shrink */
	if (memfd < 0 || ftruncate(memfd, (off_t)size) < 0 ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		return -errno;
	fd = ioctl(device, UDMABUF_CREATE, &create);
	if (fd < 0)
		return -errno;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*u = (struct udmabuf){ .map = map, .size = size, .fd = fd_steal(&fd) };
	return 0;
}

void udmabuf_destroy(struct udmabuf *u)
{
	if (!u->map)
		return;
	munmap(u->map, u->size);
	u->map = NULL;
	fd_close(&u->fd);
}
