// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "trace.h"
#include "window.h"

/* Pages that one fault enters: the neighbours will be wanted next. */
#define VLB_FAULT_AROUND	64

#define VLB_WINDOW_MAGIC	0x564c4257	/* "VLBW" */

/**
 * struct vlb_view - one mapping of the driver's
 * @range:    its addresses: as many pages, and one more that shows nothing, so that running
 *            over the end is noticed
 * @dead:     in vlb_window.dead
 * @is_dead:  unmapped; no fault finds it
 * @nr_pages: pages
 * @pages:    in the order of their addresses, a reference each
 */
struct vlb_view {
	struct vlb_range range;
	struct list_head dead;
	bool is_dead;
	unsigned long nr_pages;
	struct page *pages[];
};

/* The file system that the windows' inodes belong to; mounted while there are windows. */
static struct vfsmount *vlb_window_mount;
static int vlb_window_mounts;
static struct workqueue_struct *vlb_window_wq;

static int vlb_window_init_fs(struct fs_context *fc)
{
	if (!init_pseudo(fc, VLB_WINDOW_MAGIC))
		return -ENOMEM;
	/* What is there for the device to draw on is nothing to be run. */
	fc->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;
	return 0;
}

static struct file_system_type vlb_window_fs = {
	.name = "virtio_loopback",
	.owner = THIS_MODULE,
	.init_fs_context = vlb_window_init_fs,
	.kill_sb = kill_anon_super,
};

static void vlb_window_release(struct kref *ref)
{
	struct vlb_window *window = container_of(ref, struct vlb_window, ref);

	iput(window->inode);
	simple_release_fs(&vlb_window_mount, &vlb_window_mounts);
	kfree(window);
}

static void vlb_window_put(struct vlb_window *window)
{
	kref_put(&window->ref, vlb_window_release);
}

/* ---- mappings ---- */

static struct vlb_view *vlb_view_of(struct vlb_range *range)
{
	return container_of(range, struct vlb_view, range);
}

/* With the lock held: the live mapping that a page of the window shows, or NULL. */
static struct vlb_view *vlb_window_find(const struct vlb_window *window, u64 page)
{
	struct vlb_range *range = vlb_ranges_find(&window->ranges, page);
	struct vlb_view *view;

	if (!range)
		return NULL;
	view = vlb_view_of(range);
	return !view->is_dead && page - range->first < view->nr_pages ? view : NULL;
}

/* Lets go of the pages from @first on backwards, and of the memory. */
static void vlb_view_free(struct vlb_view *view, unsigned long held)
{
	while (held)
		folio_put(page_folio(view->pages[--held]));
	kvfree(view);
}

/* Only ordinary memory that is counted: a page that cannot be held cannot be shown. */
static bool vlb_view_hold(struct page *page)
{
	struct folio *folio = page_folio(page);

	return !folio_test_slab(folio) && !is_zone_device_page(page) && folio_try_get(folio);
}

/**
 * vlb_window_fits() - can these buffers be shown?
 * @sgl:   buffers
 * @nents: entries
 *
 * Return: whether they are whole pages. Of others the back-end would see what lies beside.
 */
bool vlb_window_fits(struct scatterlist *sgl, int nents)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i)
		if (sg->offset % PAGE_SIZE || !sg->length || sg->length % PAGE_SIZE)
			return false;
	return nents > 0;
}

static struct vlb_view *vlb_view_create(struct scatterlist *sgl, int nents)
{
	unsigned long nr_pages = 0, held = 0, i;
	struct scatterlist *sg;
	struct vlb_view *view;
	int n;

	for_each_sg(sgl, sg, nents, n)
		nr_pages += sg->length >> PAGE_SHIFT;
	view = kvzalloc(struct_size(view, pages, nr_pages), GFP_KERNEL_ACCOUNT);
	if (!view)
		return ERR_PTR(-ENOMEM);
	view->nr_pages = nr_pages;
	for_each_sg(sgl, sg, nents, n) {
		unsigned long first = PHYS_PFN(sg_phys(sg));

		for (i = 0; i < sg->length >> PAGE_SHIFT; i++) {
			view->pages[held] = pfn_to_page(first + i);
			if (!vlb_view_hold(view->pages[held])) {
				vlb_view_free(view, held);
				return ERR_PTR(-EINVAL);
			}
			held++;
		}
	}
	return view;
}

