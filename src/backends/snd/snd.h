/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sound device (virtio 1.x, 5.14), shared by the files of vhost-user-snd.
 *
 *	control.c	requests of the control queue
 *	stream.c	the state of a stream, and its messages: buffers to play or to fill
 *	event.c		the event queue
 *	mixer.c		control elements: volume and switch of each stream
 *	timed.c		streams whose sink has no clock of its own
 *	sink.h		what a sink (or source) is; sink-*.c: those that there are
 *
 * All of it runs in the main loop's thread.
 */
#ifndef SND_SND_H
#define SND_SND_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/common/backend.h"
#include "backends/snd/format.h"
#include "backends/snd/gain.h"
#include "backends/snd/pacer.h"
#include "backends/snd/protocol.h"
#include "common/util.h"

/*
 * The Linux driver queues up to 16 messages a stream and loses what finds no room: of a queue of
 * 64, the least that there is, four streams of one direction can have a share.
 */
#define SND_MAX_STREAMS 8
#define SND_MAX_PER_DIRECTION 4
#define SND_MAX_CHANNELS 8
#define SND_QUEUES 4
#define SND_QUEUE_SIZE 1024
/* Parts of one message: the driver's buffers are scattered page by page */
#define SND_MAX_IOVS 4096

#define SND_CONTROLS_PER_STREAM 2

/* 5.14.6.6.1 */
enum snd_state {
	SND_IDLE,
	SND_PARAMS,
	SND_PREPARED,
	SND_RUNNING,
	SND_STOPPED,
	SND_RELEASED,
};

/* What SET_PARAMS may choose from */
struct snd_caps {
	uint64_t formats; /* bits VIRTIO_SND_PCM_FMT_... */
	uint64_t rates; /* bits VIRTIO_SND_PCM_RATE_... */
	uint8_t channels_min;
	uint8_t channels_max;
};

struct snd_params {
	uint32_t buffer_bytes;
	uint32_t period_bytes;
	uint32_t features;
	uint8_t channels;
	uint8_t format_number;
	uint8_t rate_number;
	const struct format *format;
	unsigned int rate;
	unsigned int frame_bytes;
};

/* A buffer of the driver's, taken and not answered */
struct snd_message {
	struct snd_message *next;
	uint16_t id;
	uint64_t end; /* of its bytes in the stream, counted since PREPARE */
	uint32_t length; /* bytes of sound */
	unsigned int data_num;
	unsigned int status_num;
	struct iovec data[]; /* @data_num of them, and then @status_num for the status */
};

struct snd_device;
struct snd_sink_ops;

struct snd_stream {
	struct snd_device *snd;
	unsigned int id;
	uint32_t nid; /* which PCM device of the card it belongs to */
	bool capture;
	const char *target; /* option: which device, file, node; NULL: the default one */
	struct snd_caps caps;
	enum snd_state state;
	enum snd_state interrupted; /* when its queue was stopped; SND_IDLE: not by that */
	struct snd_params params;
	struct gain gain;

	struct snd_message *first;
	struct snd_message *last;
	unsigned int pending; /* number of messages */
	/* Bytes since PREPARE */
	uint64_t queued; /* the end of the last message */
	uint64_t taken; /* handed to the sink, or filled by it */
	uint64_t done; /* the end of the last message that was answered */

	bool available; /* the sink is there: what the jack says */
	bool fresh; /* PREPARE has not come since SET_PARAMS */
	bool starved; /* ran out of messages, and said so */
	uint64_t xruns;

	/* of timed.c */
	struct pacer pacer;
	int timer_fd;
	struct loop_source *timer;

	void *sink; /* the sink's own */
};

struct snd_device {
	struct vu_backend *backend;
	struct loop *loop;
	const struct snd_sink_ops *ops;
	const char *remote; /* options of pipewire */
	const char *name;
	const char *role;
	unsigned int num_streams;
	struct snd_stream streams[SND_MAX_STREAMS];
	int busy_fd; /* a signalfd: too long at a real-time priority; -1: there is none */
	uint64_t features; /* acknowledged */
	struct vu_queue *queues[SND_QUEUES]; /* NULL while stopped */

