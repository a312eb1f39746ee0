/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool: the memory that the driver's rings and buffers travel in, and all of the kernel's
 * memory that a back-end sees. A memfd, sealed so that nobody can cut it off under the kernel's or
 * a back-end's mapping.
 */
#ifndef ADAPTER_POOL_H
#define ADAPTER_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"

/*
 * Where the pool begins in the DMA addresses of the device. The back-end's memory table has the
 * same guest and user address. Low enough for drivers with 32-bit addresses, and never 0.
 */
#define POOL_BASE 0x10000000ULL
#define POOL_SIZE_MIN (64ULL << 10)
#define POOL_SIZE_MAX (4ULL << 30) /* the module's limit */

struct pool {
	int fd;
	uint64_t base;
	uint64_t size;
	uint64_t behind; /* bytes of the file behind these, where rings may lie */
	size_t page_size;
};

/* struct memory_map - what a back-end sees, as SET_MEM_TABLE tells it */
struct memory_region {
	int fd; /* somebody else's to close */
	uint64_t offset; /* in the file */
	uint64_t base; /* the same as a DMA address */
	uint64_t size;
};

#define MEMORY_REGIONS_MAX 2

struct memory_map {
	uint64_t user_offset; /* added to each base for the front-end's own address of it */
	unsigned int count;
	struct memory_region regions[MEMORY_REGIONS_MAX];
};

/* memory_map_add() - one more, of MEMORY_REGIONS_MAX at most */
void memory_map_add(struct memory_map *map, int fd, uint64_t offset, uint64_t base, uint64_t size);

/**
 * pool_init() - make a memfd of this size
 * @pool:	filled in; fd is -1 on failure
 * @name:	shown in /proc/PID/maps
 * @size:	bytes; rounded up to whole pages
 * @page_size:	the module's
 * @failure:	the reason in words
 */
int pool_init(struct pool *pool, const char *name, uint64_t size, size_t page_size,
	      struct failure *failure);

void pool_finish(struct pool *pool);

/**
 * struct pool_window - a mapping of a part of the pool
 *
 * Only recovery without an in-flight record looks into the pool, and only at the rings: a mapping
 * that is not there cannot be read through by mistake, and costs no page tables.
 */
struct pool_window {
	void *map;
	size_t map_size;
	void *data; /* what was asked for */
};

/**
 * pool_map() - map a range of the pool
 * @pool:	the pool
 * @address:	DMA address
 * @length:	bytes
 * @window:	filled in; for pool_unmap()
 *
 * Return: 0, -ERANGE when the range is not in the pool, or a negative errno.
 */
int pool_map(const struct pool *pool, uint64_t address, uint64_t length,
	     struct pool_window *window);

void pool_unmap(struct pool_window *window);

#endif
