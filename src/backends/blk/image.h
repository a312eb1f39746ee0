/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a disk is made of: a regular file, a block device, or nothing ("null:SIZE", for
 * measurements).
 */
#ifndef BLK_IMAGE_H
#define BLK_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum blk_image_kind {
	BLK_IMAGE_FILE,
	BLK_IMAGE_DEVICE,
	BLK_IMAGE_NULL, /* reads zeroes, forgets what is written */
};

struct blk_image {
	const char *path;
	enum blk_image_kind kind;
	int fd; /* -1 for BLK_IMAGE_NULL */
	bool read_only;
	bool direct;
	bool in_memory; /* tmpfs: I/O never sleeps, and io_uring would use helper threads */
	uint64_t size; /* bytes, whole sectors; can change: use blk_image_size() */
	uint32_t logical_block; /* bytes: no request can be smaller or between */
	uint32_t physical_block; /* bytes: smaller ones are slow */
	uint32_t memory_align; /* with @direct: what buffers must be aligned to */
};

/**
 * blk_image_open() - open and lock an image
 * @image:	filled in
 * @path:	file, block device, or "null:SIZE"
 * @read_only:	no write will come
 * @direct:	past the page cache
 * @wait_ms:	how long to wait for another process that holds the image
 *
 * The lock is on the open file description: it ends with the last I/O on it, not with the process,
 * so whoever gets it finds the image quiet. Readers share it.
 *
 * Errors are told in one line, but for -EINTR: the program is to end (vu_interrupted()).
 *
 * Return: 0 or a negative errno.
 */
int blk_image_open(struct blk_image *image, const char *path, bool read_only, bool direct,
		   unsigned int wait_ms);

/* blk_image_close() - takes one that failed to open */
void blk_image_close(struct blk_image *image);

static inline uint64_t blk_image_size(const struct blk_image *image)
{
	return __atomic_load_n(&image->size, __ATOMIC_RELAXED);
}

/**
 * blk_image_refresh() - look at the size again
 *
 * Return: 1 it changed, 0 it did not, or a negative errno.
 */
int blk_image_refresh(struct blk_image *image);

#endif
