// SPDX-License-Identifier: BSD-3-Clause
/* What virtqueues of both layouts have in common. */
#include "backends/common/virtqueue-layout.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "common/log.h"

static int vq_alloc(struct virtqueue *vq)
{
	vq->batch = calloc(vq->num, sizeof(*vq->batch));
	vq->replay = calloc(vq->num, sizeof(*vq->replay));
	return vq->batch && vq->replay ? 0 : -ENOMEM;
}

static void vq_free(struct virtqueue *vq)
{
	free(vq->batch);
	free(vq->replay);
	vq->batch = NULL;
	vq->replay = NULL;
}

int vq_start(struct virtqueue *vq, const struct vq_setup *setup)
{
	int ret;

	*vq = (struct virtqueue){
		.index = setup->index,
		.num = setup->num,
		.is_packed = setup->features & BIT_ULL(VIRTIO_F_RING_PACKED),
		.mem = setup->mem,
		.event_idx = setup->features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX),
		.indirect = setup->features & BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC),
		.call_fd = setup->call_fd,
		.err_fd = setup->err_fd,
	};
	if (!vq->num || vq->num > VQ_MAX_SIZE)
		return -EINVAL;
	ret = vq_alloc(vq);
	if (!ret)
		ret = vq->is_packed ? vq_packed_start(vq, setup) : vq_split_start(vq, setup);
	if (ret)
		vq_free(vq);
	return ret;
}

uint32_t vq_stop(struct virtqueue *vq)
{
	uint32_t base;

	vq_flush(vq);
	base = vq_base(vq);
	if (vq->is_packed)
		vq_packed_finish(vq);
	else
		vq_split_finish(vq);
	vq_free(vq);
	return base;
}

void vq_call(struct virtqueue *vq)
{
	int fd = READ_ONCE(vq->call_fd);
	uint64_t one = 1;

	if (fd < 0)
		return;
	vq->stats.calls++;
	/* EAGAIN: the counter is full, so there is a call already */
	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_ratelimited(LOG_LEVEL_WARNING,
				"queue %u: the call eventfd cannot be written: %m", vq->index);
}

int vq_break(struct virtqueue *vq, const char *why)
{
	int fd = READ_ONCE(vq->err_fd);
	uint64_t one = 1;

	if (!vq->broken) {
		log_ratelimited(LOG_LEVEL_WARNING, "queue %u: %s: the queue is stopped", vq->index,
				why);
		if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
			log_debug("queue %u: the error eventfd cannot be written", vq->index);
	}
	vq->broken = true;
	return -EPROTO;
}

int vq_give_back(struct virtqueue *vq, uint16_t id)
{
	if (id == vq->last_id) {
		vq_untake(vq, id);
		vq->last_id = (uint16_t)vq->num; /* which is none's */
	}
	return -EPROTO;
}

int vq_refuse(struct virtqueue *vq, uint16_t id, const char *why)
{
	vq_break(vq, why);
	return vq_give_back(vq, id);
}
