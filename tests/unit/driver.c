// SPDX-License-Identifier: BSD-3-Clause
#include "driver.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/util.h"

int drv_mem_init(struct drv_mem *mem, size_t size)
{
	*mem = (struct drv_mem){ .size = size };
	mem->fd = memfd_create("test-driver", MFD_CLOEXEC);
	if (mem->fd < 0 || ftruncate(mem->fd, (off_t)size) < 0)
		return -errno;
	mem->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, mem->fd, 0);
	return mem->base == MAP_FAILED ? -errno : 0;
}

void drv_mem_finish(struct drv_mem *mem)
{
	munmap(mem->base, mem->size);
	fd_close(&mem->fd);
}

void *drv_alloc(struct drv_mem *mem, size_t size, size_t align)
{
	size_t at = ALIGN_UP(mem->used, align);

	if (at > mem->size || size > mem->size - at)
		return NULL;
	mem->used = at + size;
	memset(mem->base + at, 0, size);
	return mem->base + at;
}

uint64_t drv_gpa(const struct drv_mem *mem, const void *p)
{
	return DRV_GPA + (uint64_t)((const uint8_t *)p - mem->base);
}

uint64_t drv_uva(const struct drv_mem *mem, const void *p)
{
	return DRV_UVA + (uint64_t)((const uint8_t *)p - mem->base);
}

bool drv_packed_wanted(void)
{
	const char *layout = getenv("TEST_RING");

	return layout && !strcmp(layout, "packed");
}

int drv_ring_init(struct drv_ring *ring, struct drv_mem *mem, unsigned int num, bool event_idx)
{
	return drv_ring_init_layout(ring, mem, num, event_idx, drv_packed_wanted());
}

int drv_ring_init_layout(struct drv_ring *ring, struct drv_mem *mem, unsigned int num,
			 bool event_idx, bool packed)
{
	unsigned int i;

	*ring = (struct drv_ring){
		.mem = mem,
		.num = num,
		.event_idx = event_idx,
		.is_packed = packed,
		.nfree = num,
	};
	if (num > ARRAY_SIZE(ring->chain_len))
		return -EINVAL;
	ring->desc = drv_alloc(mem, num * sizeof(struct vring_desc), 16);
	ring->avail = drv_alloc(mem, 6 + 2 * num, 4);
	ring->used = drv_alloc(mem, 6 + 8 * num, 4);
	ring->tables = drv_alloc(mem, num * DRV_TABLE * sizeof(struct vring_desc), 16);
	if (!ring->desc || !ring->avail || !ring->used || !ring->tables)
		return -ENOMEM;
	if (packed)
		drv_packed_init(ring);
	else
		for (i = 0; i < num; i++)
			ring->desc[i].next = (uint16_t)(i + 1);
	ring->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return ring->kick_fd < 0 || ring->call_fd < 0 ? -errno : 0;
}

void drv_ring_finish(struct drv_ring *ring)
{
	fd_close(&ring->kick_fd);
	fd_close(&ring->call_fd);
}

static void fill_desc(const struct drv_ring *ring, struct vring_desc *desc,
		      const struct drv_buf *buf, bool more)
{
	desc->addr = drv_gpa(ring->mem, buf->p);
	desc->len = buf->len;
	desc->flags =
		(uint16_t)((buf->write ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0));
}

static void make_available(struct drv_ring *ring, uint16_t head)
{
	ring->avail->ring[ring->avail_idx % ring->num] = head;
	ring->avail_idx++;
	__atomic_store_n(&ring->avail->idx, ring->avail_idx, __ATOMIC_RELEASE);
}

void *drv_table(struct drv_ring *ring, uint16_t head, unsigned int n)
{
	return n > DRV_TABLE ? drv_alloc(ring->mem, n * sizeof(*ring->tables), 16) :
			       ring->tables + (size_t)head * DRV_TABLE;
}

static int add_indirect(struct drv_ring *ring, const struct drv_buf *bufs, unsigned int n)
{
	uint16_t head = ring->free_head;
	struct vring_desc *table;
	unsigned int i;

	if (!ring->nfree)
		return -1;
	table = drv_table(ring, head, n);
	if (!table)
		return -1;
	for (i = 0; i < n; i++) {
		fill_desc(ring, &table[i], &bufs[i], i + 1 < n);
		table[i].next = (uint16_t)(i + 1);
	}
	ring->free_head = ring->desc[head].next;
	ring->nfree--;
	ring->chain_len[head] = 1;
	ring->desc[head].addr = drv_gpa(ring->mem, table);
	ring->desc[head].len = n * (uint32_t)sizeof(*table);
	ring->desc[head].flags = VRING_DESC_F_INDIRECT;
	make_available(ring, head);
	return head;
}

