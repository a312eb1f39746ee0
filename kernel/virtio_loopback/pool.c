// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "pool.h"

#define VLB_POOL_MAX	(4ULL << 30)
/* No folio of shmem is larger: that of a PMD is 512 MiB, with pages of 64 KiB. */
#define VLB_FOLIO_MAX	((loff_t)SZ_1G)

/*
 * The size must not change under the kernel's feet, and the kernel must not write into
 * what somebody has been promised to stay as it is.
 */
static int vlb_pool_check_file(struct file *memfd)
{
	struct inode *inode = file_inode(memfd);
	unsigned int seals, want = F_SEAL_SHRINK | F_SEAL_GROW;
	loff_t size;

	if (!S_ISREG(inode->i_mode) || inode->i_sb->s_magic != TMPFS_MAGIC)
		return -EINVAL;
	if ((memfd->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE))
		return -EINVAL;
	seals = READ_ONCE(SHMEM_I(inode)->seals);
	if ((seals & want) != want || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EINVAL;
	size = i_size_read(inode);
	if (size <= 0 || !IS_ALIGNED(size, PAGE_SIZE) || size > VLB_POOL_MAX)
		return -EINVAL;
	return 0;
}

/* The credentials hold the user: not each 6.1 exports free_uid(). */
static int vlb_pool_charge(struct vlb_pool *pool)
{
	struct user_struct *user = current_user();
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	if (capable(CAP_IPC_LOCK))
		return 0;
	if (atomic_long_add_return(pool->nr_pages, &user->locked_vm) > limit) {
		atomic_long_sub(pool->nr_pages, &user->locked_vm);
		return -EFBIG;
	}
	pool->charged = get_current_cred();
	return 0;
}

static void vlb_pool_uncharge(struct vlb_pool *pool)
{
	if (!pool->charged)
		return;
	atomic_long_sub(pool->nr_pages, &pool->charged->user->locked_vm);
	put_cred(pool->charged);
	pool->charged = NULL;
}

#if VLB_HAVE_MEMFD_PIN_FOLIOS
/*
 * A page that was only reserved, by fallocate(), is cleared by the first one who reads or maps it:
 * that is to be now, for memfd_pin_folios() does not.
 */
static int vlb_pool_touch(struct vlb_pool *pool, unsigned long index)
{
	struct page *page = shmem_read_mapping_page(pool->memfd->f_mapping, index);

	if (IS_ERR(page))
		return PTR_ERR(page);
	put_page(page);
	return 0;
}

/* Pins the folio of page @index, and enters that page. */
static int vlb_pool_pin_at(struct vlb_pool *pool, unsigned long index)
{
	struct folio *folio;
	pgoff_t offset;
	long got;

	got = vlb_pool_touch(pool, index);
	if (got)
		return got;
	got = memfd_pin_folios(pool->memfd, (loff_t)index << PAGE_SHIFT,
			       ((loff_t)(index + 1) << PAGE_SHIFT) - 1, &folio, 1, &offset);
	if (got < 0)
		return got;
	if (got != 1)
		return -ENOMEM;
	pool->pages[index] = folio_page(folio, offset >> PAGE_SHIFT);
	return 0;
}

static void vlb_pool_unpin_at(struct vlb_pool *pool, unsigned long index)
{
	unpin_folio(page_folio(pool->pages[index]));
}
#else
static int vlb_pool_pin_at(struct vlb_pool *pool, unsigned long index)
{
	struct page *page = shmem_read_mapping_page(pool->memfd->f_mapping, index);

	if (IS_ERR(page))
		return PTR_ERR(page);
	pool->pages[index] = page;
	return 0;
}

static void vlb_pool_unpin_at(struct vlb_pool *pool, unsigned long index)
{
	set_page_dirty(pool->pages[index]);
	put_page(pool->pages[index]);
}
#endif

static void vlb_pool_unpin(struct vlb_pool *pool)
{
	while (pool->nr_pinned)
		vlb_pool_unpin_at(pool, --pool->nr_pinned);
}

static int vlb_pool_pin(struct vlb_pool *pool)
{
	int err;

	while (pool->nr_pinned < pool->nr_pages) {
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			goto err_unpin;
		}
		err = vlb_pool_pin_at(pool, pool->nr_pinned);
		if (err)
			goto err_unpin;
		/* A fresh memfd reads as zeroes; a used one must not tell what it held. */
		clear_highpage(pool->pages[pool->nr_pinned++]);
		cond_resched();
	}
	return 0;

err_unpin:
	vlb_pool_unpin(pool);
	return err;
}

