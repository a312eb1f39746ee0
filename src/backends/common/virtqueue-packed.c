// SPDX-License-Identifier: BSD-3-Clause
/*
 * Packed rings (virtio 1.x, 2.8). The way through descriptors is in chain.c.
 *
 * There is one ring for both directions: an answer is written over what the driver had made
 * available there. So the descriptors of a request are copied when it is taken. A request is known
 * by the first of the entries that its copy is in, and not by the buffer id, which is the driver's:
 * ids may be any 16-bit numbers.
 */
#include "backends/common/virtqueue-layout.h"

#include <errno.h>
#include <stdlib.h>

/* ---- start and stop ---- */

static int map_ring(struct virtqueue *vq, const struct vq_setup *setup)
{
	struct vq_packed *p = &vq->packed;

	if (!IS_ALIGNED(setup->desc_uva, 16) || !IS_ALIGNED(setup->avail_uva, 4) ||
	    !IS_ALIGNED(setup->used_uva, 4))
		return -EINVAL;
	p->desc = mem_uva(setup->mem, setup->desc_uva, vq->num * sizeof(*p->desc));
	p->driver = mem_uva(setup->mem, setup->avail_uva, sizeof(*p->driver));
	p->device = mem_uva(setup->mem, setup->used_uva, sizeof(*p->device));
	if (!p->desc || !p->driver || !p->device)
		return -EINVAL;
	/* regions begin where the front-end likes: what is aligned there need not be so here */
	if (!IS_ALIGNED((uintptr_t)p->desc, 8) || !IS_ALIGNED((uintptr_t)p->driver, 4) ||
	    !IS_ALIGNED((uintptr_t)p->device, 4))
		return -EINVAL;
	return 0;
}

/* A position as a number of its two laps: the first is that with the wrap counter set. */
static unsigned int place(uint16_t idx, bool wrap, unsigned int num)
{
	return idx + (wrap ? 0 : num);
}

/* How far it is from one position on to another */
static unsigned int distance(unsigned int from, unsigned int to, unsigned int num)
{
	return to >= from ? to - from : to + 2 * num - from;
}

/* What SET_VRING_BASE says */
static int read_base(uint32_t base, unsigned int num, struct packed_record_state *state)
{
	uint16_t avail = (uint16_t)base;
	uint16_t used = (uint16_t)(base >> PACKED_BASE_USED_SHIFT);

	*state = (struct packed_record_state){
		.avail_idx = avail & ~PACKED_BASE_WRAP,
		.avail_wrap = avail & PACKED_BASE_WRAP,
		.used_idx = used & ~PACKED_BASE_WRAP,
		.used_wrap = used & PACKED_BASE_WRAP,
	};
	if (state->avail_idx >= num || state->used_idx >= num ||
	    distance(place(state->used_idx, state->used_wrap, num),
		     place(state->avail_idx, state->avail_wrap, num), num) > num)
		return -EINVAL;
	return 0;
}

/*
 * Where the work goes on. A record of requests in flight knows it; the front-end, which may have
 * had to guess after a crash, need not be asked. There is nothing in the ring to check it by.
 */
static int resume(struct virtqueue *vq, const struct vq_setup *setup)
{
	struct vq_packed *p = &vq->packed;
	struct packed_record_state state;
	unsigned int i;
	int n;

	n = read_base(setup->base, vq->num, &state);
	if (n)
		return n;
	for (i = 0; i < vq->num; i++)
		p->entries[i].next = (uint16_t)(i + 1);
	n = inflight_packed_start(&p->inflight, setup->inflight, vq->index, vq->num, p->desc,
				  &state, p->entries, vq->replay);
	if (n < 0)
		return n;
	p->avail_idx = state.avail_idx;
	p->avail_wrap = state.avail_wrap;
	p->used_idx = state.used_idx;
	p->used_wrap = state.used_wrap;
	p->free_head = state.free_head;
	p->nfree = vq->num;
	vq->replay_count = (unsigned int)n;
	for (i = 0; i < vq->replay_count; i++) {
		const struct packed_record_desc *head = &p->entries[vq->replay[i]];

		p->nfree -= head->num;
		if (head->counter >= p->counter)
			p->counter = head->counter + 1;
	}
	return 0;
}

