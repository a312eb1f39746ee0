// SPDX-License-Identifier: GPL-2.0-only
#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "bounce.h"
#include "pool.h"

static void *vlb_slot_addr(const struct vlb_bounce *bounce, const struct vlb_mapping *map)
{
	return bounce->pool->vaddr + bounce->ring_size +
	       ((size_t)map->first << VLB_GRANULE_SHIFT);
}

static int vlb_bounce_init_maps(struct vlb_bounce *bounce)
{
	u32 i;

	/* A request takes about four mappings, three of them of one granule. */
	bounce->nr_maps = max(bounce->slots.nr / 4, 256U);
	bounce->maps = kvcalloc(bounce->nr_maps, sizeof(*bounce->maps), GFP_KERNEL_ACCOUNT);
	if (!bounce->maps)
		return -ENOMEM;
	for (i = 0; i < bounce->nr_maps; i++)
		bounce->maps[i].first = i + 1 < bounce->nr_maps ? i + 1 : VLB_SLOT_NONE;
	bounce->free_map = 0;
	return 0;
}

/**
 * vlb_bounce_init() - put a pool to use
 * @bounce:     to be set up; zeroed by the caller
 * @pool:       stays the caller's, must outlive @bounce
 * @base:       DMA address of its first byte
 * @ring_size:  bytes, whole pages, for rings
 *
 * Return: 0, -ENOSPC (too small) or -ENOMEM.
 */
int vlb_bounce_init(struct vlb_bounce *bounce, struct vlb_pool *pool, dma_addr_t base,
		    size_t ring_size)
{
	size_t slot_size;
	unsigned int i;
	int err;

	if (pool->size < ring_size + SZ_64K)
		return -ENOSPC;
	bounce->pool = pool;
	bounce->base = base;
	bounce->ring_size = ring_size;
	spin_lock_init(&bounce->lock);
	for (i = 0; i < VLB_COPY_LOCKS; i++)
		spin_lock_init(&bounce->copies[i]);

	/* So that a request of some hundred segments fits more than once. */
	slot_size = pool->size - ring_size;
	bounce->max = clamp_t(size_t, rounddown_pow_of_two(slot_size / 256), PAGE_SIZE, SZ_256K);
	err = vlb_slots_init(&bounce->slots, slot_size >> VLB_GRANULE_SHIFT);
	if (err)
		return err;
	err = vlb_bounce_init_maps(bounce);
	if (err)
		goto err_slots;
	bounce->ring_pages = bitmap_zalloc(ring_size >> PAGE_SHIFT, GFP_KERNEL_ACCOUNT);
	if (!bounce->ring_pages) {
		err = -ENOMEM;
		goto err_maps;
	}
	return 0;

err_maps:
	kvfree(bounce->maps);
err_slots:
	vlb_slots_finish(&bounce->slots);
	return err;
}

void vlb_bounce_finish(struct vlb_bounce *bounce)
{
	bitmap_free(bounce->ring_pages);
	kvfree(bounce->maps);
	vlb_slots_finish(&bounce->slots);
}

/* The same for any address inside the mapping; @offset: where in it. */
static struct vlb_mapping *vlb_bounce_find_around(struct vlb_bounce *bounce, dma_addr_t addr,
						  size_t *offset)
{
	u64 inside = addr - bounce->base - bounce->ring_size;
	unsigned int order;

	for (order = 0; order < VLB_SLOT_ORDERS; order++) {
		u64 start = inside & ~((VLB_GRANULE_SIZE << order) - 1);
		struct vlb_mapping *map;

		map = vlb_bounce_find(bounce, start + bounce->base + bounce->ring_size);
		if (map && map->order >= order) {
			*offset = inside - start;
			return *offset < map->len ? map : NULL;
		}
	}
	return NULL;
}

/*
 * Page by page: the buffer's pages need not be mapped in a row, and a bounded copy is
 * the faster one.
 */