/* One run of addresses, in as few segments as the driver takes. */
static int vlb_view_describe(const struct vlb_view *view, const struct vlb_window *window,
			     struct scatterlist *sgl, int nents, unsigned int max_segment)
{
	dma_addr_t addr = window->base + (view->range.first << PAGE_SHIFT);
	u64 left = (u64)view->nr_pages << PAGE_SHIFT;
	u64 most = round_down(max_segment, PAGE_SIZE) ?: PAGE_SIZE;
	struct scatterlist *sg;
	int i, used = 0;

	for_each_sg(sgl, sg, nents, i) {
		u64 len = min(left, most);

		/* By the DMA API's rules an entry that is not used says so. */
		sg_dma_address(sg) = len ? addr : DMA_MAPPING_ERROR;
		sg_dma_len(sg) = len;
		addr += len;
		left -= len;
		used += len > 0;
	}
	return left ? -EINVAL : used;
}

/**
 * vlb_window_map() - show buffers in the window
 * @window:      the window
 * @sgl:         buffers of whole pages, see vlb_window_fits(); their DMA addresses and
 *               lengths are filled in
 * @nents:       entries
 * @max_segment: most bytes of one DMA address range that the driver takes
 *
 * Sleeps: the drivers that map pages for long do so where they allocate them.
 *
 * Return: how many entries of @sgl are in use now, fewer than @nents where ranges join;
 * -ENOMEM, -EINVAL (no ordinary memory) or -EIO (the device has ended).
 */
int vlb_window_map(struct vlb_window *window, struct scatterlist *sgl, int nents,
		   unsigned int max_segment)
{
	struct vlb_view *view = vlb_view_create(sgl, nents);
	unsigned long flags;
	int ret = 0;

	if (IS_ERR(view))
		return PTR_ERR(view);
	spin_lock_irqsave(&window->lock, flags);
	if (window->closed)
		ret = -EIO;
	else if (!vlb_ranges_take(&window->ranges, &view->range, view->nr_pages + 1))
		ret = -ENOMEM;
	if (!ret) {
		window->maps++;
		window->live++;
		window->pages += view->nr_pages;
		trace_vlb_window_map(window, view->range.first, view->nr_pages);
	}
	spin_unlock_irqrestore(&window->lock, flags);
	if (ret) {
		vlb_view_free(view, view->nr_pages);
		return ret;
	}
	ret = vlb_view_describe(view, window, sgl, nents, max_segment);
	if (ret < 0)
		vlb_window_unmap(window, window->base + (view->range.first << PAGE_SHIFT));
	return ret;
}

/* With the lock held. */
static void vlb_window_kill(struct vlb_window *window, struct vlb_view *view)
{
	view->is_dead = true;
	list_add_tail(&view->dead, &window->dead);
	window->live--;
	window->pages -= view->nr_pages;
	trace_vlb_window_unmap(window, view->range.first, view->nr_pages);
}

/**
 * vlb_window_unmap() - show buffers no more
 * @window: the window
 * @addr:   of the first entry, from vlb_window_map()
 *
 * Any context. The pages stay held until no process has them in its page tables.
 */
void vlb_window_unmap(struct vlb_window *window, dma_addr_t addr)
{
	struct vlb_view *view;
	unsigned long flags;

	spin_lock_irqsave(&window->lock, flags);
	view = vlb_window_find(window, (addr - window->base) >> PAGE_SHIFT);
	if (view)
		vlb_window_kill(window, view);
	spin_unlock_irqrestore(&window->lock, flags);
	if (view)
		queue_work(vlb_window_wq, &window->work);
}

/* Waits for the faults that may have found what is dead now. */
static void vlb_window_wait_faults(struct vlb_window *window)
{
	down_write(&window->faults);
	up_write(&window->faults);
}

static void vlb_window_bury(struct vlb_window *window, struct vlb_view *view)
{
	loff_t offset = (loff_t)view->range.first << PAGE_SHIFT;
	unsigned long flags;

	unmap_mapping_range(window->inode->i_mapping, offset,
			    (loff_t)view->nr_pages << PAGE_SHIFT, 1);
	spin_lock_irqsave(&window->lock, flags);
	vlb_ranges_give(&window->ranges, &view->range);
	spin_unlock_irqrestore(&window->lock, flags);
	vlb_view_free(view, view->nr_pages);
}