int vq_packed_start(struct virtqueue *vq, const struct vq_setup *setup)
{
	int ret;

	ret = map_ring(vq, setup);
	if (ret)
		return ret;
	vq->packed.entries = calloc(vq->num, sizeof(*vq->packed.entries));
	if (!vq->packed.entries)
		return -ENOMEM;
	ret = resume(vq, setup);
	if (ret)
		vq_packed_finish(vq);
	return ret;
}

void vq_packed_finish(struct virtqueue *vq)
{
	free(vq->packed.entries);
	vq->packed.entries = NULL;
}

/* ---- taking ---- */

bool vq_packed_has_work(struct virtqueue *vq)
{
	struct vq_packed *p = &vq->packed;

	if (vq->broken)
		return false;
	return vq_replay_pending(vq) ||
	       packed_is_available(load_acquire16(&p->desc[p->avail_idx].flags), p->avail_wrap);
}

/*
 * Copies a chain out of the ring, into entries of the free list. The driver may write while we
 * read: each field is taken once. Only the first descriptor's flags say that they are available;
 * the others were written before them (2.8.21).
 *
 * Return: its length, -EPROTO when the queue is broken.
 */
static int copy_chain(struct virtqueue *vq, uint16_t head, uint16_t flags)
{
	struct vq_packed *p = &vq->packed;
	uint16_t idx = p->avail_idx, i = head;
	unsigned int n = 0;

	for (;;) {
		const struct vring_packed_desc *d = &p->desc[idx];
		struct packed_record_desc *entry;

		/* Those that were not given back are not the driver's to use again. */
		if (unlikely(n == p->nfree))
			return vq_break(vq, "more descriptors are available than the ring has");
		entry = &p->entries[i];
		entry->inflight = 0;
		entry->addr = le64toh(READ_ONCE(d->addr));
		entry->len = le32toh(READ_ONCE(d->len));
		entry->id = le16toh(READ_ONCE(d->id));
		entry->flags = flags;
		n++;
		if (!(flags & VRING_DESC_F_NEXT))
			break;
		i = entry->next;
		if (++idx == vq->num)
			idx = 0;
		flags = le16toh(READ_ONCE(p->desc[idx].flags));
	}
	p->entries[head].last = i;
	p->entries[head].num = (uint16_t)n;
	return (int)n;
}

int vq_packed_pop(struct virtqueue *vq, uint16_t *id)
{
	struct vq_packed *p = &vq->packed;
	uint16_t head = p->free_head;
	uint16_t flags;
	int n;

	if (unlikely(vq->broken))
		return -EPROTO;
	if (unlikely(vq->replay_next < vq->replay_count)) {
		*id = vq_take_replayed(vq);
		return 1;
	}
	flags = load_acquire16(&p->desc[p->avail_idx].flags);
	if (!packed_is_available(flags, p->avail_wrap))
		return 0;
	n = copy_chain(vq, head, flags);
	if (unlikely(n < 0))
		return n;
	p->entries[head].counter = p->counter++;
	p->entries[head].inflight = 1;
	p->free_head = p->entries[p->entries[head].last].next;
	p->nfree -= (unsigned int)n;
	inflight_packed_take(&p->inflight, p->entries, head, p->free_head);
	packed_advance(&p->avail_idx, &p->avail_wrap, (unsigned int)n, vq->num);
	vq->last_id = head;
	vq->last_replayed = false;
	vq->taken++;
	vq->stats.requests++;
	*id = head;
	return 1;
}

/* Puts a chain's entries at the head of the free list. */
static void free_chain(struct vq_packed *p, uint16_t head)
{
	p->entries[head].inflight = 0;
	p->entries[p->entries[head].last].next = p->free_head;
	p->free_head = head;
	p->nfree += p->entries[head].num;
}

void vq_packed_untake(struct virtqueue *vq, uint16_t id)
{
	struct vq_packed *p = &vq->packed;
	uint16_t num = p->entries[id].num;

	vq->taken--;
	if (vq->last_replayed) { /* it was in flight before, and still is */
		vq->replay_next--;
		return;
	}
	free_chain(p, id);
	inflight_packed_untake(&p->inflight, p->entries, id);
	/* a whole lap less that back */
	packed_advance(&p->avail_idx, &p->avail_wrap, vq->num - num, vq->num);
	p->avail_wrap = !p->avail_wrap;
	vq->stats.requests--;
}

/* ---- answering ---- */

