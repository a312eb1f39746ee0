// SPDX-License-Identifier: BSD-3-Clause
#include "ring.h"

#include <endian.h>
#include <errno.h>
#include <unistd.h>

#include "common/util.h"

static void *at(const struct memory *m, uint64_t base, uint64_t addr, uint64_t len)
{
	if (!m->map || addr < base || addr - base > m->size || len > m->size - (addr - base))
		return NULL;
	return m->map + m->offset + (addr - base);
}

void *memory_guest(const struct memory *m, uint64_t addr, uint64_t len)
{
	return at(m, m->guest, addr, len);
}

void *memory_user(const struct memory *m, uint64_t addr, uint64_t len)
{
	return at(m, m->user, addr, len);
}

int ring_map(struct ring *r, const struct memory *m)
{
	r->desc = memory_user(m, r->desc_user, sizeof(*r->desc) * (uint64_t)r->num);
	r->avail = memory_user(m, r->avail_user, 6 + 2 * (uint64_t)r->num);
	r->used = memory_user(m, r->used_user, 6 + 8 * (uint64_t)r->num);
	if (!r->num || !r->desc || !r->avail || !r->used)
		return -EFAULT;
	r->used_idx = le16toh(r->used->idx);
	r->signalled = r->used_idx;
	return 0;
}

bool ring_pending(const struct ring *r)
{
	return le16toh(__atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE)) != r->last_avail;
}

static int add_buffer(struct chain *chain, const struct memory *m, const struct vring_desc *d)
{
	unsigned int n = chain->out + chain->in;
	bool in = le16toh(d->flags) & VRING_DESC_F_WRITE;
	void *p = memory_guest(m, le64toh(d->addr), le32toh(d->len));

	if (!p || n == CHAIN_MAX || (chain->in && !in))
		return -EPROTO;
	chain->iov[n] = (struct iovec){ p, le32toh(d->len) };
	if (in)
		chain->in++;
	else
		chain->out++;
	return 0;
}

static int walk(struct chain *chain, const struct memory *m, const struct vring_desc *table,
		unsigned int num, unsigned int i)
{
	unsigned int steps;

	for (steps = 0; steps < num; steps++) {
		const struct vring_desc *d = &table[i];
		uint16_t flags = le16toh(d->flags);
		int ret;

		if (flags & VRING_DESC_F_INDIRECT) {
			unsigned int len = le32toh(d->len);
			void *indirect = memory_guest(m, le64toh(d->addr), len);

			if (!indirect || len % sizeof(*d) || !len)
				return -EPROTO;
			return walk(chain, m, indirect, len / sizeof(*d), 0);
		}
		ret = add_buffer(chain, m, d);
		if (ret)
			return ret;
		if (!(flags & VRING_DESC_F_NEXT))
			return 0;
		i = le16toh(d->next);
		if (i >= num)
			return -EPROTO;
	}
	return -EPROTO;
}

int ring_pop(struct ring *r, const struct memory *m, struct chain *chain)
{
	if (!ring_pending(r))
		return 0;
	chain->head = le16toh(r->avail->ring[r->last_avail & (r->num - 1)]);
	chain->out = 0;
	chain->in = 0;
	r->last_avail++;
	if (chain->head >= r->num || walk(chain, m, r->desc, r->num, chain->head))
		return -EPROTO;
	return 1;
}

void ring_show(struct ring *r)
{
	__atomic_store_n(&r->used->idx, htole16(r->used_idx), __ATOMIC_RELEASE);
}

void ring_push(struct ring *r, uint32_t id, uint32_t len)
{
	struct vring_used_elem *e = &r->used->ring[r->used_idx & (r->num - 1)];

	e->id = htole32(id);
	e->len = htole32(len);
	r->used_idx++;
	ring_show(r);
}

void ring_call(struct ring *r)
{
	const uint64_t one = 1;

	r->calls++;
	if (r->call_fd >= 0 && write(r->call_fd, &one, sizeof(one)) < 0)
		r->calls--;
}

void ring_notify(struct ring *r)
{
	bool wanted;

	if (r->signalled == r->used_idx)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->event_idx)
		wanted = vring_need_event(le16toh(READ_ONCE(r->avail->ring[r->num])), r->used_idx,
					  r->signalled);
	else
		wanted = !(le16toh(READ_ONCE(r->avail->flags)) & VRING_AVAIL_F_NO_INTERRUPT);
	r->signalled = r->used_idx;
	if (wanted)
		ring_call(r);
	else
		r->calls_suppressed++;
}

void ring_want_kicks(struct ring *r, bool want)
{
	/* the event index stands behind the used ring; half a ring back is never reached */
	uint16_t event = want ? r->last_avail : (uint16_t)(r->last_avail + 0x8000);

	if (r->event_idx)
		*(volatile uint16_t *)&r->used->ring[r->num] = htole16(event);
	else
		WRITE_ONCE(r->used->flags, htole16(want ? 0 : VRING_USED_F_NO_NOTIFY));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_join(struct ring *r)
{
	unsigned int i;

	for (i = 0; i < r->num; i++)
		r->desc[i].flags |= VRING_DESC_F_NEXT;
}
