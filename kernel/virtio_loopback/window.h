/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * window - the driver's own pages, as the back-end sees them: no copy
 *
 * For what lives long and is written on both sides at any time, above all the resources of
 * a GPU: their backing pages are not copied into the pool but can be reached through a file
 * of its own. Its offsets are the DMA addresses behind the window's base. A page shows up
 * by a fault while it is mapped, and only then; everything else in the window is a SIGBUS.
 *
 * A mapping's life:
 *
 *   map:    a reference to each page, a range of addresses. From now on a fault finds it.
 *   fault:  under @faults (for reading) the page is looked up and entered in the page table.
 *   unmap:  any context. The mapping is dead: no fault finds it.
 *   work:   waits for the faults that found it before, takes its pages out of all page
 *           tables, and only then lets go of the pages and the addresses.
 *
 * The page tables hold no references (VM_PFNMAP), so nobody can pin such a page by way of
 * the window; the mapping's references are what keeps it from other owners until the work
 * has run.
 *
 * References (vlb_window.ref): the device, and each open file.
 */
#ifndef VLB_WINDOW_H
#define VLB_WINDOW_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "ranges.h"

struct inode;
struct scatterlist;

/**
 * struct vlb_window - see above
 * @ref:     see above
 * @device:  number of its device, for tracepoints
 * @inode:   of its files; no other file has it, so taking pages out hits no others
 * @base:    DMA address of its first byte
 * @size:    bytes
 * @work:    lets go of the mappings in @dead
 * @faults:  held for reading from the look-up of a page to its entry in a page table
 * @lock:    protects everything below it; any context
 * @ranges:  the addresses, by page; the key to the mappings
 * @dead:    mappings on their way out
 * @closed:  the device has ended: no page is shown any more
 * @maps:    mappings made, ever
 * @live:    mappings that exist, without dead ones
 * @pages:   pages in them
 * @entered: pages entered in page tables, ever
 * @refused: faults that ended in a SIGBUS, ever
 */
struct vlb_window {
	struct kref ref;
	unsigned int device;
	struct inode *inode;
	dma_addr_t base;
	u64 size;
	struct work_struct work;
	struct rw_semaphore faults;

	spinlock_t lock; /* see @lock above */
	struct vlb_ranges ranges;
	struct list_head dead;
	bool closed;
	u64 maps;
	u32 live;
	u64 pages;
	u64 entered;
	u64 refused;
};

int vlb_windows_init(void);
void vlb_windows_exit(void);

struct vlb_window *vlb_window_create(unsigned int device, dma_addr_t base, u64 size);
void vlb_window_destroy(struct vlb_window *window);
int vlb_window_open(struct vlb_window *window, const char *name);
void vlb_window_close(struct vlb_window *window);

bool vlb_window_fits(struct scatterlist *sgl, int nents);
int vlb_window_map(struct vlb_window *window, struct scatterlist *sgl, int nents,
		   unsigned int max_segment);
void vlb_window_unmap(struct vlb_window *window, dma_addr_t addr);

static inline bool vlb_window_has(const struct vlb_window *window, dma_addr_t addr)
{
	return window && addr - window->base < window->size;
}

#endif /* VLB_WINDOW_H */
