// SPDX-License-Identifier: BSD-3-Clause
/* A step of I/O in the calling thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fs.h>

#include "backends/blk/request.h"
#include "backends/common/iov.h"

/* The null image: what a disk would cost if storage were free, but for the copy. */
static int64_t null_io(const struct blk_io *io)
{
	if (io->op == BLK_OP_READ)
		return (int64_t)iov_zero(io->iov, io->niov, 0, io->len);
	return io->op == BLK_OP_WRITE ? (int64_t)io->len : 0;
}

static int64_t file_io(int fd, const struct blk_io *io)
{
	int niov = (int)MIN(io->niov, (unsigned int)IOV_MAX);
	uint64_t range[] = { io->offset, io->len };
	off_t offset = (off_t)io->offset;

	switch (io->op) {
	case BLK_OP_READ:
		return preadv(fd, io->iov, niov, offset);
	case BLK_OP_WRITE:
		return pwritev2(fd, io->iov, niov, offset, io->stable ? RWF_DSYNC : 0);
	case BLK_OP_SYNC:
		return fdatasync(fd);
	case BLK_OP_FALLOCATE:
		return fallocate(fd, io->mode, offset, (off_t)io->len);
	case BLK_OP_DISCARD:
		return ioctl(fd, BLKDISCARD, range);
	case BLK_OP_NONE:
		break;
	}
	errno = EINVAL;
	return -1;
}

int64_t blk_io_now(const struct blk_image *image, const struct blk_io *io)
{
	int64_t ret;

	if (image->kind == BLK_IMAGE_NULL)
		return null_io(io);
	do {
		ret = file_io(image->fd, io);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}
