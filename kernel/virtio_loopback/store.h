/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * store - files that one adapter leaves for the next
 */
#ifndef VLB_STORE_H
#define VLB_STORE_H

#include <linux/types.h>

struct file;
struct vlb_stored;
struct virtio_loopback_store;

/**
 * struct vlb_store - protected by vlb_device.lock
 * @slots: VIRTIO_LOOPBACK_STORE_MAX of them, NULL until the first is used
 */
struct vlb_store {
	struct vlb_stored *slots;
};

void vlb_store_finish(struct vlb_store *store);
int vlb_store_put(struct vlb_store *store, const struct virtio_loopback_store *args);
int vlb_store_get(struct vlb_store *store, struct virtio_loopback_store *args,
		  struct file *pool);

#endif /* VLB_STORE_H */
