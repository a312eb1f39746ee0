// SPDX-License-Identifier: BSD-3-Clause
/* A stream: its state, and the driver's messages from taking to answering. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/common/iov.h"
#include "backends/snd/sink.h"
#include "common/log.h"

#define STATUS_BYTES sizeof(struct virtio_snd_pcm_status)
#define SILENCE_BYTES 4096

static struct vu_queue *stream_queue(const struct snd_stream *stream)
{
	return stream->snd->queues[stream->capture ? VIRTIO_SND_VQ_RX : VIRTIO_SND_VQ_TX];
}

/* ---- answering ---- */

static void answer(struct snd_stream *stream, struct snd_message *msg, uint32_t code,
		   uint32_t latency)
{
	struct vu_queue *queue = stream_queue(stream);
	struct virtio_snd_pcm_status status = {
		.status = htole32(code),
		.latency_bytes = htole32(latency),
	};
	uint64_t begin = msg->end - msg->length;
	uint32_t filled = 0;

	if (stream->capture && stream->taken > begin)
		filled = (uint32_t)MIN(stream->taken - begin, (uint64_t)msg->length);
	stream->first = msg->next;
	if (!stream->first)
		stream->last = NULL;
	stream->pending--;
	stream->done = msg->end;
	iov_from_buf(msg->data + msg->data_num, msg->status_num, 0, &status, sizeof(status));
	if (queue && !queue->vq.broken)
		vq_push(&queue->vq, msg->id, filled + (uint32_t)STATUS_BYTES);
	free(msg);
}

static void show_answers(const struct snd_stream *stream)
{
	struct vu_queue *queue = stream_queue(stream);

	if (queue && !queue->vq.broken)
		vq_flush(&queue->vq);
}

void snd_stream_done(struct snd_stream *stream, uint64_t at, uint32_t latency)
{
	bool any = false;

	while (stream->first && stream->first->end <= at) {
		answer(stream, stream->first, VIRTIO_SND_S_OK, latency);
		any = true;
	}
	if (any)
		show_answers(stream);
}

/* 5.14.6.6.5.1: "the device MUST complete all pending I/O messages" */
static void flush_messages(struct snd_stream *stream, uint32_t code)
{
	while (stream->first)
		answer(stream, stream->first, code, 0);
	stream->taken = stream->queued;
	show_answers(stream);
}

/* ---- taking ---- */

/* Messages that no stream wants are answered on the spot. */
static void refuse(struct vu_queue *queue, uint16_t id, const struct vq_buffers *bufs)
{
	const struct iovec *in = bufs->iov + bufs->out_num;
	struct virtio_snd_pcm_status status = { .status = htole32(VIRTIO_SND_S_BAD_MSG) };

	if (bufs->in_len < STATUS_BYTES) {
		vq_push(&queue->vq, id, 0);
		return;
	}
	iov_from_buf(in, bufs->in_num, bufs->in_len - STATUS_BYTES, &status, sizeof(status));
	vq_push(&queue->vq, id, (uint32_t)STATUS_BYTES);
}

static struct snd_stream *find_stream(struct snd_device *snd, const struct vu_queue *queue,
				      const struct vq_buffers *bufs)
{
	struct virtio_snd_pcm_xfer xfer;
	uint32_t id;

	if (iov_to_buf(bufs->iov, bufs->out_num, 0, &xfer, sizeof(xfer)) < sizeof(xfer))
		return NULL;
	id = le32toh(xfer.stream_id);
	if (id >= snd->num_streams)
		return NULL;
	if (snd->streams[id].capture != (queue->index == VIRTIO_SND_VQ_RX))
		return NULL;
	return &snd->streams[id];
}

