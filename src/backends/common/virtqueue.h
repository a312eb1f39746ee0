/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a virtqueue. The interface does not show the layout of the ring; behind it
 * are split and packed rings (virtio 1.x, 2.7 and 2.8) with indirect descriptors and event indices.
 *
 * The way of a request:
 *
 *	vq_pop()	take the next one: its id, below vq->num, is its own until it is answered,
 *			so the id can index a table of requests
 *	vq_chain()	its buffers, as iovecs of this process, checked
 *	vq_push()	answer it; in any order
 *	vq_flush()	show the answers since the last flush to the driver, and call it if it wants
 *
 * and before sleeping:
 *
 *	do {
 *		vq_suppress(vq);
 *		while (vq_pop(vq, &id) > 0) ...
 *	} while (vq_arm(vq));		true: more came in meanwhile
 *
 * One thread works on a virtqueue at a time.
 *
 * All that the driver wrote is hostile: what breaks the rules breaks the queue (vq_break()), which
 * then gives out nothing more until the front-end starts it again. The request that did so counts
 * as not taken: what it needs may be there by then, memory that comes with another message.
 */
#ifndef VU_VIRTQUEUE_H
#define VU_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "backends/common/inflight-packed.h"
#include "backends/common/inflight.h"
#include "backends/common/memory.h"

#define VQ_MAX_SIZE 32768

struct vq_stats {
	uint64_t requests;
	uint64_t calls; /* eventfds written */
	uint64_t calls_suppressed;
};

struct vq_split {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail; /* next entry of the available ring to take */
	uint16_t avail_seen; /* its index when last looked at */
	uint8_t *busy; /* [num] taken, and the answer not shown yet */
	struct inflight_queue inflight;
};

struct vq_packed {
	struct vring_packed_desc *desc;
	const struct vring_packed_desc_event *driver;
	struct vring_packed_desc_event *device;
	uint16_t avail_idx; /* next descriptor to take */
	bool avail_wrap;
	uint16_t used_idx; /* next descriptor to write an answer to */
	bool used_wrap;
	uint16_t free_head; /* of the entries that hold nothing; @num of the queue: none */
	unsigned int nfree;
	uint64_t counter; /* requests taken */
	struct packed_record_desc *entries; /* [num] copies of what was taken */
	struct inflight_packed inflight;
};

/* Fields are the library's own, but for those marked so. */
struct virtqueue {
	unsigned int index; /* public */
	unsigned int num; /* public: size of the ring */
	bool broken; /* public */
	uint16_t used_idx; /* public: answers that the driver has been shown, modulo 2^16 */
	struct vq_stats stats; /* public */

	bool is_packed;
	bool event_idx;
	bool indirect;
	bool signalled_valid;
	uint16_t last_id; /* what vq_pop() said last */
	bool last_replayed; /* ... is one of an earlier instance */
	const struct mem_table *mem;
	int call_fd; /* the control side may set this and the next one meanwhile, from -1 */
	int err_fd;

	uint16_t npushed; /* answers not shown yet */
	uint16_t *batch; /* [num] their ids */
	uint16_t *replay; /* [num] ids to take before those in the ring */
	unsigned int replay_next;
	unsigned int replay_count;
	unsigned int taken; /* number of requests taken and not answered */
	union {
		struct vq_split split;
		struct vq_packed packed;
	};
};

/* What a queue is started with: from the front-end, addresses already looked up. */
struct vq_setup {
	unsigned int index;
	unsigned int num;
	uint64_t features; /* acknowledged */
	const struct mem_table *mem;
	uint64_t desc_uva;
	uint64_t avail_uva; /* packed: of the driver's event suppression */
	uint64_t used_uva; /* packed: of the device's */
	uint32_t base; /* from SET_VRING_BASE; the in-flight record knows better */
	int call_fd; /* or -1; stays the caller's */
	int err_fd; /* or -1; stays the caller's */
	const struct inflight_area *inflight;
};

/* One request's buffers. @iov and @max are the caller's. */
struct vq_buffers {
	struct iovec *iov; /* first those that the device reads, then those that it writes */
	unsigned int max; /* room */
	unsigned int out_num; /* to read */
	unsigned int in_num; /* to write */
	uint64_t out_len;
	uint64_t in_len;
};

/**
 * vq_start() - begin to work on a ring
 * @vq:		filled in
 * @setup:	where it is and how it goes on
 *
 * Return: 0, -EINVAL (size, address, alignment, in-flight record), or -ENOMEM.
 */
int vq_start(struct virtqueue *vq, const struct vq_setup *setup);

/**
 * vq_stop() - leave the ring
 * @vq:		a queue that was started; all requests taken should have been answered
 *
 * Answers not shown yet are shown.
 *
 * Return: the base for the next start.
 */
uint32_t vq_stop(struct virtqueue *vq);

/* vq_base() - where the ring is, as GET_VRING_BASE says it */
static inline uint32_t vq_base(const struct virtqueue *vq)
{
	const struct vq_packed *p = &vq->packed;

	if (!vq->is_packed)
		return vq->split.last_avail;
	return packed_position(p->avail_idx, p->avail_wrap) |
	       (uint32_t)packed_position(p->used_idx, p->used_wrap) << PACKED_BASE_USED_SHIFT;
}

