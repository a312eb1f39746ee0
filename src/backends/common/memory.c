// SPDX-License-Identifier: BSD-3-Clause
#include "backends/common/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

void mem_init(struct mem_table *mem)
{
	mem->nregions = 0;
}

static void mem_unmap(struct mem_region *region)
{
	munmap(region->map, region->map_len);
}

void mem_finish(struct mem_table *mem)
{
	while (mem->nregions)
		mem_unmap(&mem->regions[--mem->nregions]);
}

static bool ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

static int mem_check(const struct mem_table *mem, const struct vhost_user_memory_region *region)
{
	uint64_t end;
	unsigned int i;

	if (!region->size || __builtin_add_overflow(region->guest_addr, region->size, &end) ||
	    __builtin_add_overflow(region->user_addr, region->size, &end) ||
	    __builtin_add_overflow(region->mmap_offset, region->size, &end) || end > INT64_MAX)
		return -EINVAL;
	if (mem->nregions >= MEM_MAX_REGIONS)
		return -ENOSPC;
	for (i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];

		if (ranges_overlap(r->gpa, r->size, region->guest_addr, region->size) ||
		    ranges_overlap(r->uva, r->size, region->user_addr, region->size))
			return -EINVAL;
	}
	return 0;
}

/*
 * A page behind the end of the file would be a SIGBUS later. Character devices have no end to
 * tell.
 */
static int mem_check_file(int fd, uint64_t needed)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISCHR(st.st_mode))
		return 0;
	end = lseek(fd, 0, SEEK_END);
	if (end < 0) /* nor has memory of the kernel's, VDUSE's for one */
		return errno == ESPIPE ? 0 : -errno;
	return (uint64_t)end < needed ? -EINVAL : 0;
}

/*
 * What the offset of a mapping must be a multiple of, and on its removal the length: more than a
 * page on hugetlbfs.
 */
static uint64_t mem_alignment(int fd)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0 || fs.f_bsize <= 0)
		return page;
	/* some file systems answer with what is good to read at a time, not with a page size */
	if ((uint64_t)fs.f_bsize < page || ((uint64_t)fs.f_bsize & ((uint64_t)fs.f_bsize - 1)))
		return page;
	return (uint64_t)fs.f_bsize;
}

int mem_add(struct mem_table *mem, const struct vhost_user_memory_region *region, int fd)
{
	struct mem_region *r;
	uint64_t align, lead, len;
	int ret;

	ret = mem_check(mem, region);
	if (ret)
		return ret;
	ret = mem_check_file(fd, region->mmap_offset + region->size);
	if (ret)
		return ret;

	r = &mem->regions[mem->nregions];
	align = mem_alignment(fd);
	lead = region->mmap_offset & (align - 1);
	len = ALIGN_UP(region->size + lead, align);
	r->map_len = (size_t)len;
	if (r->map_len != len) /* more than there are addresses for, on 32 bits */
		return -EINVAL;
	r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		      (off_t)(region->mmap_offset - lead));
	if (r->map == MAP_FAILED)
		return -errno;
	madvise(r->map, r->map_len, MADV_DONTDUMP);
	r->host = (uint8_t *)r->map + lead;
	r->gpa = region->guest_addr;
	r->uva = region->user_addr;
	r->size = region->size;
	mem->nregions++;
	return 0;
}

int mem_remove(struct mem_table *mem, const struct vhost_user_memory_region *region)
{
	unsigned int i;

	for (i = 0; i < mem->nregions; i++) {
		struct mem_region *r = &mem->regions[i];

		if (r->gpa != region->guest_addr || r->uva != region->user_addr ||
		    r->size != region->size)
			continue;
		mem_unmap(r);
		*r = mem->regions[--mem->nregions];
		return 0;
	}
	return -ENOENT;
}

void *mem_uva(const struct mem_table *mem, uint64_t uva, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < mem->nregions; i++) {
		const struct mem_region *r = &mem->regions[i];
		uint64_t offset = uva - r->uva;

		if (offset < r->size)
			return len <= r->size - offset ? r->host + offset : NULL;
	}
	return NULL;
}

int mem_read(const struct mem_table *mem, uint64_t gpa, void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len) {
		uint64_t part = len;
		const void *from = mem_gpa_part(mem, gpa, &part);

		if (!from)
			return -EFAULT;
		memcpy(to, from, part);
		to += part;
		gpa += part;
		len -= part;
	}
	return 0;
}
