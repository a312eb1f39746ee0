/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bounce - the buffers of the driver, copied into the pool and out of it
 *
 * The core under both mapping interfaces (map_dma.c, map_virtio.c). It knows physical
 * addresses of buffers and the pool; it does not know struct device. All of it runs in
 * any context, hard interrupts included: nothing sleeps, nothing allocates memory.
 *
 * The pool, by address:   | rings (whole pages) | slots (see slots.h) |
 * Rings have a part of their own, so that I/O cannot starve them.
 */
#ifndef VLB_BOUNCE_H
#define VLB_BOUNCE_H

#include <linux/dma-direction.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "slots.h"

struct vlb_pool;

/* A power of two */
#define VLB_COPY_LOCKS	64
/* A buffer of this size or less holds a header or a status, not data. */
#define VLB_SMALL	512

/**
 * struct vlb_mapping - one buffer of the driver that has a slot in the pool
 * @orig:  the buffer
 * @len:   its bytes
 * @first: first granule of the slot; while free: the next free mapping
 * @order: the slot's size is 2^order granules
 * @dir:   enum dma_data_direction
 * @live:  mapped. The driver owns the entry from map to unmap; one that is wrong has others unmap
 *         it. All of it changes under vlb_bounce.lock; where
 *         @len is more than VLB_SMALL, it ends under its copy lock too, and who holds that
 *         may read it. Stored last, with release
 * @answered: the buffer has been written to by the kernel, which is its device by now
 */
struct vlb_mapping {
	phys_addr_t orig;
	u32 len;
	u32 first;
	u8 order;
	u8 dir;
	bool live;
	bool answered;
};

/**
 * struct vlb_bounce - the pool in use
 * @pool:       the memory; owned by the device
 * @base:       DMA address of the pool's first byte
 * @ring_size:  bytes of the ring part
 * @max:        largest mapping that drivers are advised to make, in bytes
 * @private_rings: the virtio core's rings are allocated out of the device's sight. All of a
 *              device's are, and then it never changes; or some, and then it does under
 *              vlb_device.vq_lock
 * @copies:     the one of a mapping is held while more than a few bytes are copied out of it
 *              or in by a sync, and until it is unmapped: whoever unmaps it as well is back
 *              only when nothing is written to the buffer any more. Taken with interrupts
 *              off, before @lock
 * @lock:       protects everything below it. Taken with interrupts off, held for
 *              bookkeeping and a few bytes, never while data is copied
 * @slots:      allocator of the slot part
 * @maps:       entries
 * @nr_maps:    how many there are
 * @free_map:   first free entry, VLB_SLOT_NONE: none
 * @live:       mappings that exist
 * @private_end: bytes behind the pool's addresses that were given to private rings, since they
 *               were given from the first one on
 * @ring_pages: bit set: the page of the ring part is in use
 * @strayed:    what was not mapped has been unmapped, ever; under @lock, read anywhere
 * @stray:      told of each unmapping of what is not mapped, in any context; NULL: nobody is
 * @closed:     no further mapping is made
 * @poisoned:   what the device side wrote is not believed any more: small buffers come
 *              back as 0xff bytes (an error in every device type's status field),
 *              large ones untouched
 * @mapped:     mappings made, ever
 * @refused:    mappings refused, ever
 * @bytes_in:   copied into the pool, ever
 * @bytes_out:  copied out of it, ever
 */
struct vlb_bounce {
	struct vlb_pool *pool;
	dma_addr_t base;
	size_t ring_size;
	size_t max;
	bool private_rings;

	spinlock_t copies[VLB_COPY_LOCKS]; /* see @copies above */
	spinlock_t lock; /* see @lock above */
	struct vlb_slots slots;
	struct vlb_mapping *maps;
	u32 nr_maps;
	u32 free_map;
	u32 live;
	u64 private_end;
	unsigned long *ring_pages;
	bool strayed;
	void (*stray)(struct vlb_bounce *bounce);
	bool closed;
	bool poisoned;
	u64 mapped;
	u64 refused;
	u64 bytes_in;
	u64 bytes_out;
};

int vlb_bounce_init(struct vlb_bounce *bounce, struct vlb_pool *pool, dma_addr_t base,
		    size_t ring_size);
void vlb_bounce_finish(struct vlb_bounce *bounce);

dma_addr_t vlb_bounce_map(struct vlb_bounce *bounce, phys_addr_t orig, size_t len,
			  enum dma_data_direction dir, unsigned long attrs);
void vlb_bounce_unmap(struct vlb_bounce *bounce, dma_addr_t addr, unsigned long attrs);
void vlb_bounce_sync_for_cpu(struct vlb_bounce *bounce, dma_addr_t addr, size_t len);
void vlb_bounce_sync_for_device(struct vlb_bounce *bounce, dma_addr_t addr, size_t len);

bool vlb_bounce_peek(struct vlb_bounce *bounce, dma_addr_t addr, size_t offset, void *to,
		     size_t len);
void vlb_bounce_answer(struct vlb_bounce *bounce, dma_addr_t addr, const void *from, size_t len);

void *vlb_bounce_alloc_coherent(struct vlb_bounce *bounce, size_t size, dma_addr_t *addr);
void *vlb_bounce_alloc_ring(struct vlb_bounce *bounce, size_t size, dma_addr_t *addr);
void vlb_bounce_free_ring(struct vlb_bounce *bounce, size_t size, void *ring);
void *vlb_bounce_memory(const struct vlb_bounce *bounce, dma_addr_t addr, u64 len);

void vlb_bounce_close(struct vlb_bounce *bounce);
void vlb_bounce_poison(struct vlb_bounce *bounce);
u32 vlb_bounce_live(struct vlb_bounce *bounce);

/**
 * vlb_bounce_find() - the live mapping whose slot begins at an address
 * @bounce: the pool in use
 * @addr:   DMA address, not trusted
 *
 * Needs the lock or, for what is larger than VLB_SMALL, its copy lock.
 *
 * Return: the mapping or NULL.
 */
static inline struct vlb_mapping *vlb_bounce_find(struct vlb_bounce *bounce, dma_addr_t addr)
{
	u64 offset = addr - bounce->base - bounce->ring_size;
	struct vlb_mapping *map;
	u32 granule, index;

	if (offset >> VLB_GRANULE_SHIFT >= bounce->slots.nr || offset & (VLB_GRANULE_SIZE - 1))
		return NULL;
	granule = offset >> VLB_GRANULE_SHIFT;
	index = vlb_slots_tag_of(&bounce->slots, granule);
	if (index >= bounce->nr_maps)
		return NULL;
	map = &bounce->maps[index];
	/* Pairs with vlb_bounce_get(). */
	return smp_load_acquire(&map->live) && map->first == granule ? map : NULL;
}

#endif /* VLB_BOUNCE_H */
