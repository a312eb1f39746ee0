// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

/* What the kernel can give without taking it from others; UINT64_MAX: it does not say. */
static uint64_t memory_available(void)
{
	static const char label[] = "MemAvailable:";
	uint64_t kib = UINT64_MAX;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, label, strlen(label))) {
			kib = strtoull(line + strlen(label), NULL, 10);
			break;
		}
	}
	fclose(f);
	return kib == UINT64_MAX ? UINT64_MAX : kib << 10;
}

int pool_init(struct pool *pool, const char *name, uint64_t size, size_t page_size,
	      struct failure *failure)
{
	_cleanup_close_ int fd = -1;
	char label[64];

	*pool = (struct pool){ .fd = -1, .base = POOL_BASE, .page_size = page_size };
	size = ALIGN_UP(size, page_size);
	/* All of it is pinned at once: too much would have others killed. */
	if (size > memory_available())
		return failure_set(failure, -ENOMEM,
				   "a pool of %" PRIu64
				   " bytes is more than the memory that is free: "
				   "take a smaller --pool",
				   size);
	snprintf(label, sizeof(label), "virtio-loopback %s", name);
	fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return failure_set(failure, -errno, "cannot make a pool of %" PRIu64 " bytes: %s",
				   size, strerror(errno));
	/*
	 * F_SEAL_SEAL as well: a write seal set by a back-end would be its own loss, but a
	 * puzzling one
	 */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return failure_set(failure, -errno, "cannot seal the pool: %s", strerror(errno));
	pool->fd = fd_steal(&fd);
	pool->size = size;
	return 0;
}

void pool_finish(struct pool *pool)
{
	fd_close(&pool->fd);
}

void memory_map_add(struct memory_map *map, int fd, uint64_t offset, uint64_t base, uint64_t size)
{
	map->regions[map->count++] = (struct memory_region){
		.fd = fd,
		.offset = offset,
		.base = base,
		.size = size,
	};
}

int pool_map(const struct pool *pool, uint64_t address, uint64_t length, struct pool_window *window)
{
	const uint64_t end = pool->size + pool->behind;
	uint64_t offset, first, size;

	if (address < pool->base || address - pool->base > end ||
	    length > end - (address - pool->base) || !length)
		return -ERANGE;
	offset = address - pool->base;
	first = offset & ~(uint64_t)(pool->page_size - 1);
	size = ALIGN_UP(offset + length, pool->page_size) - first;
	window->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, pool->fd, (off_t)first);
	if (window->map == MAP_FAILED)
		return -errno;
	window->map_size = size;
	window->data = (char *)window->map + (offset - first);
	return 0;
}

void pool_unmap(struct pool_window *window)
{
	if (window->map && window->map != MAP_FAILED)
		munmap(window->map, window->map_size);
	window->map = NULL;
}
