// SPDX-License-Identifier: BSD-3-Clause
#include "backends/blk/image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/magic.h>

#include "backends/blk/blk.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"

#define NULL_PREFIX "null:"
#define LOCK_RETRY_MS 2
#define LARGEST_ALIGN 4096

/* ---- lock ---- */

static int try_lock(const struct blk_image *image)
{
	struct flock lock = {
		.l_type = image->read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	return fcntl(image->fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static int lock_image(const struct blk_image *image, unsigned int wait_ms)
{
	deadline_t deadline = deadline_after_ms(wait_ms);
	bool told = false;
	int ret;

	while ((ret = try_lock(image)) == -EAGAIN || ret == -EACCES || ret == -EINTR) {
		if (vu_interrupted())
			return -EINTR;
		if (deadline_passed(deadline)) {
			log_error(
				"%s: in use by another process for more than %u s; end it, or use "
				"--read-only in both",
				image->path, wait_ms / 1000);
			return -EBUSY;
		}
		if (!told)
			log_notice(
				"%s: in use; waiting for the last I/O of the process that has it",
				image->path);
		told = true;
		poll(NULL, 0, LOCK_RETRY_MS);
	}
	if (ret)
		log_error("%s: cannot be locked: %s", image->path, strerror(-ret));
	return ret;
}

/* ---- size and blocks ---- */

static int read_size(const struct blk_image *image, uint64_t *size)
{
	struct stat st;

	if (image->kind == BLK_IMAGE_NULL) {
		*size = image->size;
		return 0;
	}
	if (image->kind == BLK_IMAGE_DEVICE)
		return ioctl(image->fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
	if (fstat(image->fd, &st) < 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

int blk_image_refresh(struct blk_image *image)
{
	uint64_t size = 0;
	int ret;

	ret = read_size(image, &size);
	if (ret)
		return ret;
	size -= size % BLK_SECTOR_SIZE;
	if (size == image->size)
		return 0;
	__atomic_store_n(&image->size, size, __ATOMIC_RELAXED);
	return 1;
}

static uint32_t sane_block(uint64_t value, uint32_t otherwise)
{
	if (value < BLK_SECTOR_SIZE || value > 65536 || (value & (value - 1)))
		return otherwise;
	return (uint32_t)value;
}

static void device_blocks(struct blk_image *image)
{
	unsigned int physical = 0;
	int logical = 0;

	if (ioctl(image->fd, BLKSSZGET, &logical) == 0)
		image->logical_block = sane_block((uint64_t)logical, BLK_SECTOR_SIZE);
	if (ioctl(image->fd, BLKPBSZGET, &physical) == 0)
		image->physical_block = sane_block(physical, image->logical_block);
	image->memory_align = image->logical_block;
}

/* File systems that do not tell by statx() can be tried. */
static int probe_direct(struct blk_image *image)
{
	_cleanup_free_ void *buf = NULL;
	uint32_t align;

	if (posix_memalign(&buf, LARGEST_ALIGN, LARGEST_ALIGN))
		return -ENOMEM;
	for (align = BLK_SECTOR_SIZE; align <= LARGEST_ALIGN; align *= 2) {
		if (pread(image->fd, buf, align, 0) >= 0) {
			image->logical_block = align;
			image->memory_align = align;
			return 0;
		}
		if (errno != EINVAL)
			return -errno;
	}
	return -EINVAL;
}

static int direct_blocks(struct blk_image *image)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(image->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align && stx.stx_dio_mem_align) {
		image->logical_block = sane_block(stx.stx_dio_offset_align, BLK_SECTOR_SIZE);
		/* it can be smaller than a sector, and then is as good as none */
		image->memory_align = stx.stx_dio_mem_align;
		return 0;
	}
#endif
	return probe_direct(image);
}

static int find_blocks(struct blk_image *image)
{
	struct stat st;
	int ret = 0;

	image->logical_block = BLK_SECTOR_SIZE;
	image->physical_block = BLK_SECTOR_SIZE;
	image->memory_align = 1;
	if (image->kind == BLK_IMAGE_DEVICE)
		device_blocks(image);
	else if (image->kind == BLK_IMAGE_FILE && fstat(image->fd, &st) == 0)
		image->physical_block = sane_block(MIN((uint64_t)st.st_blksize, 4096U), 512);
	if (image->direct)
		ret = direct_blocks(image);
	if (image->physical_block < image->logical_block)
		image->physical_block = image->logical_block;
	return ret;
}

/* ---- opening ---- */

static int open_null(struct blk_image *image, const char *size)
{
	if (parse_size(size, &image->size) || !image->size || image->size % BLK_SECTOR_SIZE) {
		log_error("%s: a size in whole sectors of 512 bytes is needed, e.g. null:1G",
			  image->path);
		return -EINVAL;
	}
	image->kind = BLK_IMAGE_NULL;
	image->direct = false;
	return find_blocks(image);
}

static int open_file(struct blk_image *image)
{
	int flags = O_CLOEXEC | (image->read_only ? O_RDONLY : O_RDWR) |
		    (image->direct ? O_DIRECT : 0);

	image->fd = open(image->path, flags);
	if (image->fd >= 0)
		return 0;
	if (errno == EINVAL && image->direct)
		log_error("%s: its file system has no direct I/O: leave out --direct", image->path);
	else if (errno == EROFS || errno == EACCES)
		log_error("%s: %m%s", image->path,
			  image->read_only ? "" : "; if it is only to be read, use --read-only");
	else
		log_error("%s: %m", image->path);
	return -EINVAL;
}

static int find_kind(struct blk_image *image)
{
	struct statfs fs;
	struct stat st;

	if (fstat(image->fd, &st) < 0) {
		log_error("%s: %m", image->path);
		return -errno;
	}
	if (S_ISBLK(st.st_mode)) {
		image->kind = BLK_IMAGE_DEVICE;
	} else if (S_ISREG(st.st_mode)) {
		image->kind = BLK_IMAGE_FILE;
	} else {
		log_error("%s: neither a file nor a block device", image->path);
		return -EINVAL;
	}
	image->in_memory = image->kind == BLK_IMAGE_FILE && fstatfs(image->fd, &fs) == 0 &&
			   (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
	return 0;
}

int blk_image_open(struct blk_image *image, const char *path, bool read_only, bool direct,
		   unsigned int wait_ms)
{
	uint64_t size = 0;
	int ret;

	*image = (struct blk_image){
		.path = path,
		.fd = -1,
		.read_only = read_only,
		.direct = direct,
	};
	if (!strncmp(path, NULL_PREFIX, strlen(NULL_PREFIX)))
		return open_null(image, path + strlen(NULL_PREFIX));
	ret = open_file(image);
	if (!ret)
		ret = find_kind(image);
	if (!ret)
		ret = lock_image(image, wait_ms);
	if (ret)
		return ret;
	ret = find_blocks(image);
	if (!ret)
		ret = read_size(image, &size);
	if (ret) {
		log_error("%s: cannot be examined: %s", path, strerror(-ret));
		return ret;
	}
	if (size % BLK_SECTOR_SIZE)
		log_warning("%s: the last %u bytes are no whole sector and are left out", path,
			    (unsigned int)(size % BLK_SECTOR_SIZE));
	image->size = size - size % BLK_SECTOR_SIZE;
	return 0;
}

void blk_image_close(struct blk_image *image)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	/*
	 * All I/O has ended, but io_uring may hold the open file description for a moment longer,
	 * and with it the lock.
	 */
	if (image->fd >= 0 && fcntl(image->fd, F_OFD_SETLK, &lock) < 0)
		log_warning("%s: cannot be unlocked: %m", image->path);
	fd_close(&image->fd);
}
