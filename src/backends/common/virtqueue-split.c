// SPDX-License-Identifier: BSD-3-Clause
/* Split rings (virtio 1.x, 2.7). The way through descriptors is in chain.c. */
#include "backends/common/virtqueue-layout.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The event indices lie behind the rings (2.7.10): the driver's behind avail, the device's behind
 * used.
 */
static uint16_t load_used_event(const struct virtqueue *vq)
{
	return le16toh(READ_ONCE(vq->split.avail->ring[vq->num]));
}

static void store_avail_event(struct virtqueue *vq, uint16_t value)
{
	__virtio16 *event = (__virtio16 *)(void *)&vq->split.used->ring[vq->num];

	WRITE_ONCE(*event, htole16(value));
}

/* ---- start and stop ---- */

static int map_rings(struct virtqueue *vq, const struct vq_setup *setup)
{
	size_t num = setup->num;
	/* with the event index that ends each ring */
	size_t avail_len = sizeof(struct vring_avail) + (num + 1) * sizeof(__virtio16);
	size_t used_len = sizeof(struct vring_used) + num * sizeof(struct vring_used_elem) +
			  sizeof(__virtio16);

	if (!IS_ALIGNED(setup->desc_uva, VRING_DESC_ALIGN_SIZE) ||
	    !IS_ALIGNED(setup->avail_uva, VRING_AVAIL_ALIGN_SIZE) ||
	    !IS_ALIGNED(setup->used_uva, VRING_USED_ALIGN_SIZE))
		return -EINVAL;
	if (!vq->event_idx) {
		avail_len -= sizeof(__virtio16);
		used_len -= sizeof(__virtio16);
	}
	vq->split.desc = mem_uva(setup->mem, setup->desc_uva, num * sizeof(struct vring_desc));
	vq->split.avail = mem_uva(setup->mem, setup->avail_uva, avail_len);
	vq->split.used = mem_uva(setup->mem, setup->used_uva, used_len);
	if (!vq->split.desc || !vq->split.avail || !vq->split.used)
		return -EINVAL;
	/* regions begin where the front-end likes: what is aligned there need not be so here */
	if (!IS_ALIGNED((uintptr_t)vq->split.desc, 8) ||
	    !IS_ALIGNED((uintptr_t)vq->split.avail, 2) ||
	    !IS_ALIGNED((uintptr_t)vq->split.used, 4))
		return -EINVAL;
	return 0;
}

/*
 * Where the work goes on. With a record of requests in flight, each request taken is either marked
 * there or in the used ring: so the two give the position, and the front-end, which may have had
 * to guess after a crash, need not be asked.
 */
static int resume(struct virtqueue *vq, const struct vq_setup *setup)
{
	unsigned int i;
	int n;

	vq->used_idx = load_acquire16(&vq->split.used->idx);
	vq->split.last_avail = setup->base;
	n = inflight_start(&vq->split.inflight, setup->inflight, vq->index, vq->num, vq->used_idx,
			   vq->replay);
	if (n < 0)
		return n;
	if (vq->split.inflight.region)
		vq->split.last_avail = (uint16_t)(vq->used_idx + n);
	vq->split.avail_seen = vq->split.last_avail;
	vq->replay_count = (unsigned int)n;
	for (i = 0; i < vq->replay_count; i++)
		vq->split.busy[vq->replay[i]] = 1;
	return 0;
}

int vq_split_start(struct virtqueue *vq, const struct vq_setup *setup)
{
	int ret;

	if ((vq->num & (vq->num - 1)) || setup->base > UINT16_MAX)
		return -EINVAL;
	ret = map_rings(vq, setup);
	if (ret)
		return ret;
	vq->split.busy = calloc(vq->num, sizeof(*vq->split.busy));
	if (!vq->split.busy)
		return -ENOMEM;
	ret = resume(vq, setup);
	if (ret)
		vq_split_finish(vq);
	return ret;
}

void vq_split_finish(struct virtqueue *vq)
{
	free(vq->split.busy);
	vq->split.busy = NULL;
}

/* ---- taking ---- */

static int look(struct virtqueue *vq)
{
	vq->split.avail_seen = load_acquire16(&vq->split.avail->idx);
	if ((uint16_t)(vq->split.avail_seen - vq->split.last_avail) > vq->num)
		return vq_break(vq, "the index of the available ring is more than a ring ahead");
	return 0;
}