static void vlb_copy(phys_addr_t orig, void *slot, size_t len, bool to_slot)
{
	while (len) {
		size_t offset = offset_in_page(orig);
		size_t chunk = min_t(size_t, len, PAGE_SIZE - offset);
		void *buffer = kmap_local_page(pfn_to_page(PHYS_PFN(orig)));

		if (to_slot)
			memcpy(slot, buffer + offset, chunk);
		else
			memcpy(buffer + offset, slot, chunk);
		kunmap_local(buffer);
		orig += chunk;
		slot += chunk;
		len -= chunk;
	}
}

/* Page by page as well: a clearing that is known to be short is done in place, by words. */
static void vlb_clear(void *slot, size_t len)
{
	while (len) {
		size_t chunk = min_t(size_t, len, PAGE_SIZE);

		memset(slot, 0, chunk);
		slot += chunk;
		len -= chunk;
	}
}

static void vlb_poison(phys_addr_t orig, size_t len)
{
	static const u8 error[VLB_SMALL] = { [0 ... VLB_SMALL - 1] = 0xff };

	if (len <= VLB_SMALL)
		vlb_copy(orig, (void *)error, len, false);
}

static void vlb_copy_out(struct vlb_bounce *bounce, const struct vlb_mapping *map,
			 size_t offset, size_t len)
{
	if (unlikely(map->answered))
		return;
	if (unlikely(READ_ONCE(bounce->poisoned)))
		vlb_poison(map->orig + offset, len);
	else
		vlb_copy(map->orig + offset, vlb_slot_addr(bounce, map) + offset, len, false);
}

static spinlock_t *vlb_copy_lock(struct vlb_bounce *bounce, const struct vlb_mapping *map)
{
	return &bounce->copies[(map - bounce->maps) & (VLB_COPY_LOCKS - 1)];
}

static struct vlb_mapping *vlb_bounce_get(struct vlb_bounce *bounce, unsigned int order,
					  phys_addr_t orig, size_t len, enum dma_data_direction dir)
{
	struct vlb_mapping *map;
	u32 index, first;

	index = bounce->free_map;
	if (unlikely(bounce->closed || index == VLB_SLOT_NONE))
		return NULL;
	first = vlb_slots_get(&bounce->slots, order);
	if (unlikely(first == VLB_SLOT_NONE))
		return NULL;
	map = &bounce->maps[index];
	bounce->free_map = map->first;
	map->first = first;
	map->order = order;
	map->orig = orig;
	map->len = len;
	map->dir = dir;
	map->answered = false;
	vlb_slots_tag(&bounce->slots, first, index);
	bounce->live++;
	/* Pairs with vlb_bounce_find(). */
	smp_store_release(&map->live, true);
	return map;
}

static void vlb_bounce_put(struct vlb_bounce *bounce, struct vlb_mapping *map)
{
	vlb_slots_put(&bounce->slots, map->first, map->order);
	map->live = false;
	map->first = bounce->free_map;
	bounce->free_map = map - bounce->maps;
	bounce->live--;
}

/**
 * vlb_bounce_map() - give a buffer a place in the pool
 * @bounce: the pool in use
 * @orig:   the buffer, in memory that has struct pages
 * @len:    bytes
 * @dir:    a buffer that the device writes is not copied in: the device sees zeroes,
 *          neither what the buffer nor what the slot held
 * @attrs:  DMA_ATTR_SKIP_CPU_SYNC: the driver copies by vlb_bounce_sync_*()
 *
 * Return: the DMA address, or DMA_MAPPING_ERROR: no room now; try when something has
 * been unmapped.
 */
dma_addr_t vlb_bounce_map(struct vlb_bounce *bounce, phys_addr_t orig, size_t len,
			  enum dma_data_direction dir, unsigned long attrs)
{
	bool copy = dir != DMA_FROM_DEVICE && !(attrs & DMA_ATTR_SKIP_CPU_SYNC);
	unsigned int order = fls_long((len - 1) >> VLB_GRANULE_SHIFT);
	struct vlb_mapping *map = NULL;
	unsigned long flags;
	void *slot;