static void vlb_window_work(struct work_struct *work)
{
	struct vlb_window *window = container_of(work, struct vlb_window, work);
	struct vlb_view *view, *next;
	LIST_HEAD(dead);

	spin_lock_irq(&window->lock);
	list_splice_init(&window->dead, &dead);
	spin_unlock_irq(&window->lock);
	if (list_empty(&dead))
		return;
	vlb_window_wait_faults(window);
	list_for_each_entry_safe(view, next, &dead, dead)
		vlb_window_bury(window, view);
}

/* ---- the file ---- */

/*
 * How far a fault reaches, in pages before and behind the one that was touched: within the
 * mapping, the process's mapping of the window, and an aligned block of addresses. Programs
 * copy forwards and backwards.
 */
static unsigned long vlb_fault_start(const struct vm_fault *vmf, unsigned long addr, u64 before)
{
	u64 block = (addr >> PAGE_SHIFT) % VLB_FAULT_AROUND;
	u64 room = (addr - vmf->vma->vm_start) >> PAGE_SHIFT;

	return min3(before, block, room);
}

static unsigned long vlb_fault_end(const struct vm_fault *vmf, unsigned long addr, u64 behind)
{
	u64 block = VLB_FAULT_AROUND - (addr >> PAGE_SHIFT) % VLB_FAULT_AROUND;
	u64 room = (vmf->vma->vm_end - addr) >> PAGE_SHIFT;

	return min3(behind, block, room);
}

/* With @faults held for reading: the view stays while it is. NULL: nothing to show. */
static struct vlb_view *vlb_window_look_up(struct vlb_window *window, u64 page)
{
	struct vlb_view *view = NULL;

	spin_lock_irq(&window->lock);
	if (!window->closed)
		view = vlb_window_find(window, page);
	spin_unlock_irq(&window->lock);
	return view;
}

/* With @faults held for reading. @entered: pages that are in the page table now. */
static vm_fault_t vlb_window_enter(struct vlb_window *window, struct vm_fault *vmf,
				   unsigned long *entered)
{
	struct vlb_view *view = vlb_window_look_up(window, vmf->pgoff);
	unsigned long addr = vmf->address & PAGE_MASK, index, start, end, i;
	vm_fault_t ret;

	if (!view)
		return VM_FAULT_SIGBUS;
	index = vmf->pgoff - view->range.first;
	ret = vmf_insert_pfn(vmf->vma, addr, page_to_pfn(view->pages[index]));
	if (ret != VM_FAULT_NOPAGE)
		return ret;
	start = index - vlb_fault_start(vmf, addr, index);
	end = index + vlb_fault_end(vmf, addr, view->nr_pages - index);
	*entered = 1;
	for (i = start; i < end; i++) {
		if (i == index)
			continue;
		/* The neighbours are a favour: who touches one that failed asks again. */
		if (vmf_insert_pfn(vmf->vma, addr + ((i - index) << PAGE_SHIFT),
				   page_to_pfn(view->pages[i])) != VM_FAULT_NOPAGE)
			break;
		++*entered;
	}
	return ret;
}

static vm_fault_t vlb_window_fault(struct vm_fault *vmf)
{
	struct vlb_window *window = vmf->vma->vm_file->private_data;
	unsigned long entered = 0;
	vm_fault_t result;

	down_read(&window->faults);
	result = vlb_window_enter(window, vmf, &entered);
	up_read(&window->faults);

	spin_lock_irq(&window->lock);
	window->entered += entered;
	window->refused += !entered;
	spin_unlock_irq(&window->lock);
	trace_vlb_window_fault(window, vmf->pgoff, entered);
	return result;
}

static const struct vm_operations_struct vlb_window_vm_ops = {
	.fault = vlb_window_fault,
};

/* Shared only: a private copy of a page would outlive the page. */
static int vlb_window_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vlb_window *window = file->private_data;
	u64 nr = window->size >> PAGE_SHIFT;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff > nr || vma_pages(vma) > nr - vma->vm_pgoff)
		return -EINVAL;
	vlb_vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &vlb_window_vm_ops;
	return 0;
}