/* The parts that hold sound and those that the status goes to, of the chain in @bufs. */
static struct snd_message *make_message(const struct snd_stream *stream,
					const struct vq_buffers *bufs, uint64_t length)
{
	struct iovec *data = bufs->iov, *in = bufs->iov + bufs->out_num;
	unsigned int data_num = bufs->out_num, status_num = bufs->in_num;
	struct snd_message *msg;

	msg = malloc(sizeof(*msg) + (bufs->out_num + 2ULL * bufs->in_num) * sizeof(msg->data[0]));
	if (!msg)
		return NULL;
	if (stream->capture) {
		memcpy(msg->data, in, bufs->in_num * sizeof(*in));
		data_num = bufs->in_num;
		iov_drop_back(msg->data, &data_num, STATUS_BYTES);
		iov_drop_front(&in, &status_num, length);
	} else {
		iov_drop_front(&data, &data_num, sizeof(struct virtio_snd_pcm_xfer));
		memcpy(msg->data, data, data_num * sizeof(*data));
	}
	memcpy(msg->data + data_num, in, status_num * sizeof(*in));
	msg->next = NULL;
	msg->length = (uint32_t)length;
	msg->data_num = data_num;
	msg->status_num = status_num;
	return msg;
}

/* 5.14.6.8: the header is read, the status is written, and sound is what is between them. */
static struct snd_message *parse_message(const struct snd_stream *stream,
					 const struct vq_buffers *bufs)
{
	uint64_t length;

	if (stream->capture) {
		if (bufs->in_len < STATUS_BYTES)
			return NULL;
		length = bufs->in_len - STATUS_BYTES;
	} else {
		if (bufs->in_len != STATUS_BYTES)
			return NULL;
		length = bufs->out_len - sizeof(struct virtio_snd_pcm_xfer);
	}
	if (length > UINT32_MAX / 2 || length % stream->params.frame_bytes)
		return NULL;
	return make_message(stream, bufs, length);
}

static bool takes_messages(const struct snd_stream *stream)
{
	return stream->state == SND_PREPARED || stream->state == SND_RUNNING ||
	       stream->state == SND_STOPPED;
}

static void add_message(struct snd_stream *stream, struct snd_message *msg, uint16_t id)
{
	msg->id = id;
	msg->end = stream->queued + msg->length;
	stream->queued = msg->end;
	if (stream->last)
		stream->last->next = msg;
	else
		stream->first = msg;
	stream->last = msg;
	stream->pending++;
	stream->starved = false;
}

/* Return: the stream that has a message more, or NULL */
static struct snd_stream *take(struct snd_device *snd, struct vu_queue *queue, uint16_t id)
{
	static struct iovec scratch[SND_MAX_IOVS];
	struct vq_buffers bufs = { .iov = scratch, .max = SND_MAX_IOVS };
	struct snd_message *msg = NULL;
	struct snd_stream *stream;

	if (vq_chain(&queue->vq, id, &bufs))
		return NULL;
	stream = find_stream(snd, queue, &bufs);
	if (stream && takes_messages(stream))
		msg = parse_message(stream, &bufs);
	if (!msg) {
		refuse(queue, id, &bufs);
		return NULL;
	}
	add_message(stream, msg, id);
	return stream;
}

static void tell_sinks(struct snd_device *snd, uint32_t streams)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++) {
		struct snd_stream *stream = &snd->streams[i];

		if (!(streams & 1U << i))
			continue;
		if (stream->state == SND_RUNNING || !stream->capture)
			snd->ops->queued(stream);
	}
}

void snd_io_work(struct snd_device *snd, struct vu_queue *queue)
{
	struct virtqueue *vq = &queue->vq;
	uint32_t streams = 0;
	uint16_t id;

	do {
		vq_suppress(vq);
		while (vq_pop(vq, &id) > 0) {
			struct snd_stream *stream = take(snd, queue, id);

			if (stream)
				streams |= 1U << stream->id;
		}
	} while (vq_arm(vq));
	vq_flush(vq);
	tell_sinks(snd, streams);
}

void snd_io_cancel(struct snd_device *snd, struct vu_queue *queue)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++) {
		struct snd_stream *stream = &snd->streams[i];

		if (stream_queue(stream) == queue && takes_messages(stream)) {
			enum snd_state state = stream->state;

			snd_stream_reset(stream);
			stream->interrupted = state;
		}
	}
}

/*
 * The driver believes its stream to be as it was: a virtual machine was paused, or has other
 * memory. Without its messages it runs dry, which its programs can cope with; messages of a stream
 * that is not there would be answered at once, and never heard.
 */