	spin_lock_irqsave(&bounce->lock, flags);
	if (likely(len && order < VLB_SLOT_ORDERS))
		map = vlb_bounce_get(bounce, order, orig, len, dir);
	if (likely(map)) {
		slot = vlb_slot_addr(bounce, map);
		bounce->mapped++;
		bounce->bytes_in += copy ? len : 0;
	} else {
		bounce->refused++;
	}
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (unlikely(!map))
		return DMA_MAPPING_ERROR;

	if (copy)
		vlb_copy(orig, slot, len, true);
	else
		vlb_clear(slot, len);
	return bounce->base + (slot - bounce->pool->vaddr);
}

/*
 * No device side can bring it about: what the virtio core unmaps it knows by memory that is its
 * own. So it is a driver that is wrong, and whatever that has out may be mixed up.
 */
static void vlb_bounce_stray(struct vlb_bounce *bounce)
{
	unsigned long flags;

	spin_lock_irqsave(&bounce->lock, flags);
	WRITE_ONCE(bounce->strayed, true);
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (bounce->stray)
		bounce->stray(bounce);
}

static bool vlb_copies_out(const struct vlb_mapping *map, unsigned long attrs)
{
	return map->dir != DMA_TO_DEVICE && !(attrs & DMA_ATTR_SKIP_CPU_SYNC);
}

/* With the lock held */
static __always_inline void vlb_bounce_forget(struct vlb_bounce *bounce, struct vlb_mapping *map,
					      bool copied)
{
	bounce->bytes_out += copied ? map->len : 0;
	vlb_bounce_put(bounce, map);
}

static void vlb_bounce_unmap_large(struct vlb_bounce *bounce, struct vlb_mapping *map,
				   dma_addr_t addr, unsigned long attrs)
{
	spinlock_t *copying = vlb_copy_lock(bounce, map);
	unsigned long flags;
	bool found, copy;

	spin_lock_irqsave(copying, flags);
	/* If not, another has unmapped it. */
	found = vlb_bounce_find(bounce, addr) == map && map->len > VLB_SMALL;
	if (likely(found)) {
		copy = vlb_copies_out(map, attrs);
		if (copy)
			vlb_copy_out(bounce, map, 0, map->len);
		spin_lock(&bounce->lock);
		vlb_bounce_forget(bounce, map, copy);
		spin_unlock(&bounce->lock);
	}
	spin_unlock_irqrestore(copying, flags);
	if (unlikely(!found))
		vlb_bounce_stray(bounce);
}

/**
 * vlb_bounce_unmap() - take a buffer out of the pool
 * @bounce: the pool in use
 * @addr:   from vlb_bounce_map()
 * @attrs:  as there
 */
void vlb_bounce_unmap(struct vlb_bounce *bounce, dma_addr_t addr, unsigned long attrs)
{
	struct vlb_mapping *map;
	unsigned long flags;
	bool small, copy;

	spin_lock_irqsave(&bounce->lock, flags);
	map = vlb_bounce_find(bounce, addr);
	small = map && map->len <= VLB_SMALL;
	if (small) {
		copy = vlb_copies_out(map, attrs);
		if (copy)
			vlb_copy_out(bounce, map, 0, map->len);
		vlb_bounce_forget(bounce, map, copy);
	}
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (small)
		return;
	if (likely(map))
		vlb_bounce_unmap_large(bounce, map, addr, attrs);
	else
		vlb_bounce_stray(bounce);
}

/**
 * vlb_bounce_peek() - read what the driver has in a buffer, not what the pool has of it
 * @bounce: the pool in use
 * @addr:   DMA address of a buffer that is out, not trusted
 * @offset: where in it
 * @to:     for what is read
 * @len:    a few bytes: the lock is held, so that the driver cannot free the buffer meanwhile
 *
 * Return: false when there is no such buffer, or the device is not to read it.
 */