/* Front-ends and back-ends ask a memory region for its size in this way. */
static loff_t vlb_window_llseek(struct file *file, loff_t offset, int whence)
{
	struct vlb_window *window = file->private_data;

	return fixed_size_llseek(file, offset, whence, window->size);
}

static int vlb_window_release_file(struct inode *inode, struct file *file)
{
	vlb_window_put(file->private_data);
	return 0;
}

static const struct file_operations vlb_window_fops = {
	.owner = THIS_MODULE,
	.mmap = vlb_window_mmap,
	.llseek = vlb_window_llseek,
	.release = vlb_window_release_file,
};

static struct file *vlb_window_alloc_file(struct vlb_window *window, const char *name)
{
	struct file *file;

	/* The file gives both back when it goes. */
	ihold(window->inode);
	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(window->inode, vlb_window_mount, name, O_RDWR, &vlb_window_fops);
	if (IS_ERR(file)) {
		iput(window->inode);
		module_put(THIS_MODULE);
		return file;
	}
	file->f_mode |= FMODE_LSEEK;
	kref_get(&window->ref);
	file->private_data = window;
	return file;
}

/**
 * vlb_window_open() - a descriptor of the window for the calling process
 * @window: the window
 * @name:   shown in /proc/PID/maps
 *
 * Return: the descriptor, or a negative errno.
 */
int vlb_window_open(struct vlb_window *window, const char *name)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = vlb_window_alloc_file(window, name);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

/* ---- its life ---- */

/**
 * vlb_window_create() - a window that shows nothing yet
 * @device: number of the device
 * @base:   DMA address of its first byte, page-aligned
 * @size:   bytes, whole pages
 *
 * Return: the window, or an error pointer.
 */
struct vlb_window *vlb_window_create(unsigned int device, dma_addr_t base, u64 size)
{
	struct vlb_window *window;
	int err;

	window = kzalloc(sizeof(*window), GFP_KERNEL_ACCOUNT);
	if (!window)
		return ERR_PTR(-ENOMEM);
	err = simple_pin_fs(&vlb_window_fs, &vlb_window_mount, &vlb_window_mounts);
	if (err)
		goto err_free;
	window->inode = alloc_anon_inode(vlb_window_mount->mnt_sb);
	if (IS_ERR(window->inode)) {
		err = PTR_ERR(window->inode);
		goto err_unpin;
	}
	i_size_write(window->inode, size);
	kref_init(&window->ref);
	window->device = device;
	window->base = base;
	window->size = size;
	INIT_WORK(&window->work, vlb_window_work);
	init_rwsem(&window->faults);
	spin_lock_init(&window->lock);
	INIT_LIST_HEAD(&window->dead);
	vlb_ranges_init(&window->ranges, size >> PAGE_SHIFT);
	return window;

err_unpin:
	simple_release_fs(&vlb_window_mount, &vlb_window_mounts);
err_free:
	kfree(window);
	return ERR_PTR(err);
}

/**
 * vlb_window_close() - show nothing any more, for good
 * @window: may be NULL
 *
 * Mappings stay until their driver lets go of them, but nobody reaches their pages.
 */
void vlb_window_close(struct vlb_window *window)
{
	if (!window)
		return;
	spin_lock_irq(&window->lock);
	window->closed = true;
	spin_unlock_irq(&window->lock);
	vlb_window_wait_faults(window);
	unmap_mapping_range(window->inode->i_mapping, 0, 0, 1);
}

/**
 * vlb_window_destroy() - the device is gone
 * @window: may be NULL; processes may still have its file, which shows nothing
 */
void vlb_window_destroy(struct vlb_window *window)
{
	struct vlb_range *range;

	if (!window)
		return;
	vlb_window_close(window);
	flush_work(&window->work);
	/* No driver is left that could unmap; what one forgot is let go of here. */
	while ((range = vlb_ranges_first(&window->ranges)))
		vlb_window_bury(window, vlb_view_of(range));
	vlb_window_put(window);
}

int vlb_windows_init(void)
{
	/* Memory that is short may come from here: it must not wait for memory. */
	vlb_window_wq = alloc_workqueue("virtio-loopback-window", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return vlb_window_wq ? 0 : -ENOMEM;
}

void vlb_windows_exit(void)
{
	destroy_workqueue(vlb_window_wq);
}