	/* events that wait for a buffer of the driver's */
	uint32_t jack_events; /* bits: streams */
	uint32_t xrun_events; /* bits: streams */
	uint32_t control_events; /* bits: controls */

	void *sink; /* the sink's own */
};

static inline const char *snd_stream_kind(const struct snd_stream *stream)
{
	return stream->capture ? "capture" : "playback";
}

static inline const char *snd_stream_target(const struct snd_stream *stream)
{
	return stream->target ? stream->target : "default";
}

/* ---- control.c ---- */

/* snd_control_work() - answer what is in the control queue */
void snd_control_work(struct snd_device *snd);

/* ---- stream.c ---- */

/* snd_stream_set_params() and the following: 5.14.6.6.3 on; Return: VIRTIO_SND_S_... */
uint32_t snd_stream_set_params(struct snd_stream *stream,
			       const struct virtio_snd_pcm_set_params *request);
uint32_t snd_stream_prepare(struct snd_stream *stream);
uint32_t snd_stream_start(struct snd_stream *stream);
uint32_t snd_stream_stop(struct snd_stream *stream);
uint32_t snd_stream_release(struct snd_stream *stream);

/* snd_stream_reset() - as it was before the driver came */
void snd_stream_reset(struct snd_stream *stream);

/* snd_io_work() - take what is in the queue of messages to play or to fill */
void snd_io_work(struct snd_device *snd, struct vu_queue *queue);

/* snd_io_cancel() - answer all messages of a queue that is to stop; its streams are interrupted */
void snd_io_cancel(struct snd_device *snd, struct vu_queue *queue);

/* snd_io_resume() - a queue starts: its streams go on, if it is their driver's still */
void snd_io_resume(struct snd_device *snd, const struct vu_queue *queue);

/*
 * What sinks use. Positions are bytes since PREPARE.
 */

/* snd_stream_read() - playback: the next bytes to be played, scaled; Return: how many there were */
size_t snd_stream_read(struct snd_stream *stream, void *buf, size_t len);

/* snd_stream_write() - capture: bytes that were recorded; Return: for how many there was room */
size_t snd_stream_write(struct snd_stream *stream, void *buf, size_t len);

/* snd_stream_skip() - pass over bytes: they are not heard, or recorded as silence */
void snd_stream_skip(struct snd_stream *stream, uint64_t to);

/**
 * snd_stream_done() - answer all messages that end at or before a position
 * @stream:	the stream
 * @at:		the position, at most what was taken
 * @latency:	bytes between there and what is heard, or was said
 */
void snd_stream_done(struct snd_stream *stream, uint64_t at, uint32_t latency);

/* snd_stream_available() - the sink came or went; tells the driver */
void snd_stream_available(struct snd_stream *stream, bool available);

/* snd_stream_xrun() - the sink wanted more than there was */
void snd_stream_xrun(struct snd_stream *stream);

/* ---- event.c ---- */

/* snd_events_flush() - tell the driver what is to be told, as far as it gave buffers */
void snd_events_flush(struct snd_device *snd);

/* ---- mixer.c ---- */

#define SND_NUM_CONTROLS(snd) ((snd)->num_streams * SND_CONTROLS_PER_STREAM)

void snd_mixer_reset(struct snd_device *snd);

/* snd_mixer_info() - describe an element */
void snd_mixer_info(const struct snd_device *snd, unsigned int control, struct snd_ctl_info *info);

/* snd_mixer_read(), snd_mixer_write() - the value; Return: VIRTIO_SND_S_... */
uint32_t snd_mixer_read(const struct snd_device *snd, unsigned int control, uint32_t *value);
uint32_t snd_mixer_write(struct snd_device *snd, unsigned int control, uint32_t value);

/* snd_mixer_tlv() - the scale; Return: bytes, 0 when it has none */
size_t snd_mixer_tlv(const struct snd_device *snd, unsigned int control, __le32 tlv[4]);

#endif
