/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of a virtqueue. The interface does not show the layout of the ring; behind it
 * are split rings (virtio 1.x, 2.7) with indirect descriptors and event indices.
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
 * then gives out nothing more until the front-end starts it again.
 */
#ifndef VU_VIRTQUEUE_H
#define VU_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <linux/virtio_ring.h>

#include "backends/common/inflight.h"
#include "backends/common/memory.h"

#define VQ_MAX_SIZE 32768

struct vq_stats {
	uint64_t requests;
	uint64_t calls; /* eventfds written */
	uint64_t calls_suppressed;
};

/* Fields are the library's own, but for those marked so. */
struct virtqueue {
	unsigned int index; /* public */
	unsigned int num; /* public: size of the ring */
	bool broken; /* public */
	struct vq_stats stats; /* public */

	const struct mem_table *mem;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool event_idx;
	bool indirect;
	int call_fd;
	int err_fd;

	uint16_t last_avail; /* next entry of the available ring to take */
	uint16_t avail_seen; /* its index when last looked at */
	uint16_t used_idx; /* used index that the driver has been shown */
	uint16_t npushed; /* answers behind it, not shown yet */
	bool signalled_valid;

	uint8_t *busy; /* [num] taken, and the answer not shown yet */
	uint16_t *batch; /* [num] heads of the answers not shown yet */
	uint16_t *replay; /* [num] heads to take before those in the ring */
	unsigned int replay_next;
	unsigned int replay_count;
	bool last_replayed; /* what vq_pop() said last is one of them */
	unsigned int taken; /* number of requests taken and not answered */
	struct inflight_queue inflight;
};

/* What a queue is started with: from the front-end, addresses already looked up. */
struct vq_setup {
	unsigned int index;
	unsigned int num;
	uint64_t features; /* acknowledged */
	const struct mem_table *mem;
	uint64_t desc_uva;
	uint64_t avail_uva;
	uint64_t used_uva;
	uint16_t base; /* from SET_VRING_BASE; the in-flight record knows better */
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
 * Return: the base for the next start: next entry of the available ring.
 */
uint16_t vq_stop(struct virtqueue *vq);

/**
 * vq_pop() - take the next request
 * @vq:		the queue
 * @id:		its id
 *
 * Requests that an earlier instance left unanswered come first, in their order.
 *
 * Return: 1, 0 when there is none, -EPROTO when the queue is or becomes broken.
 */
int vq_pop(struct virtqueue *vq, uint16_t *id);

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
void vq_untake(struct virtqueue *vq, uint16_t id);

/**
 * vq_chain() - look up the buffers of a request
 * @vq:		the queue
 * @id:		what vq_pop() said last
 * @bufs:	@iov and @max set by the caller, the rest filled in
 *
 * Empty descriptors are passed over. A buffer that crosses the border of memory regions takes an
 * iovec for each part.
 *
 * Return: 0, or -EPROTO: the queue is broken.
 */
int vq_chain(struct virtqueue *vq, uint16_t id, struct vq_buffers *bufs);

/**
 * vq_push() - answer a request
 * @vq:		the queue
 * @id:		the request
 * @written:	bytes written into its buffers
 */
void vq_push(struct virtqueue *vq, uint16_t id, uint32_t written);

/* vq_flush() - show the answers to the driver; call it if it asked for that */
void vq_flush(struct virtqueue *vq);

/* vq_suppress() - the driver need not kick for now */
void vq_suppress(struct virtqueue *vq);

/**
 * vq_arm() - ask the driver to kick
 *
 * Return: true if requests came in meanwhile, for which there may be no kick.
 */
bool vq_arm(struct virtqueue *vq);

/* vq_has_work() - there is something to take; cheap enough to poll */
bool vq_has_work(struct virtqueue *vq);

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

#endif
