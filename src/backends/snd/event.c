// SPDX-License-Identifier: BSD-3-Clause
/* The event queue (5.14.6.3): what the driver is told without having asked. */
#include <endian.h>

#include "backends/common/iov.h"
#include "backends/snd/snd.h"

/* Parts that the 8 bytes of an event may be scattered over */
#define EVENT_IOVS 8

/* Return: false when the driver has no buffer left */
static bool send(struct vu_queue *queue, const void *event, size_t size)
{
	struct iovec iov[EVENT_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = EVENT_IOVS };
	size_t written;
	uint16_t id;

	if (vq_pop(&queue->vq, &id) <= 0 || vq_chain(&queue->vq, id, &bufs))
		return false;
	written = iov_from_buf(iov + bufs.out_num, bufs.in_num, 0, event, size);
	vq_push(&queue->vq, id, (uint32_t)written);
	return true;
}

static bool send_event(struct vu_queue *queue, uint32_t code, uint32_t data)
{
	struct virtio_snd_event event = {
		.hdr.code = htole32(code),
		.data = htole32(data),
	};

	return send(queue, &event, sizeof(event));
}

static bool send_notify(struct vu_queue *queue, unsigned int control)
{
	struct snd_ctl_event event = {
		.hdr.code = htole32(SND_EVT_CTL_NOTIFY),
		.control_id = htole16((uint16_t)control),
		.mask = htole16(1U << SND_CTL_EVT_MASK_VALUE),
	};

	return send(queue, &event, sizeof(event));
}

/* Return: false when some could not be told */
static bool flush(struct snd_device *snd, struct vu_queue *queue)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++) {
		uint32_t code = snd->streams[i].available ? VIRTIO_SND_EVT_JACK_CONNECTED :
							    VIRTIO_SND_EVT_JACK_DISCONNECTED;

		if (snd->jack_events & 1U << i && !send_event(queue, code, i))
			return false;
		snd->jack_events &= ~(1U << i);
		if (snd->xrun_events & 1U << i && !send_event(queue, VIRTIO_SND_EVT_PCM_XRUN, i))
			return false;
		snd->xrun_events &= ~(1U << i);
	}
	for (i = 0; i < SND_NUM_CONTROLS(snd); i++) {
		if (snd->control_events & 1U << i && !send_notify(queue, i))
			return false;
		snd->control_events &= ~(1U << i);
	}
	return true;
}

void snd_events_flush(struct snd_device *snd)
{
	struct vu_queue *queue = snd->queues[VIRTIO_SND_VQ_EVENT];

	if (!queue || queue->vq.broken)
		return;
	/* Only with something left to tell a kick matters. */
	do {
		vq_suppress(&queue->vq);
	} while (!flush(snd, queue) && !queue->vq.broken && vq_arm(&queue->vq));
	vq_flush(&queue->vq);
}