static void resume(struct snd_stream *stream)
{
	enum snd_state state = stream->interrupted;

	stream->state = SND_PARAMS;
	if (snd_stream_prepare(stream) != VIRTIO_SND_S_OK)
		return;
	if (state != SND_PREPARED)
		stream->state = SND_STOPPED;
	if (state == SND_RUNNING)
		snd_stream_start(stream);
}

void snd_io_resume(struct snd_device *snd, const struct vu_queue *queue)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++) {
		struct snd_stream *stream = &snd->streams[i];

		if (stream_queue(stream) != queue || stream->interrupted == SND_IDLE)
			continue;
		/* at its start it may be a new driver's */
		if (!vq_at_start(&queue->vq))
			resume(stream);
		stream->interrupted = SND_IDLE;
	}
}

/* ---- what sinks use ---- */

/* The message that position @at lies in, of those that are pending. */
static struct snd_message *message_at(const struct snd_stream *stream, uint64_t at)
{
	struct snd_message *msg = stream->first;

	while (msg && msg->end <= at)
		msg = msg->next;
	return msg;
}

static size_t transfer(struct snd_stream *stream, void *buf, size_t len)
{
	struct snd_message *msg = message_at(stream, stream->taken);
	size_t moved = 0;

	for (; msg && moved < len; msg = msg->next) {
		size_t offset = (size_t)(stream->taken - (msg->end - msg->length));
		size_t part = MIN(len - moved, msg->length - offset);

		if (stream->capture)
			part = iov_from_buf(msg->data, msg->data_num, offset, (char *)buf + moved,
					    part);
		else
			part = iov_to_buf(msg->data, msg->data_num, offset, (char *)buf + moved,
					  part);
		moved += part;
		stream->taken += part;
	}
	return moved;
}

size_t snd_stream_read(struct snd_stream *stream, void *buf, size_t len)
{
	size_t n = transfer(stream, buf, len);

	gain_apply(&stream->gain, stream->params.format, buf, n);
	return n;
}

size_t snd_stream_write(struct snd_stream *stream, void *buf, size_t len)
{
	gain_apply(&stream->gain, stream->params.format, buf, len);
	return transfer(stream, buf, len);
}

void snd_stream_skip(struct snd_stream *stream, uint64_t to)
{
	uint8_t silence[SILENCE_BYTES];
	size_t whole = sizeof(silence) - sizeof(silence) % stream->params.frame_bytes;

	to = MIN(to, stream->queued);
	if (!stream->capture) {
		stream->taken = MAX(stream->taken, to);
		return;
	}
	format_silence(stream->params.format, silence, whole);
	while (stream->taken < to) {
		if (!transfer(stream, silence, MIN((uint64_t)whole, to - stream->taken)))
			return;
	}
}

void snd_stream_available(struct snd_stream *stream, bool available)
{
	if (stream->available == available)
		return;
	stream->available = available;
	stream->snd->jack_events |= 1U << stream->id;
	snd_events_flush(stream->snd);
}

void snd_stream_xrun(struct snd_stream *stream)
{
	stream->xruns++;
	log_debug("stream %u: %s has no message for its sink, time %llu", stream->id,
		  snd_stream_kind(stream), (unsigned long long)stream->xruns);
	if (!(stream->params.features & 1U << VIRTIO_SND_PCM_F_EVT_XRUNS))
		return;
	stream->snd->xrun_events |= 1U << stream->id;
	snd_events_flush(stream->snd);
}

/* ---- the states (5.14.6.6.1) ---- */

static uint32_t status_of(int error)
{
	switch (error) {
	case 0:
		return VIRTIO_SND_S_OK;
	case -EOPNOTSUPP:
		return VIRTIO_SND_S_NOT_SUPP;
	default:
		return VIRTIO_SND_S_IO_ERR;
	}
}

/* From whatever state: the sink lets go, the driver has its messages back. */
static void let_go(struct snd_stream *stream)
{
	if (stream->state == SND_RUNNING)
		stream->snd->ops->stop(stream);
	if (takes_messages(stream))
		stream->snd->ops->release(stream);
	flush_messages(stream, VIRTIO_SND_S_OK);
}

