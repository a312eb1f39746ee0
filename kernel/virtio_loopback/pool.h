/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pool - the memory that the driver and the back-end share: a memfd, pinned and mapped
 *
 * It knows pages and files; who uses which part of it is decided in bounce.c.
 */
#ifndef VLB_POOL_H
#define VLB_POOL_H

#include <linux/types.h>

struct cred;
struct file;
struct page;

/**
 * struct vlb_pool - pinned pages of a memfd
 * @memfd:     the adapter's file; a reference is held
 * @charged:   whose user's RLIMIT_MEMLOCK is charged, NULL: nobody's (CAP_IPC_LOCK)
 * @pages:     the pages in the order of the file, one reference or pin each
 * @nr_pages:  how many
 * @nr_pinned: how many of them are held, while the pool is set up
 * @vaddr:     all of them in a row in kernel addresses
 * @size:      bytes
 * @revoked:   no mapping of the file has these pages any more, and none gets them
 */
struct vlb_pool {
	struct file *memfd;
	const struct cred *charged;
	struct page **pages;
	unsigned long nr_pages;
	unsigned long nr_pinned;
	void *vaddr;
	size_t size;
	bool revoked;
};

int vlb_pool_init(struct vlb_pool *pool, int memfd);
void vlb_pool_finish(struct vlb_pool *pool);
int vlb_pool_check(const struct vlb_pool *pool);
void vlb_pool_revoke(struct vlb_pool *pool);

#endif /* VLB_POOL_H */
