/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's resources: a table by id, and the guest pages behind each. */
#ifndef GPU_RESOURCE_H
#define GPU_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct gpu;

#define GPU_BUCKETS 256
#define GPU_MAX_RESOURCES 65536
#define GPU_MAX_SIDE 16384U

enum gpu_resource_kind {
	GPU_RESOURCE_2D,
	GPU_RESOURCE_3D,
	GPU_RESOURCE_BLOB, /* guest memory alone */
};

/* One entry as the driver gave it */
struct gpu_page {
	uint64_t gpa;
	uint32_t len;
};

/*
 * @iov is @pages in this process; it is NULL, with @pages there, while it cannot be: the memory
 * table has changed and lacks some of it.
 */
struct gpu_backing {
	struct gpu_page *pages;
	unsigned int npages;
	struct iovec *iov;
	unsigned int niov;
	uint64_t len;
};

struct gpu_resource {
	struct gpu_resource *next;
	uint32_t id;
	enum gpu_resource_kind kind;
	uint32_t width;
	uint32_t height;
	uint32_t format;
	uint64_t bytes; /* that it is charged for */
	struct gpu_backing backing;
	bool attached; /* the renderer has its iovecs */
	void *priv; /* the renderer's */
};

struct gpu_resources {
	struct gpu_resource *buckets[GPU_BUCKETS];
	unsigned int count;
};

/* resource_find() - by its id; NULL: there is none */
struct gpu_resource *resource_find(struct gpu *gpu, uint32_t id);

/**
 * resource_create() - a new one, without contents
 * @bytes:	to charge for it
 *
 * Return: VIRTIO_GPU_RESP_OK_NODATA with @res filled in, or the error to answer with.
 */
uint32_t resource_create(struct gpu *gpu, uint32_t id, enum gpu_resource_kind kind, uint64_t bytes,
			 struct gpu_resource **res);

/* resource_forget() - take it back: the renderer could not make it */
void resource_forget(struct gpu *gpu, struct gpu_resource *res);

/* resource_destroy() - with contents and backing, and off all heads */
void resource_destroy(struct gpu *gpu, struct gpu_resource *res);
void resource_destroy_all(struct gpu *gpu);

/**
 * resource_attach() - the guest pages of a resource
 * @entries:	struct virtio_gpu_mem_entry, as the driver wrote them
 * @bytes:	how many bytes of them there are
 *
 * Return: VIRTIO_GPU_RESP_OK_NODATA, or the error to answer with.
 */
uint32_t resource_attach(struct gpu *gpu, struct gpu_resource *res, const void *entries,
			 size_t bytes, uint32_t count);
void resource_detach(struct gpu *gpu, struct gpu_resource *res);

/* resource_remap() - after a change of the memory table, for all resources */
void resource_remap(struct gpu *gpu);

/* resource_charge() - of the memory that the driver may take; false: there is not so much left */
bool resource_charge(struct gpu *gpu, uint64_t bytes);
void resource_uncharge(struct gpu *gpu, uint64_t bytes);

/* A place in the backing that moves forward without searching again */
struct backing_cursor {
	const struct gpu_backing *backing;
	unsigned int at; /* of iov */
	uint64_t before; /* bytes in front of it */
};

void backing_cursor_init(struct backing_cursor *cursor, const struct gpu_backing *backing);

/* backing_read() - @len bytes from @offset; false when they are not all there */
bool backing_read(struct backing_cursor *cursor, uint64_t offset, void *dst, size_t len);

#endif
