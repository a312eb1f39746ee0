/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split virtqueue, for tests: memory to share, a ring in it, requests. It
 * keeps the rules that a driver has to keep, and lets a test break each of them by writing the
 * ring itself.
 */
#ifndef TEST_DRIVER_H
#define TEST_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

/* Shared memory: a memfd. Guest and user addresses differ, so that mixing them up does not pass. */
#define DRV_GPA 0x40000000ULL
#define DRV_UVA 0x7f0000000000ULL

struct drv_mem {
	int fd;
	uint8_t *base;
	size_t size;
	size_t used; /* by drv_alloc() */
};

int drv_mem_init(struct drv_mem *mem, size_t size);
void drv_mem_finish(struct drv_mem *mem);

/* drv_alloc() - zeroed memory, aligned to a power of two, never given back; NULL: no more */
void *drv_alloc(struct drv_mem *mem, size_t size, size_t align);
uint64_t drv_gpa(const struct drv_mem *mem, const void *p);
uint64_t drv_uva(const struct drv_mem *mem, const void *p);

struct drv_buf {
	void *p;
	uint32_t len;
	bool write; /* the device writes it */
};

struct drv_ring {
	struct drv_mem *mem;
	unsigned int num;
	bool event_idx;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_desc *tables; /* [num][DRV_TABLE] indirect tables */
	uint16_t avail_idx; /* next to fill */
	uint16_t kicked_idx; /* avail index at the last kick */
	uint16_t last_used;
	uint16_t free_head;
	unsigned int nfree;
	uint16_t chain_len[1024]; /* descriptors of each head, 0: not in use */
	int kick_fd;
	int call_fd;
	uint64_t kicks;
};

#define DRV_TABLE 64

int drv_ring_init(struct drv_ring *ring, struct drv_mem *mem, unsigned int num, bool event_idx);
void drv_ring_finish(struct drv_ring *ring);

/**
 * drv_add() - make a request available, without telling the device
 *
 * Return: its head, or -1 when the ring is full.
 */
int drv_add(struct drv_ring *ring, const struct drv_buf *bufs, unsigned int n, bool indirect);

/* drv_kick() - kick if the device wants it; Return: whether it was */
bool drv_kick(struct drv_ring *ring);

/* drv_get() - take the next answer; Return: head, -1: none, -2: the device broke a rule */
int drv_get(struct drv_ring *ring, uint32_t *len);

/* drv_wait() - the same, waiting for a call; -1 after @timeout_ms */
int drv_wait(struct drv_ring *ring, uint32_t *len, int timeout_ms);

#endif
