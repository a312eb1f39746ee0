// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/common/iov.h"
#include "common/log.h"
#include "common/util.h"

void gpu_queues_init(struct gpu_queues *queues, struct gpu *gpu)
{
	/* the rest is a megabyte, of which few requests touch more than a page */
	memset(queues, 0, offsetof(struct gpu_queues, iov));
	queues->gpu = gpu;
	queues->fenced_end = &queues->fenced;
}

void gpu_queues_finish(struct gpu_queues *queues)
{
	free(queues->request);
	queues->request = NULL;
	queues->room = 0;
}

/* ---- requests ---- */

/* One that is longer than any can be is cut to its header, and refused for that by what it asks. */
static int take_request(struct gpu_queues *queues, struct virtqueue *vq)
{
	struct vq_buffers *bufs = &queues->bufs;
	uint8_t *more;
	size_t len;

	*bufs = (struct vq_buffers){ .iov = queues->iov, .max = GPU_MAX_IOVS };
	if (vq_chain(vq, queues->id, bufs))
		return -EPROTO;
	len = bufs->out_len > GPU_MAX_REQUEST ? sizeof(struct virtio_gpu_ctrl_hdr) :
						(size_t)bufs->out_len;
	if (len > queues->room) {
		more = realloc(queues->request, len);
		if (more) {
			queues->request = more;
			queues->room = len;
		} else {
			len = MIN(sizeof(struct virtio_gpu_ctrl_hdr), queues->room);
		}
	}
	queues->len = iov_to_buf(bufs->iov, bufs->out_num, 0, queues->request, len);
	return 0;
}

/* An answer that does not fit into what the driver gave room for is cut. */
static void put_answer(struct virtqueue *vq, uint16_t id, const struct vq_buffers *bufs,
		       const void *reply, size_t len)
{
	size_t n = iov_from_buf(bufs->iov + bufs->out_num, bufs->in_num, 0, reply, len);

	vq_push(vq, id, (uint32_t)n);
}

/* ---- fences ---- */

/*
 * In place of one that cannot be made: by an answer that overtakes others Linux takes theirs for
 * passed as well, where they are of the same context. 0: there are no others.
 */
static uint64_t fence_before(const struct gpu_queues *queues)
{
	return queues->fenced ?
		       container_of(queues->fenced_end, struct gpu_fenced, next)->fence :
		       0;
}

static bool hold_back(struct gpu_queues *queues, const struct gpu_answer *answer)
{
	struct gpu *gpu = queues->gpu;
	struct gpu_fenced *f = malloc(sizeof(*f) + answer->len);
	uint64_t fence;

	if (!f)
		return false;
	fence = gpu->renderer->fence(gpu);
	if (!fence)
		fence = fence_before(queues);
	if (!fence) {
		free(f);
		return false;
	}
	*f = (struct gpu_fenced){ .fence = fence, .id = queues->id, .len = answer->len };
	memcpy(f->reply, gpu->reply, answer->len);
	*queues->fenced_end = f;
	queues->fenced_end = &f->next;
	return true;
}

/* @all: whether or not it is finished */
static void answer_fenced(struct gpu_queues *queues, bool all)
{
	struct virtqueue *vq = &queues->control->vq;
	uint64_t finished = all ? UINT64_MAX : queues->gpu->renderer->finished(queues->gpu);
	struct vq_buffers bufs;

	while (queues->fenced && queues->fenced->fence <= finished) {
		struct gpu_fenced *f = queues->fenced;

		queues->fenced = f->next;
		bufs = (struct vq_buffers){ .iov = queues->fenced_iov, .max = GPU_MAX_IOVS };
		if (!vq->broken && !vq_chain(vq, f->id, &bufs))
			put_answer(vq, f->id, &bufs, f->reply, f->len);
		free(f);
	}
	if (!queues->fenced)
		queues->fenced_end = &queues->fenced;
}

void gpu_queues_fenced(struct gpu_queues *queues)
{
	if (!queues->control)
		return;
	answer_fenced(queues, false);
	vq_flush(&queues->control->vq);
}

/* ---- the control queue ---- */

/* Return: false when the display is waited for */
static bool execute(struct gpu_queues *queues, struct virtqueue *vq)
{
	struct gpu_answer answer;

	if (gpu_control(queues->gpu, queues->request, queues->len, &answer))
		return false;
	if (!answer.fence || !hold_back(queues, &answer))
		put_answer(vq, queues->id, &queues->bufs, queues->gpu->reply, answer.len);
	return true;
}

void gpu_queues_work(struct gpu_queues *queues)
{
	unsigned int taken = 0;
	struct virtqueue *vq;

	if (!queues->control)
		return;
	vq = &queues->control->vq;
	do {
		vq_suppress(vq);
		while (!vq->broken) {
			if (taken++ == VU_TURN) {
				vu_queue_again(queues->control);
				goto out;
			}
			if (!queues->waiting && (vq_pop(vq, &queues->id) <= 0 ||
						 take_request(queues, vq)))
				break;
			queues->waiting = !execute(queues, vq);
			if (queues->waiting)
				goto out; /* the display's progress goes on from here */
		}
	} while (vq_arm(vq));
out:
	vq_flush(vq);
}

/* ---- the cursor queue ---- */

static void cursor_work(struct gpu_queues *queues)
{
	struct virtqueue *vq = &queues->cursor->vq;
	struct virtio_gpu_update_cursor request;
	struct iovec iov[8];
	struct vq_buffers bufs;
	uint16_t id;
	size_t len;

	do {
		vq_suppress(vq);
		while (vq_pop(vq, &id) > 0) {
			bufs = (struct vq_buffers){ .iov = iov, .max = ARRAY_SIZE(iov) };
			if (vq_chain(vq, id, &bufs))
				break;
			len = iov_to_buf(iov, bufs.out_num, 0, &request, sizeof(request));
			gpu_cursor(queues->gpu, &request, len);
			vq_push(vq, id, 0);
		}
	} while (vq_arm(vq));
	vq_flush(vq);
}

/* ---- life ---- */

void gpu_queues_start(struct gpu_queues *queues, struct vu_queue *queue)
{
	if (queue->index == GPU_CURSOR_QUEUE) {
		queues->cursor = queue;
		return;
	}
	queues->control = queue;
	queues->gpu->features = queue->features;
	gpu_memory_changed(queues->gpu, queue->vq.mem);
}

void gpu_queues_stop(struct gpu_queues *queues, struct vu_queue *queue)
{
	if (queue->index == GPU_CURSOR_QUEUE) {
		queues->cursor = NULL;
		return;
	}
	if (queues->waiting && !queue->vq.broken) {
		link_give_up(&queues->gpu->link);
		if (!execute(queues, &queue->vq))
			log_error("a command waits for the display while nobody can wait");
	}
	queues->waiting = false;
	queues->gpu->flushing = false;
	answer_fenced(queues, true);
	vq_flush(&queue->vq); /* by which a packed ring moves */
	gpu_memory_changed(queues->gpu, NULL);
	queues->control = NULL;
}

void gpu_queues_kick(struct gpu_queues *queues, struct vu_queue *queue)
{
	if (queue->index == GPU_CURSOR_QUEUE)
		cursor_work(queues);
	else
		gpu_queues_work(queues);
}
