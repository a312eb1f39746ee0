/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a virtqueue, split or packed, for tests: memory to share, a ring in it,
 * requests. It keeps the rules that a driver has to keep, and lets a test break each of them by
 * writing the ring itself.
 *
 * The environment says which layout a test runs with that does not ask for one: TEST_RING=packed.
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

/* What a packed ring has besides. In it the buffer id of a head is another number. */
struct drv_packed {
	struct vring_packed_desc *desc;
	struct vring_packed_desc_event *driver;
	struct vring_packed_desc_event *device;
	uint16_t avail_idx; /* next to fill */
	uint16_t used_idx; /* next to look for an answer at */
	bool avail_wrap;
	bool used_wrap;
	unsigned int added; /* descriptors, since the last kick */
	uint16_t next[1024]; /* free heads */
};

#define DRV_PACKED_ID 0x5a00 /* is added to a head, to be its buffer id */

struct drv_ring {
	struct drv_mem *mem;
	unsigned int num;
	bool event_idx;
	bool is_packed;
	struct vring_desc *desc; /* of a packed ring too it begins here */
	struct vring_avail *avail; /* packed: its driver area */
	struct vring_used *used; /* packed: its device area */
	struct drv_packed packed;
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
int drv_ring_init_layout(struct drv_ring *ring, struct drv_mem *mem, unsigned int num,
			 bool event_idx, bool packed);

/* drv_packed_wanted() - what the environment says */
bool drv_packed_wanted(void);

/* drv_features() - the feature bit of its layout */
uint64_t drv_features(const struct drv_ring *ring);

/* drv_base() - for SET_VRING_BASE: behind what was answered, all else is to be looked at again */
uint32_t drv_base(const struct drv_ring *ring);

/* drv_base_at() - of a ring of which @n descriptors (packed) or requests (split) were used */
uint32_t drv_base_at(const struct drv_ring *ring, unsigned int n);

/* drv_spoil() - make something available that breaks the rules; drv_mend() - of a fresh ring */
void drv_spoil(struct drv_ring *ring);
void drv_mend(struct drv_ring *ring);
void drv_ring_finish(struct drv_ring *ring);

/**
 * drv_add() - make a request available, without telling the device
 * @indirect:	in a table; one of more than DRV_TABLE descriptors takes of drv_alloc()
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

/* drv_event() - ask for a call when the answer after the next @n ones is given (EVENT_IDX) */
void drv_event(struct drv_ring *ring, unsigned int n);

/* drv_table() - for a request of @n buffers: its head's, or a longer one; NULL: no more memory */
void *drv_table(struct drv_ring *ring, uint16_t head, unsigned int n);

/* The packed ring's part of these (driver-packed.c) */
void drv_packed_init(struct drv_ring *ring);
int drv_packed_add(struct drv_ring *ring, const struct drv_buf *bufs, unsigned int n,
		   bool indirect);
bool drv_packed_wants_kick(struct drv_ring *ring);
int drv_packed_get(struct drv_ring *ring, uint32_t *len);
bool drv_packed_arm(struct drv_ring *ring);
void drv_packed_event(struct drv_ring *ring, unsigned int n);
uint32_t drv_packed_base(const struct drv_ring *ring);
uint32_t drv_packed_base_at(const struct drv_ring *ring, unsigned int n);
void drv_packed_spoil(struct drv_ring *ring);

#endif