/**
 * vlb_pool_init() - take a memfd as the pool
 * @pool:  to be set up; zeroed by the caller
 * @memfd: file descriptor in the caller's table
 *
 * The contents are cleared.
 *
 * Return: 0, -EBADF, -EINVAL (no sealed memfd of whole pages), -EFBIG (RLIMIT_MEMLOCK)
 * or -ENOMEM.
 */
int vlb_pool_init(struct vlb_pool *pool, int memfd)
{
	int err;

	pool->memfd = fget(memfd);
	if (!pool->memfd)
		return -EBADF;
	err = vlb_pool_check_file(pool->memfd);
	if (err)
		goto err_fput;

	pool->size = i_size_read(file_inode(pool->memfd));
	pool->nr_pages = pool->size >> PAGE_SHIFT;
	err = vlb_pool_charge(pool);
	if (err)
		goto err_fput;
	pool->pages = kvcalloc(pool->nr_pages, sizeof(*pool->pages), GFP_KERNEL);
	if (!pool->pages) {
		err = -ENOMEM;
		goto err_uncharge;
	}
	err = vlb_pool_pin(pool);
	if (err)
		goto err_free;
	pool->vaddr = vmap(pool->pages, pool->nr_pages, VM_MAP, PAGE_KERNEL);
	if (!pool->vaddr) {
		err = -ENOMEM;
		goto err_unpin;
	}
	return 0;

err_unpin:
	vlb_pool_unpin(pool);
err_free:
	kvfree(pool->pages);
err_uncharge:
	vlb_pool_uncharge(pool);
err_fput:
	fput(pool->memfd);
	pool->memfd = NULL;
	return err;
}

/**
 * vlb_pool_finish() - let go of the memory
 * @pool: nothing may use it any more
 */
void vlb_pool_finish(struct vlb_pool *pool)
{
	if (!pool->memfd)
		return;
	vunmap(pool->vaddr);
	vlb_pool_unpin(pool);
	kvfree(pool->pages);
	vlb_pool_uncharge(pool);
	fput(pool->memfd);
	pool->memfd = NULL;
}

/**
 * vlb_pool_check() - are the pages still those of the file?
 * @pool: the pool
 *
 * Sealing does not stop the punching of holes.
 *
 * Return: 0, or -ESTALE: a mapping of the memfd shows other pages.
 */
int vlb_pool_check(const struct vlb_pool *pool)
{
	struct address_space *mapping = pool->memfd->f_mapping;
	unsigned long i;

	for (i = 0; i < pool->nr_pages; i++)
		if (READ_ONCE(page_folio(pool->pages[i])->mapping) != mapping)
			return -ESTALE;
	return 0;
}

/**
 * vlb_pool_revoke() - end the back-end's access
 * @pool: the pool
 *
 * Punches out the whole file: mappings of it lose these pages, the kernel keeps them.
 * Pages that a system call of the back-end has pinned itself stay with it until that
 * call ends.
 *
 * Not by vfs_fallocate(): that takes the inode's lock, which a back-end can hold for as long
 * as it likes, by a write to the file from memory that does not come. What that would keep away
 * are faults meanwhile: each page that is mapped anew has to be sought in all mappings of the
 * file, so that a back-end with tens of thousands of them makes this take minutes. It is not
 * to be waited for with a lock.
 *
 * A huge folio may reach past the end of the file. Where the end of what is punched out lies within
 * it, it would be cleared in part, and stay in the file.
 */
void vlb_pool_revoke(struct vlb_pool *pool)
{
	if (READ_ONCE(pool->revoked))
		return;
	unmap_mapping_range(pool->memfd->f_mapping, 0, pool->size, 0);
	shmem_truncate_range(file_inode(pool->memfd), 0,
			     round_up(pool->size, VLB_FOLIO_MAX) - 1);
	WRITE_ONCE(pool->revoked, true);
}
