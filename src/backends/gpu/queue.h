/* SPDX-License-Identifier: BSD-3-Clause */
/* The two queues: commands out of them, answers into them, in the order that fences allow. */
#ifndef GPU_QUEUE_H
#define GPU_QUEUE_H

#include "backends/gpu/gpu.h"

/*
 * Buffers of one request. A command stream has one for each of its pages, and any user decides how
 * long it is: what is too long is to be refused, and not to break the queue.
 */
#define GPU_MAX_IOVS VQ_MAX_SIZE

#define GPU_CONTROL_QUEUE 0
#define GPU_CURSOR_QUEUE 1

struct gpu_fenced {
	struct gpu_fenced *next;
	uint64_t fence;
	uint16_t id; /* of the request */
	size_t len;
	uint8_t reply[];
};

struct gpu_queues {
	struct gpu *gpu;
	struct vu_queue *control; /* NULL while it is stopped */
	struct vu_queue *cursor;

	/* the command at hand, when the display is waited for */
	bool waiting;
	uint16_t id;
	size_t len;
	struct vq_buffers bufs;
	uint8_t *request;
	size_t room; /* at @request */

	/* those that are answered once what they drew is finished, oldest first */
	struct gpu_fenced *fenced;
	struct gpu_fenced **fenced_end;

	struct iovec iov[GPU_MAX_IOVS]; /* of the command at hand */
	struct iovec fenced_iov[GPU_MAX_IOVS]; /* of one that is answered meanwhile */
};

void gpu_queues_init(struct gpu_queues *queues, struct gpu *gpu);
void gpu_queues_finish(struct gpu_queues *queues);

/* For struct vu_device_ops */
void gpu_queues_start(struct gpu_queues *queues, struct vu_queue *queue);
void gpu_queues_stop(struct gpu_queues *queues, struct vu_queue *queue);
void gpu_queues_kick(struct gpu_queues *queues, struct vu_queue *queue);

/* gpu_queues_work() - go on with the control queue */
void gpu_queues_work(struct gpu_queues *queues);

/* gpu_queues_fenced() - answer what the renderer has finished */
void gpu_queues_fenced(struct gpu_queues *queues);

#endif
