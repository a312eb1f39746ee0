// SPDX-License-Identifier: BSD-3-Clause
/* Packed rings (virtio 1.x, 2.8), as a driver sees them. */
#include "driver.h"

#include "common/util.h"

#define AVAIL (1U << VRING_PACKED_DESC_F_AVAIL)
#define USED (1U << VRING_PACKED_DESC_F_USED)
#define WRAP (1U << VRING_PACKED_EVENT_F_WRAP_CTR)

static void step(const struct drv_ring *ring, uint16_t *idx, bool *wrap, unsigned int n)
{
	while (n--)
		if (++*idx == ring->num) {
			*idx = 0;
			*wrap = !*wrap;
		}
}

static uint16_t position(uint16_t idx, bool wrap)
{
	return (uint16_t)(idx | (wrap ? WRAP : 0));
}

void drv_packed_init(struct drv_ring *ring)
{
	struct drv_packed *p = &ring->packed;
	unsigned int i;

	p->desc = (void *)ring->desc;
	p->driver = (void *)ring->avail;
	p->device = (void *)ring->used;
	p->avail_wrap = true;
	p->used_wrap = true;
	for (i = 0; i < ring->num; i++)
		p->next[i] = (uint16_t)(i + 1);
}

static void fill(const struct drv_ring *ring, struct vring_packed_desc *desc,
		 const struct drv_buf *buf)
{
	desc->addr = drv_gpa(ring->mem, buf->p);
	desc->len = buf->len;
}

int drv_packed_add(struct drv_ring *ring, const struct drv_buf *bufs, unsigned int n,
		   bool indirect)
{
	struct drv_packed *p = &ring->packed;
	struct vring_packed_desc *first = &p->desc[p->avail_idx];
	uint16_t head = ring->free_head, idx = p->avail_idx, first_flags = 0;
	struct drv_buf whole = { NULL, n * (uint32_t)sizeof(struct vring_packed_desc), false };
	struct vring_packed_desc *table = NULL;
	bool wrap = p->avail_wrap;
	unsigned int i, slots = indirect ? 1 : n;

	if (ring->nfree < slots)
		return -1;
	if (indirect) {
		table = drv_table(ring, head, n);
		if (!table)
			return -1;
		whole.p = table;
	}
	for (i = 0; indirect && i < n; i++) {
		fill(ring, &table[i], &bufs[i]);
		/* the other bits and the id mean nothing there */
		table[i].flags = VRING_DESC_F_NEXT | (bufs[i].write ? VRING_DESC_F_WRITE : 0);
		table[i].id = 0x1234;
	}
	for (i = 0; i < slots; i++) {
		const struct drv_buf *buf = indirect ? &whole : &bufs[i];
		uint16_t flags = wrap ? AVAIL : USED;

		fill(ring, &p->desc[idx], buf);
		/* only the last one's counts */
		p->desc[idx].id = (uint16_t)(i + 1 < slots ? 0xdead : head + DRV_PACKED_ID);
		flags |= buf->write ? VRING_DESC_F_WRITE : 0;
		flags |= i + 1 < slots ? VRING_DESC_F_NEXT : 0;
		flags |= indirect ? VRING_DESC_F_INDIRECT : 0;
		if (i)
			p->desc[idx].flags = flags;
		else
			first_flags = flags;
		step(ring, &idx, &wrap, 1);
	}
	p->avail_idx = idx;
	p->avail_wrap = wrap;
	p->added += slots;
	ring->free_head = p->next[head];
	ring->nfree -= slots;
	ring->chain_len[head] = (uint16_t)slots;
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
	return head;
}

