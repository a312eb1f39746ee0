// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/resource.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_gpu.h>

#include "backends/gpu/gpu.h"
#include "common/log.h"
#include "common/util.h"

/* ---- the table ---- */

static struct gpu_resource **bucket(struct gpu *gpu, uint32_t id)
{
	return &gpu->resources.buckets[id % GPU_BUCKETS];
}

struct gpu_resource *resource_find(struct gpu *gpu, uint32_t id)
{
	struct gpu_resource *res;

	for (res = *bucket(gpu, id); res; res = res->next) {
		if (res->id == id)
			return res;
	}
	return NULL;
}

bool resource_charge(struct gpu *gpu, uint64_t bytes)
{
	if (bytes > gpu->memory_limit - gpu->memory_used) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"no memory for a resource of %llu bytes: %llu of %llu are in use",
				(unsigned long long)bytes, (unsigned long long)gpu->memory_used,
				(unsigned long long)gpu->memory_limit);
		return false;
	}
	gpu->memory_used += bytes;
	return true;
}

void resource_uncharge(struct gpu *gpu, uint64_t bytes)
{
	gpu->memory_used -= bytes;
}

uint32_t resource_create(struct gpu *gpu, uint32_t id, enum gpu_resource_kind kind, uint64_t bytes,
			 struct gpu_resource **res)
{
	struct gpu_resource *new;

	if (!id || resource_find(gpu, id))
		return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
	if (gpu->resources.count >= GPU_MAX_RESOURCES || !resource_charge(gpu, bytes))
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	new = calloc(1, sizeof(*new));
	if (!new) {
		resource_uncharge(gpu, bytes);
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	}
	new->id = id;
	new->kind = kind;
	new->bytes = bytes;
	new->next = *bucket(gpu, id);
	*bucket(gpu, id) = new;
	gpu->resources.count++;
	*res = new;
	return VIRTIO_GPU_RESP_OK_NODATA;
}

void resource_forget(struct gpu *gpu, struct gpu_resource *res)
{
	struct gpu_resource **p;

	for (p = bucket(gpu, res->id); *p != res; p = &(*p)->next)
		;
	*p = res->next;
	gpu->resources.count--;
	resource_uncharge(gpu, res->bytes);
	free(res);
}

void resource_destroy(struct gpu *gpu, struct gpu_resource *res)
{
	scanout_resource_gone(gpu, res->id);
	resource_detach(gpu, res);
	gpu->renderer->destroy(gpu, res);
	resource_forget(gpu, res);
}

void resource_destroy_all(struct gpu *gpu)
{
	unsigned int i;

	for (i = 0; i < GPU_BUCKETS; i++) {
		while (gpu->resources.buckets[i])
			resource_destroy(gpu, gpu->resources.buckets[i]);
	}
}

/* ---- backing ---- */

static uint64_t backing_cost(uint64_t npages)
{
	return npages * (sizeof(struct gpu_page) + sizeof(struct iovec));
}

/* How many parts the pages are in: one that crosses regions of the memory table is in several. */
static int count_parts(const struct mem_table *mem, const struct gpu_backing *b,
		       unsigned int *count)
{
	unsigned int i, n = 0;

	for (i = 0; i < b->npages; i++) {
		uint64_t gpa = b->pages[i].gpa, left = b->pages[i].len;

		while (left) {
			uint64_t part = left;

			if (!mem_gpa_part(mem, gpa, &part))
				return -EFAULT;
			gpa += part;
			left -= part;
			n++;
		}
	}
	*count = n;
	return 0;
}

/* Pages that follow one another become one part. */
static unsigned int fill_parts(const struct mem_table *mem, const struct gpu_backing *b,
			       struct iovec *iov)
{
	unsigned int i, n = 0;

	for (i = 0; i < b->npages; i++) {
		uint64_t gpa = b->pages[i].gpa, left = b->pages[i].len;

		while (left) {
			uint64_t part = left;
			char *p = mem_gpa_part(mem, gpa, &part);

			if (n && (char *)iov[n - 1].iov_base + iov[n - 1].iov_len == p) {
				iov[n - 1].iov_len += part;
			} else {
				iov[n].iov_base = p;
				iov[n++].iov_len = part;
			}
			gpa += part;
			left -= part;
		}
	}
	return n;
}

static int backing_map(struct gpu *gpu, struct gpu_backing *b)
{
	unsigned int parts;

	if (!gpu->mem)
		return -EFAULT;
	if (count_parts(gpu->mem, b, &parts))
		return -EFAULT;
	b->iov = calloc(MAX(parts, 1U), sizeof(*b->iov));
	if (!b->iov)
		return -ENOMEM;
	b->niov = fill_parts(gpu->mem, b, b->iov);
	return 0;
}