bool vlb_bounce_peek(struct vlb_bounce *bounce, dma_addr_t addr, size_t offset, void *to,
		     size_t len)
{
	struct vlb_mapping *map;
	unsigned long flags;
	bool found;

	spin_lock_irqsave(&bounce->lock, flags);
	map = vlb_bounce_find(bounce, addr);
	found = map && map->dir != DMA_FROM_DEVICE && map->len >= offset + len;
	if (found)
		vlb_copy(map->orig + offset, to, len, true);
	spin_unlock_irqrestore(&bounce->lock, flags);
	return found;
}

/**
 * vlb_bounce_answer() - write to the driver's buffer itself; nothing is copied there later
 * @bounce: the pool in use, whose device side is the kernel alone
 * @addr:   as in vlb_bounce_peek()
 * @from:   for the start of the buffer
 * @len:    as there
 */
void vlb_bounce_answer(struct vlb_bounce *bounce, dma_addr_t addr, const void *from, size_t len)
{
	struct vlb_mapping *map;
	unsigned long flags;

	spin_lock_irqsave(&bounce->lock, flags);
	map = vlb_bounce_find(bounce, addr);
	if (map && map->dir != DMA_TO_DEVICE && map->len >= len) {
		vlb_copy(map->orig, (void *)from, len, false);
		map->answered = true;
	}
	spin_unlock_irqrestore(&bounce->lock, flags);
}

static void vlb_sync_copy(struct vlb_bounce *bounce, const struct vlb_mapping *map, size_t offset,
			  size_t len, bool to_slot)
{
	len = min_t(size_t, len, map->len - offset);
	if (to_slot && map->dir != DMA_FROM_DEVICE)
		vlb_copy(map->orig + offset, vlb_slot_addr(bounce, map) + offset, len, true);
	else if (!to_slot && map->dir != DMA_TO_DEVICE)
		vlb_copy_out(bounce, map, offset, len);
}

static void vlb_bounce_sync_large(struct vlb_bounce *bounce, struct vlb_mapping *map,
				  dma_addr_t addr, size_t len, bool to_slot)
{
	spinlock_t *copying = vlb_copy_lock(bounce, map);
	unsigned long flags;
	size_t offset;
	bool found;

	spin_lock_irqsave(copying, flags);
	found = vlb_bounce_find_around(bounce, addr, &offset) == map && map->len > VLB_SMALL;
	if (likely(found))
		vlb_sync_copy(bounce, map, offset, len, to_slot);
	spin_unlock_irqrestore(copying, flags);
	if (unlikely(!found))
		vlb_bounce_stray(bounce);
}

static void vlb_bounce_sync(struct vlb_bounce *bounce, dma_addr_t addr, size_t len, bool to_slot)
{
	struct vlb_mapping *map;
	unsigned long flags;
	size_t offset;
	bool small;

	spin_lock_irqsave(&bounce->lock, flags);
	map = vlb_bounce_find_around(bounce, addr, &offset);
	small = map && map->len <= VLB_SMALL;
	if (small)
		vlb_sync_copy(bounce, map, offset, len, to_slot);
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (small)
		return;
	if (likely(map))
		vlb_bounce_sync_large(bounce, map, addr, len, to_slot);
	else
		vlb_bounce_stray(bounce);
}

void vlb_bounce_sync_for_cpu(struct vlb_bounce *bounce, dma_addr_t addr, size_t len)
{
	vlb_bounce_sync(bounce, addr, len, false);
}

void vlb_bounce_sync_for_device(struct vlb_bounce *bounce, dma_addr_t addr, size_t len)
{
	vlb_bounce_sync(bounce, addr, len, true);
}

/* The device never learns of it. The address is one that the pool does not have. */
static void *vlb_bounce_alloc_private(struct vlb_bounce *bounce, size_t size, dma_addr_t *addr)
{
	const u64 first = (u64)bounce->base + bounce->pool->size;
	unsigned long flags;

	size = PAGE_ALIGN(size);
	spin_lock_irqsave(&bounce->lock, flags);
	/* Nobody looks anything up by it: those that are given again do no harm. */
	if (bounce->private_end + size > (dma_addr_t)~0ULL - first)
		bounce->private_end = 0;
	*addr = first + bounce->private_end;
	bounce->private_end += size;
	spin_unlock_irqrestore(&bounce->lock, flags);
	return kvzalloc(size, GFP_KERNEL);
}

