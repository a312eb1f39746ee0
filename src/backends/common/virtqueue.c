// SPDX-License-Identifier: BSD-3-Clause
/* Split rings: taking, answering, notifications. The way through descriptors is in chain.c. */
#include "backends/common/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "common/log.h"

static uint16_t load_acquire16(const __virtio16 *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void store_release16(__virtio16 *p, uint16_t value)
{
	__atomic_store_n(p, htole16(value), __ATOMIC_RELEASE);
}

/*
 * The event indices lie behind the rings (2.7.10): the driver's behind avail, the device's behind
 * used.
 */
static uint16_t load_used_event(const struct virtqueue *vq)
{
	return le16toh(READ_ONCE(vq->avail->ring[vq->num]));
}

static void store_avail_event(struct virtqueue *vq, uint16_t value)
{
	__virtio16 *event = (__virtio16 *)(void *)&vq->used->ring[vq->num];

	WRITE_ONCE(*event, htole16(value));
}

int vq_break(struct virtqueue *vq, const char *why)
{
	uint64_t one = 1;

	if (!vq->broken) {
		log_ratelimited(LOG_LEVEL_WARNING, "queue %u: %s: the queue is stopped", vq->index,
				why);
		if (vq->err_fd >= 0 && write(vq->err_fd, &one, sizeof(one)) < 0)
			log_debug("queue %u: the error eventfd cannot be written", vq->index);
	}
	vq->broken = true;
	return -EPROTO;
}

/* ---- start and stop ---- */

static int vq_map_rings(struct virtqueue *vq, const struct vq_setup *setup)
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
	vq->desc = mem_uva(setup->mem, setup->desc_uva, num * sizeof(struct vring_desc));
	vq->avail = mem_uva(setup->mem, setup->avail_uva, avail_len);
	vq->used = mem_uva(setup->mem, setup->used_uva, used_len);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EINVAL;
	/* regions begin where the front-end likes: what is aligned there need not be so here */
	if (!IS_ALIGNED((uintptr_t)vq->desc, 8) || !IS_ALIGNED((uintptr_t)vq->avail, 2) ||
	    !IS_ALIGNED((uintptr_t)vq->used, 4))
		return -EINVAL;
	return 0;
}

static int vq_alloc(struct virtqueue *vq)
{
	vq->busy = calloc(vq->num, sizeof(*vq->busy));
	vq->batch = calloc(vq->num, sizeof(*vq->batch));
	vq->replay = calloc(vq->num, sizeof(*vq->replay));
	return vq->busy && vq->batch && vq->replay ? 0 : -ENOMEM;
}

static void vq_free(struct virtqueue *vq)
{
	free(vq->busy);
	free(vq->batch);
	free(vq->replay);
	vq->busy = NULL;
	vq->batch = NULL;
	vq->replay = NULL;
}

/*
 * Where the work goes on. With a record of requests in flight, each request taken is either marked
 * there or in the used ring: so the two give the position, and the front-end, which may have had
 * to guess after a crash, need not be asked.
 */
static int vq_resume(struct virtqueue *vq, const struct vq_setup *setup)
{
	unsigned int i;
	int n;

	vq->used_idx = load_acquire16(&vq->used->idx);
	vq->last_avail = setup->base;
	n = inflight_start(&vq->inflight, setup->inflight, vq->index, vq->num, vq->used_idx,
			   vq->replay);
	if (n < 0)
		return n;
	if (vq->inflight.region)
		vq->last_avail = (uint16_t)(vq->used_idx + n);
	vq->avail_seen = vq->last_avail;
	vq->replay_count = (unsigned int)n;
	for (i = 0; i < vq->replay_count; i++)
		vq->busy[vq->replay[i]] = 1;
	return 0;
}

int vq_start(struct virtqueue *vq, const struct vq_setup *setup)
{
	int ret;

	*vq = (struct virtqueue){
		.index = setup->index,
		.num = setup->num,
		.mem = setup->mem,
		.event_idx = setup->features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX),
		.indirect = setup->features & BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC),
		.call_fd = setup->call_fd,
		.err_fd = setup->err_fd,
	};
	if (!vq->num || vq->num > VQ_MAX_SIZE || (vq->num & (vq->num - 1)))
		return -EINVAL;
	ret = vq_map_rings(vq, setup);
	if (ret)
		return ret;
	ret = vq_alloc(vq);
	if (!ret)
		ret = vq_resume(vq, setup);
	if (ret)
		vq_free(vq);
	return ret;
}

uint16_t vq_stop(struct virtqueue *vq)
{
	vq_flush(vq);
	vq_free(vq);
	return vq->last_avail;
}

/* ---- taking ---- */

