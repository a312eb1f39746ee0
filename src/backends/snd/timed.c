// SPDX-License-Identifier: BSD-3-Clause
/* Streams by the pacer's clock. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/snd/sink.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"

#define NSEC_PER_SEC 1000000000U
#define CHUNK_BYTES 32768

static void set_timer(const struct snd_stream *stream, uint64_t at_ns)
{
	struct itimerspec when = {
		.it_value = {
			.tv_sec = (time_t)(at_ns / NSEC_PER_SEC),
			.tv_nsec = (long)(at_ns % NSEC_PER_SEC),
		},
	};

	if (timerfd_settime(stream->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		log_ratelimited(LOG_LEVEL_ERROR, "the timer cannot be set: %m");
}

static uint64_t period_ns(const struct snd_stream *stream)
{
	uint64_t frames = stream->params.period_bytes / stream->params.frame_bytes;

	return frames * NSEC_PER_SEC / stream->params.rate;
}

/* The end of the first message is next; without one, the moment at which that gets awkward. */
static void arm(struct snd_stream *stream)
{
	uint64_t due = 0;

	if (stream->pacer.running && stream->first)
		due = pacer_due(&stream->pacer, stream->first->end / stream->params.frame_bytes);
	else if (stream->pacer.running && !stream->starved)
		due = pacer_due(&stream->pacer, stream->pacer.end) + period_ns(stream);
	set_timer(stream, due);
}

/* Brings the sink's bytes up to position @to. */
static void move(struct snd_stream *stream, uint64_t to)
{
	static uint8_t chunk[CHUNK_BYTES];
	size_t whole = sizeof(chunk) - sizeof(chunk) % stream->params.frame_bytes;
	int (*transfer)(struct snd_stream *, void *, size_t) = stream->snd->ops->transfer;

	while (transfer && stream->available && stream->taken < to) {
		size_t len = MIN((uint64_t)whole, to - stream->taken);

		if (!stream->capture)
			len = snd_stream_read(stream, chunk, len);
		if (!len)
			break;
		if (transfer(stream, chunk, len)) {
			snd_stream_available(stream, false);
			break;
		}
		if (stream->capture)
			snd_stream_write(stream, chunk, len);
	}
	snd_stream_skip(stream, to);
}

static void advance(struct snd_stream *stream, uint64_t frames)
{
	uint64_t to = frames * stream->params.frame_bytes;

	move(stream, to);
	snd_stream_done(stream, to, 0);
}

static void timer_ready(void *data, uint32_t events)
{
	struct snd_stream *stream = data;
	uint64_t count, now = now_ns();

	(void)events;
	if (read(stream->timer_fd, &count, sizeof(count)) < 0 || !stream->pacer.running)
		return;
	advance(stream, pacer_position(&stream->pacer, now));
	if (!stream->first && !stream->starved &&
	    now >= pacer_due(&stream->pacer, stream->pacer.end) + period_ns(stream)) {
		stream->starved = true;
		snd_stream_xrun(stream);
	}
	arm(stream);
}

int timed_open(struct snd_stream *stream)
{
	stream->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (stream->timer_fd < 0)
		return -errno;
	stream->timer = loop_add(stream->snd->loop, stream->timer_fd, EPOLLIN, timer_ready, stream);
	return stream->timer ? 0 : -errno;
}

/* When a device is closed its loop, and all sources with it, has gone. */
void timed_close(struct snd_stream *stream)
{
	stream->timer = NULL;
	fd_close(&stream->timer_fd);
}

int timed_prepare(struct snd_stream *stream)
{
	pacer_prepare(&stream->pacer, stream->params.rate,
		      stream->done / stream->params.frame_bytes);
	pacer_extend(&stream->pacer, stream->queued / stream->params.frame_bytes, 0);
	return 0;
}

void timed_start_at(struct snd_stream *stream, uint64_t since_ns)
{
	pacer_extend(&stream->pacer, stream->queued / stream->params.frame_bytes, 0);
	pacer_start(&stream->pacer, since_ns);
	arm(stream);
}

int timed_start(struct snd_stream *stream)
{
	timed_start_at(stream, now_ns());
	return 0;
}

/* What has been played by now has been played: the rest of its message waits. */
void timed_stop(struct snd_stream *stream)
{
	advance(stream, pacer_stop(&stream->pacer, now_ns()));
	set_timer(stream, 0);
}

void timed_release(struct snd_stream *stream)
{
	pacer_prepare(&stream->pacer, stream->params.rate, 0);
	set_timer(stream, 0);
}

void timed_queued(struct snd_stream *stream)
{
	pacer_extend(&stream->pacer, stream->queued / stream->params.frame_bytes, now_ns());
	arm(stream);
}
