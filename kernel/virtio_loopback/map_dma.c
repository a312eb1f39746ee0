// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's DMA API on the parent device, over bounce.c: ring buffers before Linux
 * 6.18, and whatever drivers map on the parent by themselves.
 */
#include <linux/dma-map-ops.h>
#include <linux/scatterlist.h>

#include "compat.h"
#include "device.h"
#include "map.h"

#if VLB_HAVE_DMA_OPS

static struct vlb_bounce *vlb_dma_bounce(struct device *parent)
{
	struct vlb_device *dev = dev_get_drvdata(parent);

	return &dev->bounce;
}

static void *vlb_dma_alloc(struct device *parent, size_t size, dma_addr_t *addr, gfp_t gfp,
			   unsigned long attrs)
{
#if VLB_HAVE_VIRTIO_MAP_OPS
	/* The virtio core has a way of its own: this is a driver's, for the device to see. */
	return vlb_bounce_alloc_ring(vlb_dma_bounce(parent), size, addr);
#else
	return vlb_bounce_alloc_coherent(vlb_dma_bounce(parent), size, addr);
#endif
}

static void vlb_dma_free(struct device *parent, size_t size, void *vaddr, dma_addr_t addr,
			 unsigned long attrs)
{
	vlb_bounce_free_ring(vlb_dma_bounce(parent), size, vaddr);
}

#if VLB_DMA_OPS_BY_PHYS
static dma_addr_t vlb_dma_map_phys(struct device *parent, phys_addr_t phys, size_t size,
				   enum dma_data_direction dir, unsigned long attrs)
{
	if (!pfn_valid(PHYS_PFN(phys)) || (attrs & DMA_ATTR_MMIO))
		return DMA_MAPPING_ERROR;
	return vlb_bounce_map(vlb_dma_bounce(parent), phys, size, dir, attrs);
}
#else
static dma_addr_t vlb_dma_map_page(struct device *parent, struct page *page,
				   unsigned long offset, size_t size,
				   enum dma_data_direction dir, unsigned long attrs)
{
	return vlb_bounce_map(vlb_dma_bounce(parent), page_to_phys(page) + offset, size, dir,
			      attrs);
}
#endif

static void vlb_dma_unmap(struct device *parent, dma_addr_t addr, size_t size,
			  enum dma_data_direction dir, unsigned long attrs)
{
	vlb_bounce_unmap(vlb_dma_bounce(parent), addr, attrs);
}

/*
 * Buffers that a driver maps by itself, and in lists, are those that it shares with the
 * device for long. Where there is a window they are shown there; whatever cannot be shown
 * gets a copy, as all others.
 */
static struct vlb_window *vlb_dma_window(struct device *parent, const struct scatterlist *sgl)
{
	struct vlb_device *dev = dev_get_drvdata(parent);

	return vlb_window_has(dev->window, sg_dma_address(sgl)) ? dev->window : NULL;
}

static void vlb_dma_unmap_sg(struct device *parent, struct scatterlist *sgl, int nents,
			     enum dma_data_direction dir, unsigned long attrs)
{
	struct vlb_window *window = vlb_dma_window(parent, sgl);
	struct scatterlist *sg;
	int i;

	if (window) {
		vlb_window_unmap(window, sg_dma_address(sgl));
		return;
	}
	for_each_sg(sgl, sg, nents, i)
		vlb_bounce_unmap(vlb_dma_bounce(parent), sg_dma_address(sg), attrs);
}

static int vlb_dma_bounce_sg(struct device *parent, struct scatterlist *sgl, int nents,
			     enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	dma_addr_t addr;
	int i;

	for_each_sg(sgl, sg, nents, i) {
		addr = vlb_bounce_map(vlb_dma_bounce(parent), sg_phys(sg), sg->length, dir, attrs);
		if (addr == DMA_MAPPING_ERROR) {
			if (i)
				vlb_dma_unmap_sg(parent, sgl, i, dir,
						 attrs | DMA_ATTR_SKIP_CPU_SYNC);
			return -ENOMEM;
		}
		sg_dma_address(sg) = addr;
		sg_dma_len(sg) = sg->length;
	}
	return nents;
}

static int vlb_dma_map_sg(struct device *parent, struct scatterlist *sgl, int nents,
			  enum dma_data_direction dir, unsigned long attrs)
{
	struct vlb_device *dev = dev_get_drvdata(parent);

	if (dev->window && vlb_window_fits(sgl, nents))
		return vlb_window_map(dev->window, sgl, nents, dma_get_max_seg_size(parent));
	return vlb_dma_bounce_sg(parent, sgl, nents, dir, attrs);
}

static void vlb_dma_sync_for_cpu(struct device *parent, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir)
{
	vlb_bounce_sync_for_cpu(vlb_dma_bounce(parent), addr, size);
}

static void vlb_dma_sync_for_device(struct device *parent, dma_addr_t addr, size_t size,
				    enum dma_data_direction dir)
{
	vlb_bounce_sync_for_device(vlb_dma_bounce(parent), addr, size);
}

static void vlb_dma_sync_sg_for_cpu(struct device *parent, struct scatterlist *sgl, int nents,
				    enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	/* Both sides see the same pages, by the CPU's caches. */
	if (vlb_dma_window(parent, sgl))
		return;
	for_each_sg(sgl, sg, nents, i)
		vlb_dma_sync_for_cpu(parent, sg_dma_address(sg), sg->length, dir);
}

static void vlb_dma_sync_sg_for_device(struct device *parent, struct scatterlist *sgl, int nents,
				       enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	if (vlb_dma_window(parent, sgl))
		return;
	for_each_sg(sgl, sg, nents, i)
		vlb_dma_sync_for_device(parent, sg_dma_address(sg), sg->length, dir);
}

/* What is mapped in lists can be of any length where there is a window. */
static size_t vlb_dma_max_mapping_size(struct device *parent)
{
	struct vlb_device *dev = dev_get_drvdata(parent);

	return dev->window ? round_down(UINT_MAX, PAGE_SIZE) : dev->bounce.max;
}

static const struct dma_map_ops vlb_dma_ops = {
	.alloc = vlb_dma_alloc,
	.free = vlb_dma_free,
#if VLB_DMA_OPS_BY_PHYS
	.map_phys = vlb_dma_map_phys,
	.unmap_phys = vlb_dma_unmap,
#else
	.map_page = vlb_dma_map_page,
	.unmap_page = vlb_dma_unmap,
#endif
	.map_sg = vlb_dma_map_sg,
	.unmap_sg = vlb_dma_unmap_sg,
	.sync_single_for_cpu = vlb_dma_sync_for_cpu,
	.sync_single_for_device = vlb_dma_sync_for_device,
	.sync_sg_for_cpu = vlb_dma_sync_sg_for_cpu,
	.sync_sg_for_device = vlb_dma_sync_sg_for_device,
	.max_mapping_size = vlb_dma_max_mapping_size,
};

/**
 * vlb_map_dma_init() - let drivers map on a parent device
 * @parent: not yet added; its driver data is the struct vlb_device
 */
void vlb_map_dma_init(struct device *parent)
{
	set_dma_ops(parent, &vlb_dma_ops);
	dma_set_mask_and_coherent(parent, DMA_BIT_MASK(64));
	dma_set_max_seg_size(parent, UINT_MAX);
	dma_set_seg_boundary(parent, ~0UL);
}

#else

/*
 * A mapping on the parent would put physical addresses into requests; with no mask it
 * fails instead. Device types that do so are refused at creation.
 */
void vlb_map_dma_init(struct device *parent)
{
	parent->dma_mask = NULL;
}

#endif