static int vq_look(struct virtqueue *vq)
{
	vq->avail_seen = load_acquire16(&vq->avail->idx);
	if ((uint16_t)(vq->avail_seen - vq->last_avail) > vq->num)
		return vq_break(vq, "the index of the available ring is more than a ring ahead");
	return 0;
}

bool vq_has_work(struct virtqueue *vq)
{
	if (vq->broken)
		return false;
	return vq_replay_pending(vq) || load_acquire16(&vq->avail->idx) != vq->last_avail;
}

int vq_pop(struct virtqueue *vq, uint16_t *id)
{
	uint16_t head;

	if (unlikely(vq->broken))
		return -EPROTO;
	if (unlikely(vq->replay_next < vq->replay_count)) {
		*id = vq->replay[vq->replay_next++];
		vq->last_replayed = true;
		vq->taken++;
		return 1;
	}
	if (vq->avail_seen == vq->last_avail) {
		if (vq_look(vq))
			return -EPROTO;
		if (vq->avail_seen == vq->last_avail)
			return 0;
	}
	head = le16toh(READ_ONCE(vq->avail->ring[vq->last_avail & (vq->num - 1)]));
	if (unlikely(head >= vq->num))
		return vq_break(vq, "a head in the available ring is out of range");
	if (unlikely(vq->busy[head]))
		return vq_break(vq, "a head was made available again before it was used");
	vq->busy[head] = 1;
	vq->last_replayed = false;
	inflight_take(&vq->inflight, head);
	vq->last_avail++;
	vq->taken++;
	vq->stats.requests++;
	*id = head;
	return 1;
}

void vq_untake(struct virtqueue *vq, uint16_t id)
{
	vq->taken--;
	if (vq->last_replayed) { /* it was in flight before, and still is */
		vq->replay_next--;
		return;
	}
	vq->busy[id] = 0;
	inflight_untake(&vq->inflight, id);
	vq->last_avail--;
	vq->stats.requests--;
}

/* ---- answering ---- */

void vq_push(struct virtqueue *vq, uint16_t id, uint32_t written)
{
	uint16_t slot = (uint16_t)(vq->used_idx + vq->npushed) & (vq->num - 1);
	struct vring_used_elem *elem = &vq->used->ring[slot];

	/*
	 * An id stays busy until the driver was shown its answer, so there are never more of them
	 * than the ring and @batch have entries.
	 */
	WRITE_ONCE(elem->id, htole32(id));
	WRITE_ONCE(elem->len, htole32(written));
	inflight_answer(&vq->inflight, id);
	vq->batch[vq->npushed++] = id;
	vq->taken--;
}

void vq_call(struct virtqueue *vq)
{
	uint64_t one = 1;

	if (vq->call_fd < 0)
		return;
	vq->stats.calls++;
	/* EAGAIN: the counter is full, so there is a call already */
	if (write(vq->call_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_ratelimited(LOG_LEVEL_WARNING,
				"queue %u: the call eventfd cannot be written: %m", vq->index);
}

/* Does the driver want to hear of the answers from @old to @new? (2.7.7.2, 2.7.10) */
static bool vq_wants_call(struct virtqueue *vq, uint16_t old, uint16_t new)
{
	/*
	 * The used index must be seen before the driver's wish is read: it does it the other way
	 * round.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(le16toh(READ_ONCE(vq->avail->flags)) & VRING_AVAIL_F_NO_INTERRUPT);
	if (!vq->signalled_valid) {
		vq->signalled_valid = true;
		return true;
	}
	return vring_need_event(load_used_event(vq), new, old);
}

void vq_flush(struct virtqueue *vq)
{
	uint16_t old = vq->used_idx;
	unsigned int i;

	if (!vq->npushed)
		return;
	for (i = 0; i < vq->npushed; i++)
		vq->busy[vq->batch[i]] = 0;
	vq->used_idx = (uint16_t)(vq->used_idx + vq->npushed);
	store_release16(&vq->used->idx, vq->used_idx);
	inflight_published(&vq->inflight, vq->batch, vq->npushed, vq->used_idx);
	vq->npushed = 0;
	if (vq_wants_call(vq, old, vq->used_idx))
		vq_call(vq);
	else
		vq->stats.calls_suppressed++;
}

/* ---- kicks ---- */

void vq_suppress(struct virtqueue *vq)
{
	/* With event indices silence is the default: the driver kicks at one index only. */
	if (!vq->event_idx)
		WRITE_ONCE(vq->used->flags, htole16(VRING_USED_F_NO_NOTIFY));
}

bool vq_arm(struct virtqueue *vq)
{
	if (vq->event_idx)
		store_avail_event(vq, vq->last_avail);
	else
		WRITE_ONCE(vq->used->flags, 0);
	/*
	 * The wish must be seen before the index is read again: the driver does it the other way
	 * round.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vq_has_work(vq);
}
