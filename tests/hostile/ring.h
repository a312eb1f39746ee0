/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split virtqueue from the device side, with every freedom to misuse it. Written apart from the
 * product's device-side library, so that the two do not share their errors.
 */
#ifndef HOSTILE_RING_H
#define HOSTILE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#define CHAIN_MAX 1024
#define RING_MAX 32768

/* The memory table, one region. */
struct memory {
	int fd; /* -1: none */
	uint8_t *map;
	uint64_t guest;
	uint64_t user;
	uint64_t size;
	uint64_t offset; /* of the region in the file */
};

struct ring {
	unsigned int index;
	unsigned int num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t desc_user, avail_user, used_user;
	uint16_t last_avail;
	uint16_t used_idx;
	uint16_t signalled;
	bool event_idx;
	bool started, enabled;
	int kick_fd, call_fd;
	unsigned int calls; /* sent */
	unsigned int calls_suppressed;
	unsigned int kicks; /* seen */
};

/* One request: its buffers, device-readable ones first. */
struct chain {
	uint16_t head;
	unsigned int out, in;
	struct iovec iov[CHAIN_MAX];
};

/* memory_guest(), memory_user() - what lies at an address; NULL when it is not all in the region */
void *memory_guest(const struct memory *m, uint64_t addr, uint64_t len);
void *memory_user(const struct memory *m, uint64_t addr, uint64_t len);

/* ring_join() - make all descriptors one chain, as far as who follows their flags is concerned */
void ring_join(struct ring *r);

/* ring_map() - find the three areas; 0 or -EFAULT */
int ring_map(struct ring *r, const struct memory *m);

/* ring_pop() - the next request: 1, 0 when there is none, -EPROTO when it is nonsense */
int ring_pop(struct ring *r, const struct memory *m, struct chain *chain);

/* ring_push() - give one back; the index is shown at once */
void ring_push(struct ring *r, uint32_t id, uint32_t len);

/* ring_show() - show the index again, after @r->used_idx was tampered with */
void ring_show(struct ring *r);

/* ring_notify() - call the driver, if it wants that */
void ring_notify(struct ring *r);

/* ring_call() - call it whether it wants or not */
void ring_call(struct ring *r);

/* ring_want_kicks() - ask for a kick with the next request, or for none as long as it may be */
void ring_want_kicks(struct ring *r, bool want);

/* ring_pending() - there are requests */
bool ring_pending(const struct ring *r);

#endif
