// SPDX-License-Identifier: BSD-3-Clause
/*
 * One thread and one io_uring for each virtqueue. The thread sleeps in one place,
 * io_uring_enter(), which also submits: kicks (a multishot poll on the kick eventfd, which is
 * never read) and completions both wake it. Requests taken together are submitted together, and
 * answered with one call.
 *
 * An image in memory, or none, is worked on in the thread itself: nothing there sleeps.
 */
#include <errno.h>
#include <limits.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/blk/discarder.h"
#include "backends/blk/pace.h"
#include "backends/blk/request.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"

/* Completions that are no request's */
#define TAG_KICK UINT64_MAX
#define TAG_STOP (UINT64_MAX - 1)
#define TAG_DISCARDED (UINT64_MAX - 2)
/* Entries beyond one for each request */
#define SPARE_ENTRIES 4
#define INLINE_FLUSH_BYTES (256U * 1024)

struct blk_queue {
	struct vu_queue *queue;
	struct virtqueue *vq;
	struct blk_device *blk;
	struct blk_requests requests;
	struct io_uring ring;
	struct discarder discarder;
	pthread_t thread;
	int stop_fd;
	bool stop; /* set from outside too: use stopping() */
	bool kick_armed;
	bool inline_io;
	uint64_t unflushed; /* bytes moved inline since the last flush */
	unsigned int inflight; /* steps that the kernel or the discarder has */
	uint64_t poll_ns;
	struct pace pace;
	bool may_pace; /* nobody has chosen a scheduling policy for us */
	uint16_t paced_idx; /* used index at the last waking */
};

/*
 * Looked at between requests: as long as an image in memory is being worked on, the thread does not
 * come to its completions.
 */
static bool stopping(const struct blk_queue *q)
{
	return __atomic_load_n(&q->stop, __ATOMIC_RELAXED);
}

static void set_stopping(struct blk_queue *q)
{
	__atomic_store_n(&q->stop, true, __ATOMIC_RELAXED);
}

/* ---- io_uring ---- */

static int ring_init(struct blk_queue *q)
{
	/* from the best to what any kernel since 5.10 has */
	static const unsigned int flags[] = {
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_R_DISABLED,
	};
	unsigned int entries = q->vq->num + SPARE_ENTRIES;
	size_t i;
	int ret = -EINVAL;

	for (i = 0; i < ARRAY_SIZE(flags) && ret == -EINVAL; i++) {
		struct io_uring_params params = { .flags = flags[i] };

		ret = io_uring_queue_init_params(entries, &q->ring, &params);
	}
	if (ret == -EPERM || ret == -ENOSYS)
		log_error("io_uring cannot be used here: %s (see kernel.io_uring_disabled in "
			  "sysctl, CONFIG_IO_URING, and the service's system call filter)",
			  strerror(-ret));
	else if (ret)
		log_error("io_uring cannot be set up: %s", strerror(-ret));
	if (ret)
		return ret;
	if (!q->inline_io) {
		ret = io_uring_register_files(&q->ring, &q->blk->image.fd, 1);
		if (ret) {
			log_error("io_uring does not take the image: %s", strerror(-ret));
			io_uring_queue_exit(&q->ring);
		}
	}
	return ret;
}

/*
 * There is always room: a request has one step at a time, and the ring has an entry for each
 * request.
 */
static struct io_uring_sqe *get_sqe(struct blk_queue *q)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

	if (unlikely(!sqe)) {
		io_uring_submit(&q->ring);
		sqe = io_uring_get_sqe(&q->ring);
	}
	return sqe;
}

/*
 * From here on the ring is this thread's. liburing 2.3 declares io_uring_enable_rings() and does
 * not export it.
 */
static void enable_ring(struct blk_queue *q)
{
	if (syscall(__NR_io_uring_register, q->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
		    0) < 0)
		log_error("queue %u: io_uring: %m", q->queue->index);
}

static void watch_kick(struct blk_queue *q)
{
	struct io_uring_sqe *sqe = get_sqe(q);

	io_uring_prep_poll_multishot(sqe, q->queue->kick_fd, POLLIN);
	io_uring_sqe_set_data64(sqe, TAG_KICK);
	q->kick_armed = true;
}

