// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <linux/virtio_loopback.h>
#include <net/sock.h>

#include "chardev.h"
#include "store.h"

struct vlb_stored {
	struct file *file;
	u64 tag;
};

void vlb_store_finish(struct vlb_store *store)
{
	unsigned int i;

	for (i = 0; store->slots && i < VIRTIO_LOOPBACK_STORE_MAX; i++)
		if (store->slots[i].file)
			fput(store->slots[i].file);
	kvfree(store->slots);
	store->slots = NULL;
}

/*
 * A file system that is a process, or can be one below: in a namespace of its own a user may lay
 * another one over it.
 */
static bool vlb_store_is_served(const struct file *file)
{
	const struct super_block *sb = file_inode(file)->i_sb;

	return sb->s_magic == FUSE_SUPER_MAGIC ||
	       (sb->s_magic == OVERLAYFS_SUPER_MAGIC && sb->s_user_ns != &init_user_ns);
}

/*
 * One of this driver's would keep itself alive for ever. And a socket of a network, or a file that
 * a process serves, can take long to close, which would hold up the worker that lets go of what is
 * stored, and the next adapter.
 */
static bool vlb_store_may_keep(struct file *file)
{
	struct socket *socket = sock_from_file(file);

	return !vlb_chardev_is(file) && !vlb_store_is_served(file) &&
	       (!socket || socket->sk->sk_family == AF_UNIX);
}

int vlb_store_put(struct vlb_store *store, const struct virtio_loopback_store *args)
{
	struct vlb_stored *stored;
	struct file *file = NULL;

	if (args->flags || args->reserved || args->slot < VIRTIO_LOOPBACK_STORE_USER ||
	    args->slot >= VIRTIO_LOOPBACK_STORE_MAX)
		return -EINVAL;
	if (!store->slots)
		store->slots = kvcalloc(VIRTIO_LOOPBACK_STORE_MAX, sizeof(*store->slots),
					GFP_KERNEL);
	if (!store->slots)
		return -ENOMEM;
	if (args->fd >= 0) {
		file = fget(args->fd);
		if (!file)
			return -EBADF;
		if (!vlb_store_may_keep(file)) {
			fput(file);
			return -EINVAL;
		}
	}
	stored = &store->slots[array_index_nospec(args->slot, VIRTIO_LOOPBACK_STORE_MAX)];
	if (stored->file)
		fput(stored->file);
	stored->file = file;
	stored->tag = args->tag;
	return 0;
}

int vlb_store_get(struct vlb_store *store, struct virtio_loopback_store *args,
		  struct file *pool)
{
	struct file *file = NULL;
	unsigned int slot;
	int fd;

	if (args->flags || args->reserved || args->slot >= VIRTIO_LOOPBACK_STORE_MAX)
		return -EINVAL;
	slot = array_index_nospec(args->slot, VIRTIO_LOOPBACK_STORE_MAX);
	if (args->slot == VIRTIO_LOOPBACK_STORE_POOL) {
		file = pool;
		args->tag = 0;
	} else if (store->slots) {
		file = store->slots[slot].file;
		args->tag = store->slots[slot].tag;
	}
	if (!file)
		return -ENOENT;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	get_file(file);
	fd_install(fd, file);
	args->fd = fd;
	return 0;
}