/**
 * vlb_bounce_alloc_coherent() - memory for a ring of the virtio core's
 * @bounce: the pool in use
 * @size:   bytes, rounded up to whole pages
 * @addr:   its DMA address
 *
 * Return: the kernel's address or NULL; freed by vlb_bounce_free_ring().
 */
void *vlb_bounce_alloc_coherent(struct vlb_bounce *bounce, size_t size, dma_addr_t *addr)
{
	if (bounce->private_rings)
		return vlb_bounce_alloc_private(bounce, size, addr);
	return vlb_bounce_alloc_ring(bounce, size, addr);
}

/**
 * vlb_bounce_alloc_ring() - zeroed memory that driver and device share for long
 * @bounce: the pool in use
 * @size:   bytes, rounded up to whole pages
 * @addr:   its DMA address
 *
 * Return: the kernel's address or NULL.
 */
void *vlb_bounce_alloc_ring(struct vlb_bounce *bounce, size_t size, dma_addr_t *addr)
{
	unsigned long pages = PAGE_ALIGN(size) >> PAGE_SHIFT;
	unsigned long total = bounce->ring_size >> PAGE_SHIFT;
	unsigned long first, flags;
	void *ring;

	spin_lock_irqsave(&bounce->lock, flags);
	first = bounce->closed || !pages ? total :
		bitmap_find_next_zero_area(bounce->ring_pages, total, 0, pages, 0);
	if (first < total)
		bitmap_set(bounce->ring_pages, first, pages);
	spin_unlock_irqrestore(&bounce->lock, flags);
	if (first >= total)
		return NULL;

	ring = bounce->pool->vaddr + (first << PAGE_SHIFT);
	memset(ring, 0, pages << PAGE_SHIFT);
	*addr = bounce->base + ((u64)first << PAGE_SHIFT);
	return ring;
}

void vlb_bounce_free_ring(struct vlb_bounce *bounce, size_t size, void *ring)
{
	const u64 offset = (uintptr_t)ring - (uintptr_t)bounce->pool->vaddr;
	unsigned long flags;

	if (offset >= bounce->pool->size) {
		kvfree(ring);
		return;
	}
	spin_lock_irqsave(&bounce->lock, flags);
	bitmap_clear(bounce->ring_pages, offset >> PAGE_SHIFT, PAGE_ALIGN(size) >> PAGE_SHIFT);
	spin_unlock_irqrestore(&bounce->lock, flags);
}

/**
 * vlb_bounce_memory() - the pool's memory at a DMA address
 * @bounce: the pool in use
 * @addr:   not trusted
 * @len:    bytes
 *
 * Return: the kernel's address, or NULL: not all of it is in the pool.
 */
void *vlb_bounce_memory(const struct vlb_bounce *bounce, dma_addr_t addr, u64 len)
{
	u64 offset = addr - bounce->base;

	if (offset > bounce->pool->size || len > bounce->pool->size - offset)
		return NULL;
	return bounce->pool->vaddr + offset;
}

/* No further mapping: drivers cannot add buffers from here on. */
void vlb_bounce_close(struct vlb_bounce *bounce)
{
	unsigned long flags;

	spin_lock_irqsave(&bounce->lock, flags);
	bounce->closed = true;
	spin_unlock_irqrestore(&bounce->lock, flags);
}

/* What the device wrote is not believed from here on. */
void vlb_bounce_poison(struct vlb_bounce *bounce)
{
	WRITE_ONCE(bounce->poisoned, true);
}

u32 vlb_bounce_live(struct vlb_bounce *bounce)
{
	return READ_ONCE(bounce->live);
}