int drv_add(struct drv_ring *ring, const struct drv_buf *bufs, unsigned int n, bool indirect)
{
	uint16_t head = ring->free_head, at = head;
	unsigned int i;

	if (ring->is_packed)
		return drv_packed_add(ring, bufs, n, indirect);
	if (indirect)
		return add_indirect(ring, bufs, n);
	if (ring->nfree < n)
		return -1;
	for (i = 0; i < n; i++) {
		fill_desc(ring, &ring->desc[at], &bufs[i], i + 1 < n);
		at = ring->desc[at].next;
	}
	ring->free_head = at;
	ring->nfree -= n;
	ring->chain_len[head] = (uint16_t)n;
	make_available(ring, head);
	return head;
}

bool drv_kick(struct drv_ring *ring)
{
	uint16_t old = ring->kicked_idx;
	uint64_t one = 1;
	bool wanted;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ring->is_packed)
		wanted = drv_packed_wants_kick(ring);
	else if (ring->event_idx)
		wanted = vring_need_event(*(volatile uint16_t *)&ring->used->ring[ring->num],
					  ring->avail_idx, old);
	else
		wanted = !(READ_ONCE(ring->used->flags) & VRING_USED_F_NO_NOTIFY);
	ring->kicked_idx = ring->avail_idx;
	if (!wanted)
		return false;
	ring->kicks++;
	return write(ring->kick_fd, &one, sizeof(one)) == sizeof(one);
}

static void give_back(struct drv_ring *ring, uint16_t head)
{
	unsigned int n = ring->chain_len[head];
	uint16_t last = head;
	unsigned int i;

	for (i = 1; i < n; i++)
		last = ring->desc[last].next;
	ring->desc[last].next = ring->free_head;
	ring->free_head = head;
	ring->nfree += n;
	ring->chain_len[head] = 0;
}

int drv_get(struct drv_ring *ring, uint32_t *len)
{
	const struct vring_used_elem *elem;

	if (ring->is_packed)
		return drv_packed_get(ring, len);
	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->last_used)
		return -1;
	elem = &ring->used->ring[ring->last_used % ring->num];
	ring->last_used++;
	if (elem->id >= ring->num || !ring->chain_len[elem->id])
		return -2;
	if (len)
		*len = elem->len;
	give_back(ring, (uint16_t)elem->id);
	return (int)elem->id;
}

/* Asks for a call with the next answer. Return: true if one is there already. */
static bool arm(struct drv_ring *ring)
{
	if (ring->is_packed)
		return drv_packed_arm(ring);
	if (ring->event_idx)
		WRITE_ONCE(ring->avail->ring[ring->num], ring->last_used);
	else
		WRITE_ONCE(ring->avail->flags, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) != ring->last_used;
}

int drv_wait(struct drv_ring *ring, uint32_t *len, int timeout_ms)
{
	deadline_t deadline = deadline_after_ms((uint64_t)timeout_ms);
	uint64_t count;

	for (;;) {
		int head = drv_get(ring, len);

		if (head != -1 || arm(ring)) {
			if (head != -1)
				return head;
			continue;
		}
		/* Only the call wakes: a call that is missing shows as a time-out. */
		if (poll_fd(ring->call_fd, POLLIN, deadline) < 0)
			return -1;
		if (read(ring->call_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			return -1;
	}
}

void drv_event(struct drv_ring *ring, unsigned int n)
{
	if (ring->is_packed)
		drv_packed_event(ring, n);
	else
		WRITE_ONCE(ring->avail->ring[ring->num], (uint16_t)(ring->last_used + n));
}

uint32_t drv_base(const struct drv_ring *ring)
{
	return ring->is_packed ? drv_packed_base(ring) : READ_ONCE(ring->used->idx);
}

uint64_t drv_features(const struct drv_ring *ring)
{
	return ring->is_packed ? BIT_ULL(VIRTIO_F_RING_PACKED) : 0;
}

uint32_t drv_base_at(const struct drv_ring *ring, unsigned int n)
{
	return ring->is_packed ? drv_packed_base_at(ring, n) : n;
}

void drv_spoil(struct drv_ring *ring)
{
	if (ring->is_packed) {
		drv_packed_spoil(ring);
		return;
	}
	ring->avail->ring[ring->avail_idx % ring->num] = 4711;
	ring->avail->idx++;
}

void drv_mend(struct drv_ring *ring)
{
	if (ring->is_packed)
		memset(ring->packed.desc, 0, ring->num * sizeof(*ring->packed.desc));
	else
		ring->avail->idx = 0;
	memset(ring->used, 0, 4);
}
