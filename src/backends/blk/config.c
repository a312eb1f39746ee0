// SPDX-License-Identifier: BSD-3-Clause
/* Features and config space (5.2.3, 5.2.4). */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/blk/blk.h"

uint64_t blk_features(void *dev)
{
	const struct blk_device *blk = dev;
	uint64_t features = BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) | BIT_ULL(VIRTIO_BLK_F_FLUSH) |
			    BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) | BIT_ULL(VIRTIO_BLK_F_MQ);

	if (blk->image.read_only)
		features |= BIT_ULL(VIRTIO_BLK_F_RO);
	else
		features |= BIT_ULL(VIRTIO_BLK_F_DISCARD) | BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES);
	return features;
}

static void fill_config(const struct blk_device *blk, struct virtio_blk_config *config)
{
	const struct blk_image *image = &blk->image;
	uint32_t ratio = image->physical_block / image->logical_block;
	uint32_t align = image->physical_block / BLK_SECTOR_SIZE;

	memset(config, 0, sizeof(*config));
	config->capacity = htole64(blk_image_size(image) >> BLK_SECTOR_SHIFT);
	config->seg_max = htole32(blk->seg_max);
	config->blk_size = htole32(image->logical_block);
	config->physical_block_exp = (uint8_t)__builtin_ctz(ratio);
	config->min_io_size = htole16((uint16_t)ratio);
	config->wce = __atomic_load_n(&blk->wce, __ATOMIC_RELAXED);
	config->num_queues = htole16((uint16_t)blk->num_queues);
	if (image->read_only)
		return;
	config->max_discard_sectors = htole32(BLK_MAX_DISCARD_SECTORS);
	config->max_discard_seg = htole32(BLK_MAX_DISCARD_SEGMENTS);
	config->discard_sector_alignment = htole32(align);
	config->max_write_zeroes_sectors = htole32(BLK_MAX_ZEROES_SECTORS);
	config->max_write_zeroes_seg = htole32(BLK_MAX_ZEROES_SEGMENTS);
	config->write_zeroes_may_unmap = 1;
}

void blk_get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	struct virtio_blk_config config;

	fill_config(dev, &config);
	memcpy(buf, (const char *)&config + offset, size);
}

/*
 * One field can be written. A front-end may hand on all of the space at each write of its driver
 * (QEMU's generic one does): of the others it says what it was told.
 */
int blk_set_config(void *dev, const void *buf, uint32_t offset, uint32_t size)
{
	const uint32_t at = offsetof(struct virtio_blk_config, wce);
	struct blk_device *blk = dev;
	uint8_t value;

	if (offset > at || size <= at - offset)
		return -EINVAL;
	value = ((const uint8_t *)buf)[at - offset];
	if (value > 1)
		return -EINVAL;
	if (value == __atomic_load_n(&blk->wce, __ATOMIC_RELAXED))
		return 0;
	/*
	 * From now on each write is stable when it is answered; so must be those answered before,
	 * which Linux' driver does not flush any more. That can take longer than a front-end waits
	 * for us: the next write of each queue sees to it.
	 */
	if (!value)
		__atomic_add_fetch(&blk->cache_offs, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&blk->wce, value, __ATOMIC_SEQ_CST);
	return 0;
}
