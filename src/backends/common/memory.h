/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory table: what the front-end shares, mapped, and the way from its addresses to ours.
 *
 * A table does not change while a queue runs on it: the control side stops the queues first. So the
 * queues read it without a lock.
 *
 * Every address comes from the other side: each look-up checks the whole range. The file behind a
 * region is checked to be long enough when it is mapped; a front-end that truncates it later gets
 * the process killed by SIGBUS with one clear line (see program.c). A memfd that is sealed against
 * shrinking, as the adapter's is, makes that impossible.
 */
#ifndef VU_MEMORY_H
#define VU_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/util.h"
#include "vhost-user/protocol.h"

#define MEM_MAX_REGIONS 64

struct mem_region {
	uint64_t gpa; /* guest address: what descriptors hold */
	uint64_t size;
	uint64_t uva; /* user address in the front-end: what SET_VRING_ADDR holds */
	uint8_t *host; /* where it is in this process */
	void *map; /* what was mapped, which can begin before @host */
	size_t map_len;
};

struct mem_table {
	unsigned int nregions;
	struct mem_region regions[MEM_MAX_REGIONS];
};

void mem_init(struct mem_table *mem);

/* mem_finish() - unmap all regions */
void mem_finish(struct mem_table *mem);

/**
 * mem_add() - map one more region
 * @mem:	the table
 * @region:	as it came from the front-end
 * @fd:		the file; stays the caller's and is no longer needed afterwards
 *
 * Return: 0, -EINVAL (empty, too large, wraps, overlaps another, file too short), -ENOSPC (table
 * full), or what mmap() says.
 */
int mem_add(struct mem_table *mem, const struct vhost_user_memory_region *region, int fd);

/**
 * mem_remove() - unmap one region
 * @mem:	the table
 * @region:	guest address, user address and size must be those of a region
 *
 * Return: 0 or -ENOENT.
 */
int mem_remove(struct mem_table *mem, const struct vhost_user_memory_region *region);

/**
 * mem_gpa_part() - as much of a guest range as is contiguous here
 * @mem:	the table
 * @gpa:	first byte
 * @len:	how many are wanted; *@len is set to how many can be had, at least 1
 *
 * Return: where they are, or NULL when the first byte is in no region.
 */
static inline void *mem_gpa_part(const struct mem_table *mem, uint64_t gpa, uint64_t *len)
{
	unsigned int i;

	for (i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];
		uint64_t offset = gpa - r->gpa;

		/* one comparison covers "below" as well: the difference wraps */
		if (likely(offset < r->size)) {
			if (*len > r->size - offset)
				*len = r->size - offset;
			return r->host + offset;
		}
	}
	return NULL;
}

/* mem_gpa() - a whole guest range, or NULL when it is not within one region */
static inline void *mem_gpa(const struct mem_table *mem, uint64_t gpa, uint64_t len)
{
	uint64_t have = len;
	void *p = mem_gpa_part(mem, gpa, &have);

	return p && have == len ? p : NULL;
}

/* mem_uva() - the same by the front-end's own address, for rings */
void *mem_uva(const struct mem_table *mem, uint64_t uva, uint64_t len);

/**
 * mem_read() - copy out of guest memory, also across the border of regions
 *
 * Return: 0, or -EFAULT when part of the range is in no region.
 */
int mem_read(const struct mem_table *mem, uint64_t gpa, void *buf, size_t len);

#endif