static uint32_t check_params(const struct snd_stream *stream, const struct snd_params *params)
{
	const struct snd_caps *caps = &stream->caps;

	if (!params->format || !params->rate || params->channels < caps->channels_min ||
	    params->channels > caps->channels_max ||
	    !(caps->formats & 1ULL << params->format_number) ||
	    !(caps->rates & 1ULL << params->rate_number) ||
	    params->features & ~(1U << VIRTIO_SND_PCM_F_EVT_XRUNS))
		return VIRTIO_SND_S_NOT_SUPP;
	/* 5.14.6.6.3.1 */
	if (!params->period_bytes || !params->buffer_bytes ||
	    params->buffer_bytes % params->period_bytes ||
	    params->period_bytes % params->frame_bytes)
		return VIRTIO_SND_S_BAD_MSG;
	return VIRTIO_SND_S_OK;
}

/*
 * Also for a stream that was stopped and not released: so it is after a suspend of the driver's
 * system.
 */
uint32_t snd_stream_set_params(struct snd_stream *stream,
			       const struct virtio_snd_pcm_set_params *request)
{
	struct snd_params params = {
		.buffer_bytes = le32toh(request->buffer_bytes),
		.period_bytes = le32toh(request->period_bytes),
		.features = le32toh(request->features),
		.channels = request->channels,
		.format_number = request->format,
		.rate_number = request->rate,
		.format = format_find(request->format),
		.rate = rate_find(request->rate),
	};
	uint32_t code;

	if (stream->state == SND_RUNNING)
		return VIRTIO_SND_S_BAD_MSG;
	if (params.format)
		params.frame_bytes = (unsigned int)params.format->bytes * params.channels;
	code = check_params(stream, &params);
	if (code != VIRTIO_SND_S_OK)
		return code;
	let_go(stream);
	stream->interrupted = SND_IDLE;
	stream->params = params;
	stream->state = SND_PARAMS;
	stream->fresh = true;
	log_debug("stream %u: %s, %s, %u channels, %u Hz, buffer %u, period %u", stream->id,
		  snd_stream_kind(stream), params.format->name, params.channels, params.rate,
		  params.buffer_bytes, params.period_bytes);
	return VIRTIO_SND_S_OK;
}

uint32_t snd_stream_prepare(struct snd_stream *stream)
{
	int ret;

	if (stream->state == SND_IDLE || stream->state == SND_RUNNING)
		return VIRTIO_SND_S_BAD_MSG;
	let_go(stream);
	stream->queued = 0;
	stream->taken = 0;
	stream->done = 0;
	stream->starved = false;
	ret = stream->snd->ops->prepare(stream);
	stream->state = ret ? SND_PARAMS : SND_PREPARED;
	stream->fresh = false;
	return status_of(ret);
}

uint32_t snd_stream_start(struct snd_stream *stream)
{
	int ret;

	if (stream->state != SND_PREPARED && stream->state != SND_STOPPED)
		return VIRTIO_SND_S_BAD_MSG;
	ret = stream->snd->ops->start(stream);
	if (!ret)
		stream->state = SND_RUNNING;
	return status_of(ret);
}

/* The Linux driver stops a stream once more when it is closed while it pauses. */
uint32_t snd_stream_stop(struct snd_stream *stream)
{
	if (stream->state == SND_STOPPED)
		return VIRTIO_SND_S_OK;
	if (stream->state != SND_RUNNING)
		return VIRTIO_SND_S_BAD_MSG;
	stream->snd->ops->stop(stream);
	stream->state = SND_STOPPED;
	return VIRTIO_SND_S_OK;
}

/* The Linux driver asks for it as well when there is nothing to be released: as it opens. */
uint32_t snd_stream_release(struct snd_stream *stream)
{
	if (stream->state == SND_RUNNING)
		return VIRTIO_SND_S_BAD_MSG;
	let_go(stream);
	stream->interrupted = SND_IDLE;
	if (stream->state != SND_IDLE)
		stream->state = SND_RELEASED;
	return VIRTIO_SND_S_OK;
}

void snd_stream_reset(struct snd_stream *stream)
{
	let_go(stream);
	stream->state = SND_IDLE;
	stream->interrupted = SND_IDLE;
}