static void backing_unmap(struct gpu *gpu, struct gpu_resource *res)
{
	if (res->attached && gpu->renderer->detach)
		gpu->renderer->detach(gpu, res);
	res->attached = false;
	free(res->backing.iov);
	res->backing.iov = NULL;
	res->backing.niov = 0;
}

static uint32_t hand_to_renderer(struct gpu *gpu, struct gpu_resource *res)
{
	uint32_t ret = VIRTIO_GPU_RESP_OK_NODATA;

	if (gpu->renderer->attach) {
		ret = gpu->renderer->attach(gpu, res);
		res->attached = ret == VIRTIO_GPU_RESP_OK_NODATA;
	}
	return ret;
}

/* One page list, from the driver's form into ours */
static int take_entries(struct gpu_backing *b, const uint8_t *entries, uint32_t count)
{
	uint32_t i;

	b->pages = calloc(MAX(count, 1U), sizeof(*b->pages));
	if (!b->pages)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		struct virtio_gpu_mem_entry entry;

		memcpy(&entry, entries + (size_t)i * sizeof(entry), sizeof(entry));
		b->pages[i].gpa = le64toh(entry.addr);
		b->pages[i].len = le32toh(entry.length);
		b->len += b->pages[i].len;
	}
	b->npages = count;
	return 0;
}

uint32_t resource_attach(struct gpu *gpu, struct gpu_resource *res, const void *entries,
			 size_t bytes, uint32_t count)
{
	struct gpu_backing *b = &res->backing;
	uint32_t ret;

	if (b->pages)
		return VIRTIO_GPU_RESP_ERR_UNSPEC;
	if (!count || count > bytes / sizeof(struct virtio_gpu_mem_entry))
		return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	if (!resource_charge(gpu, backing_cost(count)))
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	res->bytes += backing_cost(count);
	if (take_entries(b, entries, count)) {
		res->bytes -= backing_cost(count);
		resource_uncharge(gpu, backing_cost(count));
		return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
	}
	switch (backing_map(gpu, b)) {
	case 0:
		ret = hand_to_renderer(gpu, res);
		break;
	case -ENOMEM:
		ret = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
		break;
	default:
		log_ratelimited(LOG_LEVEL_WARNING,
				"resource %u: a page that is not in the shared memory", res->id);
		ret = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
	}
	if (ret != VIRTIO_GPU_RESP_OK_NODATA)
		resource_detach(gpu, res);
	return ret;
}

void resource_detach(struct gpu *gpu, struct gpu_resource *res)
{
	struct gpu_backing *b = &res->backing;

	if (!b->pages)
		return;
	backing_unmap(gpu, res);
	res->bytes -= backing_cost(b->npages);
	resource_uncharge(gpu, backing_cost(b->npages));
	free(b->pages);
	*b = (struct gpu_backing){ 0 };
}

/* One that is no longer all there stays without: its transfers fail until it is attached anew. */
void resource_remap(struct gpu *gpu)
{
	struct gpu_resource *res;
	unsigned int i;

	for (i = 0; i < GPU_BUCKETS; i++) {
		for (res = gpu->resources.buckets[i]; res; res = res->next) {
			if (!res->backing.pages)
				continue;
			backing_unmap(gpu, res);
			if (gpu->mem && !backing_map(gpu, &res->backing))
				hand_to_renderer(gpu, res);
		}
	}
}

/* ---- reading ---- */

void backing_cursor_init(struct backing_cursor *cursor, const struct gpu_backing *backing)
{
	*cursor = (struct backing_cursor){ .backing = backing };
}

bool backing_read(struct backing_cursor *cursor, uint64_t offset, void *dst, size_t len)
{
	const struct gpu_backing *b = cursor->backing;
	char *to = dst;

	if (!b->iov || offset > b->len || len > b->len - offset)
		return false;
	if (offset < cursor->before) {
		cursor->at = 0;
		cursor->before = 0;
	}
	while (len) {
		const struct iovec *iov = &b->iov[cursor->at];
		uint64_t in = offset - cursor->before;
		size_t part;

		if (in >= iov->iov_len) {
			cursor->before += iov->iov_len;
			cursor->at++;
			continue;
		}
		part = MIN(len, (size_t)(iov->iov_len - in));
		memcpy(to, (const char *)iov->iov_base + in, part);
		to += part;
		offset += part;
		len -= part;
	}
	return true;
}