static void watch_once(struct blk_queue *q, int fd, uint64_t tag)
{
	struct io_uring_sqe *sqe = get_sqe(q);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, tag);
}

static void submit_io(struct blk_queue *q, const struct blk_request *req)
{
	struct io_uring_sqe *sqe = get_sqe(q);
	const struct blk_io *io = &req->io;
	unsigned int niov = MIN(io->niov, (unsigned int)IOV_MAX);

	/* file 0 is the registered image */
	switch (io->op) {
	case BLK_OP_READ:
		io_uring_prep_readv(sqe, 0, io->iov, niov, io->offset);
		break;
	case BLK_OP_WRITE:
		io_uring_prep_writev2(sqe, 0, io->iov, niov, io->offset,
				      io->stable ? RWF_DSYNC : 0);
		break;
	case BLK_OP_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	case BLK_OP_FALLOCATE:
		io_uring_prep_fallocate(sqe, 0, io->mode, (off_t)io->offset, (off_t)io->len);
		break;
	case BLK_OP_DISCARD:
	case BLK_OP_NONE:
		io_uring_prep_nop(sqe);
		break;
	}
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, req->id);
}

static void start_io(struct blk_queue *q, struct blk_request *req)
{
	if (unlikely(req->io.op == BLK_OP_DISCARD))
		discarder_add(&q->discarder, req);
	else
		submit_io(q, req);
	q->inflight++;
}

/* ---- requests ---- */

static void do_io(struct blk_queue *q, struct blk_request *req)
{
	if (!q->inline_io) {
		start_io(q, req);
		return;
	}
	q->unflushed += req->io.len;
	while (blk_request_step(&q->requests, req, blk_io_now(&q->blk->image, &req->io)))
		;
	/*
	 * Small answers are shown together; after much copying the driver has something to do
	 * already.
	 */
	if (q->unflushed >= INLINE_FLUSH_BYTES) {
		vq_flush(q->vq);
		q->unflushed = 0;
	}
}

static void take_requests(struct blk_queue *q)
{
	struct blk_request *req;
	uint16_t id;

	/*
	 * What an earlier instance left is answered even on the way out: it must not be left
	 * behind.
	 */
	while ((!stopping(q) || vq_replay_pending(q->vq)) && vq_pop(q->vq, &id) > 0)
		if (blk_request_begin(&q->requests, id, &req) > 0)
			do_io(q, req);
}

static void io_done(struct blk_queue *q, struct blk_request *req, int64_t result)
{
	q->inflight--;
	if (blk_request_step(&q->requests, req, result))
		start_io(q, req);
}

static void take_discarded(struct blk_queue *q)
{
	struct blk_request *next, *req = discarder_take(&q->discarder);

	for (; req; req = next) {
		next = req->next;
		io_done(q, req, req->result);
	}
	watch_once(q, q->discarder.fd, TAG_DISCARDED);
}

static void handle_completion(struct blk_queue *q, const struct io_uring_cqe *cqe)
{
	uint64_t tag = io_uring_cqe_get_data64(cqe);

	if (tag == TAG_STOP) {
		set_stopping(q);
		return;
	}
	if (tag == TAG_KICK) {
		q->kick_armed = cqe->flags & IORING_CQE_F_MORE;
		if (cqe->res < 0 && cqe->res != -ECANCELED) /* arming it again would not end */
			vq_break(q->vq, "its kick descriptor cannot be polled");
		return;
	}
	if (tag == TAG_DISCARDED) {
		take_discarded(q);
		return;
	}
	io_done(q, &q->requests.table[tag], cqe->res);
}

static void reap(struct blk_queue *q)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&q->ring, head, cqe)
	{
		handle_completion(q, cqe);
		n++;
	}
	io_uring_cq_advance(&q->ring, n);
}

/*
 * Bounded: look for the next request for a while before sleeping, which spares the driver its
 * kick.
 */
static bool spin(const struct blk_queue *q)
{
	deadline_t deadline;

	if (!q->poll_ns || q->inflight || stopping(q))
		return false;
	deadline = now_ns() + q->poll_ns;
	do {
		unsigned int i;

		for (i = 0; i < 64; i++) {
			if (vq_has_work(q->vq))
				return true;
			__asm__ __volatile__("" ::: "memory");
		}
	} while (!deadline_passed(deadline));
	return false;
}

