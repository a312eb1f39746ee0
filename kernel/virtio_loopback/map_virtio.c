// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtio core's own mapping interface (struct virtio_map_ops, Linux 6.18), over
 * bounce.c. It serves ring buffers; what drivers map on the parent goes to map_dma.c.
 */
#include <linux/dma-mapping.h>

#include "compat.h"
#include "device.h"
#include "map.h"

#if VLB_HAVE_VIRTIO_MAP_OPS

static struct vlb_bounce *vlb_map_bounce(union virtio_map map)
{
	struct vlb_device *dev = dev_get_drvdata(map.dma_dev);

	return &dev->bounce;
}

static dma_addr_t vlb_map_page(union virtio_map map, struct page *page, unsigned long offset,
			       size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return vlb_bounce_map(vlb_map_bounce(map), page_to_phys(page) + offset, size, dir, attrs);
}

static void vlb_unmap_page(union virtio_map map, dma_addr_t addr, size_t size,
			   enum dma_data_direction dir, unsigned long attrs)
{
	vlb_bounce_unmap(vlb_map_bounce(map), addr, attrs);
}

static void vlb_map_sync_for_cpu(union virtio_map map, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir)
{
	vlb_bounce_sync_for_cpu(vlb_map_bounce(map), addr, size);
}

static void vlb_map_sync_for_device(union virtio_map map, dma_addr_t addr, size_t size,
				    enum dma_data_direction dir)
{
	vlb_bounce_sync_for_device(vlb_map_bounce(map), addr, size);
}

static void *vlb_map_alloc(union virtio_map map, size_t size, dma_addr_t *addr, gfp_t gfp)
{
	return vlb_bounce_alloc_coherent(vlb_map_bounce(map), size, addr);
}

static void vlb_map_free(union virtio_map map, size_t size, void *vaddr, dma_addr_t addr,
			 unsigned long attrs)
{
	vlb_bounce_free_ring(vlb_map_bounce(map), size, vaddr);
}

static bool vlb_map_need_sync(union virtio_map map, dma_addr_t addr)
{
	return true;
}

static int vlb_map_mapping_error(union virtio_map map, dma_addr_t addr)
{
	return addr == DMA_MAPPING_ERROR ? -ENOMEM : 0;
}

static size_t vlb_map_max_mapping_size(union virtio_map map)
{
	return vlb_map_bounce(map)->max;
}

static const struct virtio_map_ops vlb_virtio_map_ops = {
	.map_page = vlb_map_page,
	.unmap_page = vlb_unmap_page,
	.sync_single_for_cpu = vlb_map_sync_for_cpu,
	.sync_single_for_device = vlb_map_sync_for_device,
	.alloc = vlb_map_alloc,
	.free = vlb_map_free,
	.need_sync = vlb_map_need_sync,
	.mapping_error = vlb_map_mapping_error,
	.max_mapping_size = vlb_map_max_mapping_size,
};

/**
 * vlb_map_virtio_init() - let the virtio core map ring buffers
 * @vdev: not yet registered
 */
void vlb_map_virtio_init(struct virtio_device *vdev)
{
	vdev->map = &vlb_virtio_map_ops;
	vdev->vmap.dma_dev = vdev->dev.parent;
}

#else

/* Ring buffers are mapped on the parent, see map_dma.c. */
void vlb_map_virtio_init(struct virtio_device *vdev)
{
}

#endif