/*
 * vq_at_start() - the ring is where one begins that was never used. Others come by there as well,
 * every so many requests.
 */
static inline bool vq_at_start(const struct virtqueue *vq)
{
	return vq_base(vq) == (vq->is_packed ? PACKED_BASE_FRESH : 0);
}

/* The two layouts, behind the functions below */
int vq_split_pop(struct virtqueue *vq, uint16_t *id);
int vq_packed_pop(struct virtqueue *vq, uint16_t *id);
void vq_split_untake(struct virtqueue *vq, uint16_t id);
void vq_packed_untake(struct virtqueue *vq, uint16_t id);
int vq_split_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs);
int vq_packed_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs);
void vq_split_push(struct virtqueue *vq, uint16_t id, uint32_t written);
void vq_packed_push(struct virtqueue *vq, uint16_t id, uint32_t written);
void vq_split_flush(struct virtqueue *vq);
void vq_packed_flush(struct virtqueue *vq);
void vq_split_suppress(struct virtqueue *vq);
void vq_packed_suppress(struct virtqueue *vq);
bool vq_split_arm(struct virtqueue *vq);
bool vq_packed_arm(struct virtqueue *vq);
bool vq_split_has_work(struct virtqueue *vq);
bool vq_packed_has_work(struct virtqueue *vq);

/**
 * vq_pop() - take the next request
 * @vq:		the queue
 * @id:		its id
 *
 * Requests that an earlier instance left unanswered come first, in their order.
 *
 * Return: 1, 0 when there is none, -EPROTO when the queue is or becomes broken.
 */
static inline int vq_pop(struct virtqueue *vq, uint16_t *id)
{
	return unlikely(vq->is_packed) ? vq_packed_pop(vq, id) : vq_split_pop(vq, id);
}

/*
 * vq_replay_pending() - requests of an earlier instance still wait to be taken: not to be left
 * behind
 */
static inline bool vq_replay_pending(const struct virtqueue *vq)
{
	return vq->replay_next < vq->replay_count && !vq->broken;
}

/**
 * vq_untake() - give back the request that was taken last
 * @vq:		the queue
 * @id:		the request, not answered
 *
 * It will be the next that vq_pop() says. For a device that finds that it cannot serve it yet, and
 * so need not hold it across a stop.
 */
static inline void vq_untake(struct virtqueue *vq, uint16_t id)
{
	if (unlikely(vq->is_packed))
		vq_packed_untake(vq, id);
	else
		vq_split_untake(vq, id);
}

/*
 * vq_give_back() - the same for one that broke the queue; Return: -EPROTO
 *
 * One that was not the last stays taken: rings are taken in order.
 */
int vq_give_back(struct virtqueue *vq, uint16_t id);

/**
 * vq_chain() - look up the buffers of a request
 * @vq:		the queue
 * @id:		a request that was taken and not answered
 * @bufs:	@iov and @max set by the caller, the rest filled in
 *
 * Empty descriptors are passed over. A buffer that crosses the border of memory regions takes an
 * iovec for each part.
 *
 * Return: 0, or -EPROTO: the queue is broken, and the request given back.
 */
static inline int vq_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs)
{
	int ret = unlikely(vq->is_packed) ? vq_packed_chain(vq, id, bufs) :
					    vq_split_chain(vq, id, bufs);

	return likely(!ret) ? 0 : vq_give_back(vq, id);
}

/**
 * vq_push() - answer a request
 * @vq:		the queue
 * @id:		the request
 * @written:	bytes written into its buffers
 */
static inline void vq_push(struct virtqueue *vq, uint16_t id, uint32_t written)
{
	if (unlikely(vq->is_packed))
		vq_packed_push(vq, id, written);
	else
		vq_split_push(vq, id, written);
}

/* vq_flush() - show the answers to the driver; call it if it asked for that */
static inline void vq_flush(struct virtqueue *vq)
{
	if (unlikely(vq->is_packed))
		vq_packed_flush(vq);
	else
		vq_split_flush(vq);
}

/* vq_suppress() - the driver need not kick for now */
static inline void vq_suppress(struct virtqueue *vq)
{
	if (unlikely(vq->is_packed))
		vq_packed_suppress(vq);
	else
		vq_split_suppress(vq);
}

/**
 * vq_arm() - ask the driver to kick
 *
 * Return: true if requests came in meanwhile, for which there may be no kick.
 */
static inline bool vq_arm(struct virtqueue *vq)
{
	return unlikely(vq->is_packed) ? vq_packed_arm(vq) : vq_split_arm(vq);
}

/* vq_has_work() - there is something to take; cheap enough to poll */
static inline bool vq_has_work(struct virtqueue *vq)
{
	return unlikely(vq->is_packed) ? vq_packed_has_work(vq) : vq_split_has_work(vq);
}

/* vq_call() - raise the call in any case */
void vq_call(struct virtqueue *vq);

/**
 * vq_break() - give up on a queue whose driver broke the rules
 * @vq:		the queue
 * @why:	for the log
 *
 * Return: -EPROTO, for the caller to hand on.
 */
int vq_break(struct virtqueue *vq, const char *why);

/* vq_refuse() - the same for what is in a request, which is given back; Return: -EPROTO */
int vq_refuse(struct virtqueue *vq, uint16_t id, const char *why);

#endif
