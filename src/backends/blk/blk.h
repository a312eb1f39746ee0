/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device (virtio 1.x, 5.2), shared by the files of vhost-user-blk. */
#ifndef BLK_BLK_H
#define BLK_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_blk.h>

#include "backends/blk/image.h"
#include "backends/common/backend.h"

#define BLK_SECTOR_SIZE 512
#define BLK_SECTOR_SHIFT 9

#define BLK_MAX_QUEUE_SIZE 1024
#define BLK_DEFAULT_SEG_MAX 126
#define BLK_LARGEST_SEG_MAX 1022 /* with header and status within what readv() takes */

/* Limits of DISCARD and WRITE_ZEROES, in sectors and in segments of one request */
#define BLK_MAX_DISCARD_SECTORS (1U << 21)
#define BLK_MAX_DISCARD_SEGMENTS 16
#define BLK_MAX_ZEROES_SECTORS (1U << 16)
#define BLK_MAX_ZEROES_SEGMENTS 1

struct blk_device {
	struct vu_backend *backend;
	struct blk_image image;

	/* options */
	const char *path;
	const char *serial;
	bool read_only;
	bool direct;
	unsigned int num_queues;
	unsigned int seg_max;
	unsigned int poll_us;
	unsigned int lock_wait_s;

	uint8_t wce; /* the config space's writeback; queues read it: use blk_writeback() */
	unsigned int cache_offs; /* times that it was turned off; before @wce, as queues see it */
};

/**
 * blk_writeback() - may a write be answered before it is stable? (5.2.6.2)
 * @blk:	the device
 * @features:	acknowledged
 *
 * Not for a driver that cannot flush, whatever it chose (5.2.5.2).
 */
static inline bool blk_writeback(const struct blk_device *blk, uint64_t features)
{
	if (!(features & BIT_ULL(VIRTIO_BLK_F_FLUSH)))
		return false;
	return !(features & BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE)) ||
	       __atomic_load_n(&blk->wce, __ATOMIC_RELAXED);
}

/* ---- config.c ---- */

#define BLK_CONFIG_SIZE (offsetof(struct virtio_blk_config, unused1) + 3)

uint64_t blk_features(void *dev);
void blk_get_config(void *dev, void *buf, uint32_t offset, uint32_t size);
int blk_set_config(void *dev, const void *buf, uint32_t offset, uint32_t size);

/* ---- queue.c ---- */

int blk_queue_start(void *dev, struct vu_queue *queue);
void blk_queue_stop(void *dev, struct vu_queue *queue);

#endif