bool vq_split_has_work(struct virtqueue *vq)
{
	if (vq->broken)
		return false;
	return vq_replay_pending(vq) ||
	       load_acquire16(&vq->split.avail->idx) != vq->split.last_avail;
}

int vq_split_pop(struct virtqueue *vq, uint16_t *id)
{
	uint16_t head;

	if (unlikely(vq->broken))
		return -EPROTO;
	if (unlikely(vq->replay_next < vq->replay_count)) {
		*id = vq_take_replayed(vq);
		return 1;
	}
	if (vq->split.avail_seen == vq->split.last_avail) {
		if (look(vq))
			return -EPROTO;
		if (vq->split.avail_seen == vq->split.last_avail)
			return 0;
	}
	head = le16toh(READ_ONCE(vq->split.avail->ring[vq->split.last_avail & (vq->num - 1)]));
	if (unlikely(head >= vq->num))
		return vq_break(vq, "a head in the available ring is out of range");
	if (unlikely(vq->split.busy[head]))
		return vq_break(vq, "a head was made available again before it was used");
	vq->split.busy[head] = 1;
	vq->last_id = head;
	vq->last_replayed = false;
	inflight_take(&vq->split.inflight, head);
	vq->split.last_avail++;
	vq->taken++;
	vq->stats.requests++;
	*id = head;
	return 1;
}

void vq_split_untake(struct virtqueue *vq, uint16_t id)
{
	vq->taken--;
	if (vq->last_replayed) { /* it was in flight before, and still is */
		vq->replay_next--;
		return;
	}
	vq->split.busy[id] = 0;
	inflight_untake(&vq->split.inflight, id);
	vq->split.last_avail--;
	vq->stats.requests--;
}

/* ---- answering ---- */

void vq_split_push(struct virtqueue *vq, uint16_t id, uint32_t written)
{
	uint16_t slot = (uint16_t)(vq->used_idx + vq->npushed) & (vq->num - 1);
	struct vring_used_elem *elem = &vq->split.used->ring[slot];

	/*
	 * An id stays busy until the driver was shown its answer, so there are never more of them
	 * than the ring and @batch have entries.
	 */
	WRITE_ONCE(elem->id, htole32(id));
	WRITE_ONCE(elem->len, htole32(written));
	inflight_answer(&vq->split.inflight, id);
	vq->batch[vq->npushed++] = id;
	vq->taken--;
}

/* Does the driver want to hear of the answers from @old to @new? (2.7.7.2, 2.7.10) */
static bool wants_call(struct virtqueue *vq, uint16_t old, uint16_t new)
{
	/*
	 * The used index must be seen before the driver's wish is read: it does it the other way
	 * round.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(le16toh(READ_ONCE(vq->split.avail->flags)) & VRING_AVAIL_F_NO_INTERRUPT);
	if (!vq->signalled_valid) {
		vq->signalled_valid = true;
		return true;
	}
	return vring_need_event(load_used_event(vq), new, old);
}

void vq_split_flush(struct virtqueue *vq)
{
	uint16_t old = vq->used_idx;
	unsigned int i;

	if (!vq->npushed)
		return;
	for (i = 0; i < vq->npushed; i++)
		vq->split.busy[vq->batch[i]] = 0;
	vq->used_idx = (uint16_t)(vq->used_idx + vq->npushed);
	store_release16(&vq->split.used->idx, vq->used_idx);
	inflight_published(&vq->split.inflight, vq->batch, vq->npushed, vq->used_idx);
	vq->npushed = 0;
	if (wants_call(vq, old, vq->used_idx))
		vq_call(vq);
	else
		vq->stats.calls_suppressed++;
}

/* ---- kicks ---- */

void vq_split_suppress(struct virtqueue *vq)
{
	/* With event indices silence is the default: the driver kicks at one index only. */
	if (!vq->event_idx)
		WRITE_ONCE(vq->split.used->flags, htole16(VRING_USED_F_NO_NOTIFY));
}

bool vq_split_arm(struct virtqueue *vq)
{
	if (vq->event_idx)
		store_avail_event(vq, vq->split.last_avail);
	else
		WRITE_ONCE(vq->split.used->flags, 0);
	/*
	 * The wish must be seen before the index is read again: the driver does it the other way
	 * round.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vq_split_has_work(vq);
}