void vq_packed_push(struct virtqueue *vq, uint16_t id, uint32_t written)
{
	/* Its buffers are not looked up any more. */
	vq->packed.entries[id].len = written;
	vq->batch[vq->npushed++] = id;
	vq->taken--;
}

/*
 * Shows one answer. The ones behind it are not written before: see inflight-packed.h. What it takes
 * of the ring is as much as the request took; only the first descriptor of that is written
 * (2.8.16).
 */
static void publish(struct virtqueue *vq, uint16_t id)
{
	struct vq_packed *p = &vq->packed;
	struct packed_record_desc *head = &p->entries[id];
	struct vring_packed_desc *d = &p->desc[p->used_idx];
	uint16_t flags = p->used_wrap ? PACKED_AVAIL | PACKED_USED : 0;
	uint16_t free_head = p->free_head;

	if (head->len)
		flags |= VRING_DESC_F_WRITE;
	/* The buffer id is in the last descriptor of a list. */
	WRITE_ONCE(d->id, htole16(p->entries[head->last].id));
	WRITE_ONCE(d->len, htole32(head->len));
	packed_advance(&p->used_idx, &p->used_wrap, head->num, vq->num);
	free_chain(p, id);
	inflight_packed_answer(&p->inflight, p->entries, id, free_head, p->used_idx, p->used_wrap);
	store_release16(&d->flags, flags);
	inflight_packed_answered(&p->inflight, id, p->used_idx, p->used_wrap);
}

/* Does the driver want to hear of the answers from @old to where we are? (2.8.10, 2.8.14) */
static bool wants_call(struct virtqueue *vq, unsigned int old)
{
	struct vq_packed *p = &vq->packed;
	union {
		struct vring_packed_desc_event event;
		uint32_t word;
	} wish;
	uint16_t flags, at;

	/*
	 * The answers must be seen before the driver's wish is read: it does it the other way
	 * round. The wish is one word, as the driver may be writing it.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wish.word = READ_ONCE(*(const uint32_t *)(const void *)p->driver);
	flags = le16toh(wish.event.flags) & 3;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !vq->event_idx)
		return true;
	if (!vq->signalled_valid) {
		vq->signalled_valid = true;
		return true;
	}
	at = le16toh(wish.event.off_wrap);
	if ((at & ~PACKED_BASE_WRAP) >= vq->num)
		return true; /* nonsense; a call does no harm */
	return distance(old, place(at & ~PACKED_BASE_WRAP, at & PACKED_BASE_WRAP, vq->num),
			vq->num) <
	       distance(old, place(p->used_idx, p->used_wrap, vq->num), vq->num);
}

void vq_packed_flush(struct virtqueue *vq)
{
	struct vq_packed *p = &vq->packed;
	unsigned int old = place(p->used_idx, p->used_wrap, vq->num);
	unsigned int i;

	if (!vq->npushed)
		return;
	for (i = 0; i < vq->npushed; i++)
		publish(vq, vq->batch[i]);
	vq->used_idx = (uint16_t)(vq->used_idx + vq->npushed);
	vq->npushed = 0;
	if (wants_call(vq, old))
		vq_call(vq);
	else
		vq->stats.calls_suppressed++;
}

/* ---- kicks ---- */

/* One word, as the driver may be reading it */
static void store_device_event(struct virtqueue *vq, uint16_t off_wrap, uint16_t flags)
{
	union {
		struct vring_packed_desc_event event;
		uint32_t word;
	} wish = { .event = { .off_wrap = htole16(off_wrap), .flags = htole16(flags) } };

	WRITE_ONCE(*(uint32_t *)(void *)vq->packed.device, wish.word);
}

void vq_packed_suppress(struct virtqueue *vq)
{
	/* With event offsets silence is the default: the driver kicks at one position only. */
	if (!vq->event_idx)
		store_device_event(vq, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
}

bool vq_packed_arm(struct virtqueue *vq)
{
	const struct vq_packed *p = &vq->packed;

	if (vq->event_idx)
		store_device_event(vq, packed_position(p->avail_idx, p->avail_wrap),
				   VRING_PACKED_EVENT_FLAG_DESC);
	else
		store_device_event(vq, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
	/*
	 * The wish must be seen before the ring is read again: the driver does it the other way
	 * round.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vq_packed_has_work(vq);
}
