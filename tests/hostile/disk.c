// SPDX-License-Identifier: BSD-3-Clause
#include "disk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

int disk_open(struct disk *disk, const char *image, uint64_t size)
{
	int flags = image ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	_cleanup_close_ int fd = -1;
	struct stat st;

	*disk = (struct disk){ .size = size };
	if (image) {
		fd = open(image, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return -errno;
		if (!size)
			disk->size = (uint64_t)st.st_size;
	}
	disk->size &= ~(uint64_t)(SECTOR - 1);
	if (!disk->size)
		return -EINVAL;
	disk->data = mmap(NULL, disk->size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (disk->data == MAP_FAILED) {
		disk->data = NULL;
		return -errno;
	}
	return 0;
}

void disk_close(struct disk *disk)
{
	if (disk->data)
		munmap(disk->data, disk->size);
	disk->data = NULL;
}

void disk_config(const struct disk *disk, unsigned int queues, bool cached, uint8_t *config,
		 size_t size)
{
	struct virtio_blk_config c = {
		.capacity = htole64(disk->size / SECTOR),
		.seg_max = htole32(126),
		.blk_size = htole32(SECTOR),
		.wce = cached,
		.num_queues = htole16((uint16_t)queues),
	};

	memset(config, 0, size);
	memcpy(config, &c, MIN(size, sizeof(c)));
}

/* Gathers from, or scatters to, the buffers from @first on; @skip bytes of them first. */
static uint32_t transfer(const struct iovec *iov, unsigned int count, uint8_t *data, uint64_t room,
			 bool to_iov)
{
	uint64_t done = 0;
	unsigned int i;

	for (i = 0; i < count && done < room; i++) {
		uint64_t n = MIN((uint64_t)iov[i].iov_len, room - done);

		if (to_iov)
			memcpy(iov[i].iov_base, data + done, n);
		else
			memcpy(data + done, iov[i].iov_base, n);
		done += n;
	}
	return (uint32_t)done;
}

static uint64_t total(const struct iovec *iov, unsigned int count)
{
	uint64_t sum = 0;

	while (count--)
		sum += iov++->iov_len;
	return sum;
}

static void set_status(const struct chain *chain, uint8_t status)
{
	const struct iovec *last = &chain->iov[chain->out + chain->in - 1];

	((uint8_t *)last->iov_base)[last->iov_len - 1] = status;
}

uint32_t disk_request(struct disk *disk, const struct chain *chain)
{
	struct virtio_blk_outhdr header = { 0 };
	const struct iovec *in = chain->iov + chain->out;
	uint64_t offset, length;
	uint32_t written = 0;

	if (!chain->in || !in[chain->in - 1].iov_len || !chain->out ||
	    chain->iov[0].iov_len != sizeof(header))
		return 0;
	memcpy(&header, chain->iov[0].iov_base, sizeof(header));
	offset = le64toh(header.sector) * SECTOR;
	disk->requests++;
	switch (le32toh(header.type)) {
	case VIRTIO_BLK_T_IN:
		length = total(in, chain->in) - 1;
		if (offset > disk->size || length > disk->size - offset)
			break;
		if (!disk->hollow)
			written = transfer(in, chain->in, disk->data + offset, length, true);
		set_status(chain, VIRTIO_BLK_S_OK);
		return written + 1;
	case VIRTIO_BLK_T_OUT:
		length = total(chain->iov + 1, chain->out - 1);
		if (offset > disk->size || length > disk->size - offset)
			break;
		transfer(chain->iov + 1, chain->out - 1, disk->data + offset, length, false);
		set_status(chain, VIRTIO_BLK_S_OK);
		return 1;
	case VIRTIO_BLK_T_FLUSH:
		set_status(chain, VIRTIO_BLK_S_OK);
		return 1;
	case VIRTIO_BLK_T_GET_ID:
		written = transfer(in, chain->in, (uint8_t *)"hostile-backend\0\0\0\0", 20, true);
		set_status(chain, VIRTIO_BLK_S_OK);
		return written + 1;
	default:
		set_status(chain, VIRTIO_BLK_S_UNSUPP);
		return 1;
	}
	set_status(chain, VIRTIO_BLK_S_IOERR);
	return 1;
}