/* After each waking: see pace.h. */
static void pace(struct blk_queue *q)
{
	static const struct sched_param none;
	uint16_t answers = (uint16_t)(q->vq->used_idx - q->paced_idx);

	q->paced_idx = q->vq->used_idx;
	if (!pace_wake(&q->pace, answers) || !q->may_pace || !pace_choose(&q->pace, now_ns()))
		return;
	if (sched_setscheduler(0, q->pace.batch ? SCHED_BATCH : SCHED_OTHER, &none) < 0)
		q->may_pace = false;
}

static int wait_for_work(struct blk_queue *q)
{
	pace(q);
	return io_uring_submit_and_wait(&q->ring, 1);
}

static void *queue_thread(void *data)
{
	struct blk_queue *q = data;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "blk-queue%u", q->queue->index);
	pthread_setname_np(pthread_self(), name);
	enable_ring(q);
	q->may_pace = sched_getscheduler(0) == SCHED_OTHER;
	q->paced_idx = q->vq->used_idx;
	pace_init(&q->pace, now_ns());
	io_uring_register_ring_fd(&q->ring); /* saves a little; older kernels have no such thing */
	watch_once(q, q->stop_fd, TAG_STOP);
	watch_once(q, q->discarder.fd, TAG_DISCARDED);
	for (;;) {
		vq_suppress(q->vq);
		do {
			take_requests(q);
			vq_flush(q->vq);
		} while (spin(q));
		if (stopping(q) && !q->inflight && !vq_replay_pending(q->vq))
			break;
		if (!q->kick_armed && !stopping(q) && !q->vq->broken)
			watch_kick(q);
		/* Asleep only when nothing came in after the driver was asked to kick. */
		if (!stopping(q) && vq_arm(q->vq))
			ret = io_uring_submit_and_get_events(&q->ring);
		else
			ret = wait_for_work(q);
		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
			log_ratelimited(LOG_LEVEL_ERROR, "queue %u: io_uring_enter: %s",
					q->queue->index, strerror(-ret));
		reap(q);
		vq_flush(q->vq);
	}
	vq_flush(q->vq);
	return NULL;
}

/* ---- start and stop ---- */

int blk_queue_start(void *dev, struct vu_queue *queue)
{
	struct blk_device *blk = dev;
	struct blk_queue *q;
	int ret;

	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	if (!(queue->features & BIT_ULL(VIRTIO_BLK_F_FLUSH)))
		__atomic_store_n(&blk->wce, 0, __ATOMIC_RELAXED); /* as it is: blk_writeback() */
	q->queue = queue;
	q->vq = &queue->vq;
	q->blk = blk;
	q->inline_io = blk->image.kind == BLK_IMAGE_NULL || blk->image.in_memory;
	q->poll_ns = blk->poll_us * 1000ULL;
	q->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->stop_fd < 0) {
		ret = -errno;
		goto err_free;
	}
	ret = blk_requests_init(&q->requests, blk, q->vq, queue->features);
	if (ret)
		goto err_stop_fd;
	ret = discarder_init(&q->discarder, &blk->image);
	if (ret)
		goto err_requests;
	ret = ring_init(q);
	if (ret)
		goto err_discarder;
	ret = -pthread_create(&q->thread, NULL, queue_thread, q);
	if (ret)
		goto err_ring;
	queue->priv = q;
	return 0;

err_ring:
	io_uring_queue_exit(&q->ring);
err_discarder:
	discarder_finish(&q->discarder);
err_requests:
	blk_requests_finish(&q->requests);
err_stop_fd:
	fd_close(&q->stop_fd);
err_free:
	free(q);
	return ret;
}

void blk_queue_stop(void *dev, struct vu_queue *queue)
{
	struct blk_queue *q = queue->priv;
	uint64_t one = 1;

	(void)dev;
	set_stopping(q);
	if (write(q->stop_fd, &one, sizeof(one)) < 0)
		log_error("queue %u cannot be told to stop: %m", queue->index);
	pthread_join(q->thread, NULL);
	io_uring_queue_exit(&q->ring);
	discarder_finish(&q->discarder);
	blk_requests_finish(&q->requests);
	fd_close(&q->stop_fd);
	free(q);
	queue->priv = NULL;
}