bool drv_packed_wants_kick(struct drv_ring *ring)
{
	struct drv_packed *p = &ring->packed;
	uint16_t new = p->avail_idx, old = (uint16_t)(new - p->added), event;
	struct vring_packed_desc_event wish;
	uint32_t word = READ_ONCE(*(uint32_t *)(void *)p->device);

	__builtin_memcpy(&wish, &word, sizeof(wish));
	p->added = 0;
	if (wish.flags != VRING_PACKED_EVENT_FLAG_DESC)
		return wish.flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	event = wish.off_wrap & (uint16_t)~WRAP;
	if (!(wish.off_wrap & WRAP) != !p->avail_wrap)
		event = (uint16_t)(event - ring->num);
	return vring_need_event(event, new, old);
}

static bool is_used(const struct drv_ring *ring, uint16_t idx, bool wrap)
{
	uint16_t flags = __atomic_load_n(&ring->packed.desc[idx].flags, __ATOMIC_ACQUIRE);

	return !(flags & AVAIL) == !wrap && !(flags & USED) == !wrap;
}

int drv_packed_get(struct drv_ring *ring, uint32_t *len)
{
	struct drv_packed *p = &ring->packed;
	const struct vring_packed_desc *d = &p->desc[p->used_idx];
	uint16_t head;

	if (!is_used(ring, p->used_idx, p->used_wrap))
		return -1;
	head = (uint16_t)(d->id - DRV_PACKED_ID);
	if (head >= ring->num || !ring->chain_len[head])
		return -2;
	/* without the flag the device wrote nothing, and the length means nothing (2.8.4) */
	if (len)
		*len = d->flags & VRING_DESC_F_WRITE ? d->len : 0;
	step(ring, &p->used_idx, &p->used_wrap, ring->chain_len[head]);
	ring->last_used++;
	ring->nfree += ring->chain_len[head];
	ring->chain_len[head] = 0;
	p->next[head] = ring->free_head;
	ring->free_head = head;
	return head;
}

static void set_wish(struct drv_ring *ring, uint16_t off_wrap, uint16_t flags)
{
	WRITE_ONCE(ring->packed.driver->off_wrap, off_wrap);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	WRITE_ONCE(ring->packed.driver->flags, flags);
}

bool drv_packed_arm(struct drv_ring *ring)
{
	const struct drv_packed *p = &ring->packed;

	set_wish(ring, position(p->used_idx, p->used_wrap),
		 ring->event_idx ? VRING_PACKED_EVENT_FLAG_DESC : VRING_PACKED_EVENT_FLAG_ENABLE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return is_used(ring, p->used_idx, p->used_wrap);
}

void drv_packed_event(struct drv_ring *ring, unsigned int n)
{
	uint16_t idx = ring->packed.used_idx;
	bool wrap = ring->packed.used_wrap;

	step(ring, &idx, &wrap, n);
	set_wish(ring, position(idx, wrap), VRING_PACKED_EVENT_FLAG_DESC);
}

/* There is no index to read: the answers that were not taken are gone through. */
uint32_t drv_packed_base(const struct drv_ring *ring)
{
	uint16_t idx = ring->packed.used_idx, at;
	bool wrap = ring->packed.used_wrap;
	unsigned int n;

	for (n = 0; n < ring->num && is_used(ring, idx, wrap); n++) {
		uint16_t head = (uint16_t)(ring->packed.desc[idx].id - DRV_PACKED_ID);

		if (head >= ring->num || !ring->chain_len[head])
			break;
		step(ring, &idx, &wrap, ring->chain_len[head]);
	}
	at = position(idx, wrap);
	return at | (uint32_t)at << 16;
}

uint32_t drv_packed_base_at(const struct drv_ring *ring, unsigned int n)
{
	uint16_t idx = 0, at;
	bool wrap = true;

	step(ring, &idx, &wrap, n);
	at = position(idx, wrap);
	return at | (uint32_t)at << 16;
}

/* A list that goes on and on */
void drv_packed_spoil(struct drv_ring *ring)
{
	struct drv_packed *p = &ring->packed;
	unsigned int i;

	for (i = 0; i < ring->num; i++)
		p->desc[i].flags = VRING_DESC_F_NEXT | (p->avail_wrap ? AVAIL : USED);
}
