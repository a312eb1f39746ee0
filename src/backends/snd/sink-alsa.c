// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PCM of ALSA: hardware, or what the configuration makes of others.
 *
 * A timer looks at the device several times a period: it is fed with, or emptied of, what there is
 * room for, and what its pointer has passed is answered. So its clock is the driver's clock. Of
 * what it has behind that pointer the latency tells.
 *
 * The device's buffer is about as long as the driver's. Where the device takes larger steps than
 * the driver has messages for, messages are answered that much earlier, and the latency says so.
 */
#include <alsa/asoundlib.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/snd/sink.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"

#define NSEC_PER_SEC 1000000000U
#define NSEC_PER_MSEC 1000000U
#define TICK_MAX_NS (10 * NSEC_PER_MSEC)
#define TICK_MIN_NS (1 * NSEC_PER_MSEC)
#define RETRY_NS NSEC_PER_SEC
/* How long a device may take to play out what was answered before */
#define LINGER_NS (2ULL * NSEC_PER_SEC)
#define CHUNK_BYTES 16384
/* Troubles in a row without a frame moved, after which the device counts as gone */
#define TROUBLES_MAX 50

struct alsa {
	snd_pcm_t *pcm; /* NULL: not open */
	bool away; /* it broke in mid-stream: timed.c goes on, and it is tried again */
	bool running;
	bool lingering; /* released, and playing out */
	uint64_t linger_until;
	int timer_fd;
	struct loop_source *timer;
	snd_pcm_uframes_t buffer; /* frames of the device's buffer */
	snd_pcm_uframes_t lead; /* frames that messages are answered earlier */
	uint64_t base; /* the stream's position where the device's count began */
	uint64_t moved; /* frames written, or read, since then */
	unsigned int troubles;
	uint8_t chunk[CHUNK_BYTES];
	size_t held; /* bytes in @chunk that the device has not taken yet */
};

/* ---- opening ---- */

static snd_pcm_stream_t direction(const struct snd_stream *stream)
{
	return stream->capture ? SND_PCM_STREAM_CAPTURE : SND_PCM_STREAM_PLAYBACK;
}

static int open_pcm(const struct snd_stream *stream, snd_pcm_t **pcm)
{
	int ret = snd_pcm_open(pcm, snd_stream_target(stream), direction(stream),
			       SND_PCM_NONBLOCK);

	if (ret < 0)
		*pcm = NULL;
	return ret < 0 ? ret : 0;
}

static void close_pcm(struct alsa *alsa)
{
	if (alsa->pcm)
		snd_pcm_close(alsa->pcm);
	alsa->pcm = NULL;
	alsa->running = false;
	alsa->lingering = false;
}

static snd_pcm_format_t alsa_format(unsigned int number)
{
	return snd_pcm_format_value(format_find(number)->name);
}

static int find_caps(snd_pcm_t *pcm, struct snd_caps *caps)
{
	unsigned int i, min = 0, max = 0;
	snd_pcm_hw_params_t *any;

	snd_pcm_hw_params_alloca(&any);
	if (snd_pcm_hw_params_any(pcm, any) < 0 ||
	    snd_pcm_hw_params_set_access(pcm, any, SND_PCM_ACCESS_RW_INTERLEAVED) < 0)
		return -EINVAL;
	for (i = 0; i < 64; i++) {
		if (format_find(i) && !snd_pcm_hw_params_test_format(pcm, any, alsa_format(i)))
			caps->formats |= 1ULL << i;
		if (rate_find(i) && !snd_pcm_hw_params_test_rate(pcm, any, rate_find(i), 0))
			caps->rates |= 1ULL << i;
	}
	if (snd_pcm_hw_params_get_channels_min(any, &min) < 0 ||
	    snd_pcm_hw_params_get_channels_max(any, &max) < 0)
		return -EINVAL;
	caps->channels_min = (uint8_t)MIN(min, SND_MAX_CHANNELS + 1U);
	caps->channels_max = (uint8_t)MIN(max, (unsigned int)SND_MAX_CHANNELS);
	if (!caps->formats || !caps->rates || caps->channels_min > caps->channels_max)
		return -EINVAL;
	return 0;
}

static void look(struct snd_stream *stream);

static void timer_ready(void *data, uint32_t events)
{
	struct snd_stream *stream = data;
	struct alsa *alsa = stream->sink;
	uint64_t count;

	(void)events;
	if (read(alsa->timer_fd, &count, sizeof(count)) > 0)
		look(stream);
}

static int make_timer(struct snd_stream *stream, struct alsa *alsa)
{
	alsa->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (alsa->timer_fd < 0)
		return -errno;
	alsa->timer = loop_add(stream->snd->loop, alsa->timer_fd, EPOLLIN, timer_ready, stream);
	return alsa->timer ? 0 : -errno;
}

static int alsa_stream_open(struct snd_stream *stream)
{
	struct alsa *alsa = calloc(1, sizeof(*alsa));
	snd_pcm_t *pcm;
	int ret;

	if (!alsa)
		return -ENOMEM;
	alsa->timer_fd = -1;
	stream->sink = alsa;
	ret = make_timer(stream, alsa);
	if (ret) {
		log_error("no timer: %s", strerror(-ret));
		return ret;
	}
	ret = open_pcm(stream, &pcm);
	if (ret) {
		log_error("ALSA's PCM %s cannot be opened for %s: %s%s", snd_stream_target(stream),
			  snd_stream_kind(stream), snd_strerror(ret),
			  ret == -ENOENT || ret == -ENODEV ?
				  " (aplay -L and arecord -L list what there is)" :
				  "");
		return ret;
	}
	ret = find_caps(pcm, &stream->caps);
	snd_pcm_close(pcm);
	if (ret)
		log_error("ALSA's PCM %s has no sample format, rate or number of channels (1 to %d) "
			  "that virtio-snd can name",
			  snd_stream_target(stream), SND_MAX_CHANNELS);
	return ret;
}

static void alsa_stream_close(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;

	if (!alsa)
		return;
	close_pcm(alsa);
	fd_close(&alsa->timer_fd);
	free(alsa);
	stream->sink = NULL;
}

static void set_tick(const struct alsa *alsa, uint64_t ns)
{
	struct itimerspec when = {
		.it_interval.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.it_interval.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};

	when.it_value = when.it_interval;
	if (timerfd_settime(alsa->timer_fd, 0, &when, NULL) < 0)
		log_ratelimited(LOG_LEVEL_ERROR, "the timer cannot be set: %m");
}

static uint64_t tick_ns(const struct snd_stream *stream)
{
	uint64_t frames = stream->params.period_bytes / stream->params.frame_bytes;
	uint64_t ns = frames * NSEC_PER_SEC / stream->params.rate / 4;

	return MIN(MAX(ns, (uint64_t)TICK_MIN_NS), (uint64_t)TICK_MAX_NS);
}

/* ---- parameters ---- */

static int set_hw_params(const struct snd_stream *stream, struct alsa *alsa)
{
	const struct snd_params *p = &stream->params;
	snd_pcm_uframes_t buffer = p->buffer_bytes / p->frame_bytes;
	snd_pcm_uframes_t period = p->period_bytes / p->frame_bytes;
	snd_pcm_t *pcm = alsa->pcm;
	snd_pcm_hw_params_t *hw;
	int ret;

	snd_pcm_hw_params_alloca(&hw);
	ret = snd_pcm_hw_params_any(pcm, hw);
	if (ret >= 0)
		ret = snd_pcm_hw_params_set_access(pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED);
	if (ret >= 0)
		ret = snd_pcm_hw_params_set_format(pcm, hw, alsa_format(p->format_number));
	if (ret >= 0)
		ret = snd_pcm_hw_params_set_channels(pcm, hw, p->channels);
	if (ret >= 0)
		ret = snd_pcm_hw_params_set_rate(pcm, hw, p->rate, 0);
	if (ret >= 0)
		ret = snd_pcm_hw_params_set_period_size_near(pcm, hw, &period, NULL);
	if (ret >= 0)
		ret = snd_pcm_hw_params_set_buffer_size_near(pcm, hw, &buffer);
	if (ret >= 0)
		ret = snd_pcm_hw_params(pcm, hw);
	if (ret < 0) {
		if (!alsa->away)
			log_ratelimited(LOG_LEVEL_ERROR,
					"ALSA's PCM %s does not take %s, %u channels, %u Hz: %s",
					snd_stream_target(stream), p->format->name, p->channels,
					p->rate, snd_strerror(ret));
		return -EOPNOTSUPP;
	}
	alsa->buffer = buffer;
	alsa->lead = 0;
	if (!stream->capture && p->buffer_bytes / p->frame_bytes < 2 * period)
		alsa->lead = 2 * period - p->buffer_bytes / p->frame_bytes;
	return 0;
}

/*
 * It starts when it is told to, and not by itself. What it has played becomes silence, which is
 * heard when it runs out of messages: else it would play its old ones again.
 */
static int set_sw_params(const struct alsa *alsa)
{
	snd_pcm_sw_params_t *sw;
	snd_pcm_uframes_t never;
	int ret;

	snd_pcm_sw_params_alloca(&sw);
	ret = snd_pcm_sw_params_current(alsa->pcm, sw);
	if (ret >= 0)
		ret = snd_pcm_sw_params_get_boundary(sw, &never);
	if (ret >= 0)
		ret = snd_pcm_sw_params_set_start_threshold(alsa->pcm, sw, never);
	if (ret >= 0)
		ret = snd_pcm_sw_params_set_silence_threshold(alsa->pcm, sw, 0);
	if (ret >= 0)
		ret = snd_pcm_sw_params_set_silence_size(alsa->pcm, sw, never);
	if (ret >= 0)
		ret = snd_pcm_sw_params(alsa->pcm, sw);
	return ret < 0 ? ret : 0;
}

/* The device as the stream wants it, at the stream's present position. */
static int set_up(struct snd_stream *stream, struct alsa *alsa)
{
	int ret = open_pcm(stream, &alsa->pcm);

	if (ret) {
		if (!alsa->away)
			log_ratelimited(LOG_LEVEL_ERROR,
					"ALSA's PCM %s cannot be opened for %s: %s",
					snd_stream_target(stream), snd_stream_kind(stream),
					snd_strerror(ret));
		return ret;
	}
	ret = set_hw_params(stream, alsa);
	if (!ret)
		ret = set_sw_params(alsa);
	if (!ret)
		ret = snd_pcm_prepare(alsa->pcm);
	if (ret) {
		close_pcm(alsa);
		return ret;
	}
	alsa->base = stream->taken;
	alsa->moved = 0;
	alsa->held = 0;
	alsa->troubles = 0;
	return 0;
}

/* ---- trouble ---- */

static void go_away(struct snd_stream *stream, struct alsa *alsa, int error)
{
	log_error("ALSA's PCM %s is gone: %s; %s, and it is tried again",
		  snd_stream_target(stream), snd_strerror(error),
		  stream->capture ? "silence is recorded" : "what is played is not heard");
	close_pcm(alsa);
	alsa->away = true;
	snd_stream_available(stream, false);
	timed_prepare(stream);
	if (stream->state == SND_RUNNING)
		timed_start(stream);
	set_tick(alsa, RETRY_NS);
}

static void come_back(struct snd_stream *stream, struct alsa *alsa)
{
	bool running = stream->state == SND_RUNNING;

	if (set_up(stream, alsa))
		return;
	log_notice("ALSA's PCM %s is back", snd_stream_target(stream));
	if (running)
		timed_stop(stream);
	timed_release(stream);
	alsa->base = stream->taken;
	alsa->away = false;
	alsa->running = running;
	snd_stream_available(stream, true);
	set_tick(alsa, tick_ns(stream));
	look(stream);
}

/*
 * An xrun: the device stopped. All that it had it has played; what comes next, and what it had not
 * taken yet, starts it again.
 *
 * Return: false when it is gone
 */
static bool recover(struct snd_stream *stream, struct alsa *alsa, int error)
{
	int ret = error;

	if (error == -ESTRPIPE && snd_pcm_resume(alsa->pcm) == 0)
		return true;
	if ((error == -EPIPE || error == -ESTRPIPE) && ++alsa->troubles < TROUBLES_MAX)
		ret = snd_pcm_prepare(alsa->pcm);
	if (ret < 0) {
		go_away(stream, alsa, ret);
		return false;
	}
	if (!stream->capture)
		snd_stream_done(stream, stream->taken - alsa->held, 0);
	alsa->base = stream->taken - alsa->held;
	alsa->moved = 0;
	if (stream->queued > stream->taken || stream->capture)
		log_debug("stream %u: ALSA's PCM %s had an xrun", stream->id,
			  snd_stream_target(stream));
	return true;
}

/* ---- playback ---- */

/* Return: false on trouble, which was seen to */
static bool feed(struct snd_stream *stream, struct alsa *alsa)
{
	unsigned int frame = stream->params.frame_bytes;
	size_t whole = sizeof(alsa->chunk) - sizeof(alsa->chunk) % frame;

	for (;;) {
		snd_pcm_sframes_t n;

		if (!alsa->held)
			alsa->held = snd_stream_read(stream, alsa->chunk, whole);
		if (!alsa->held)
			return true;
		n = snd_pcm_writei(alsa->pcm, alsa->chunk, alsa->held / frame);
		if (n == -EAGAIN || n == 0)
			return true;
		if (n < 0)
			return recover(stream, alsa, (int)n) && false;
		alsa->troubles = 0;
		alsa->moved += (uint64_t)n;
		alsa->held -= (size_t)n * frame;
		memmove(alsa->chunk, alsa->chunk + (size_t)n * frame, alsa->held);
	}
}

/* How many frames of what was written the device still has in its buffer. */
static snd_pcm_sframes_t in_buffer(const struct alsa *alsa, snd_pcm_sframes_t avail)
{
	if (avail < 0 || (snd_pcm_uframes_t)avail > alsa->buffer)
		return 0;
	return (snd_pcm_sframes_t)MIN((uint64_t)(alsa->buffer - (snd_pcm_uframes_t)avail),
				      alsa->moved);
}

static uint64_t heard(const struct snd_stream *stream, const struct alsa *alsa,
		      snd_pcm_sframes_t avail)
{
	uint64_t frames = alsa->moved - (uint64_t)in_buffer(alsa, avail);

	return alsa->base + frames * stream->params.frame_bytes;
}

static void answer_heard(struct snd_stream *stream, const struct alsa *alsa,
			 snd_pcm_sframes_t avail)
{
	snd_pcm_sframes_t delay = 0, behind;
	uint64_t at = heard(stream, alsa, avail) + alsa->lead * stream->params.frame_bytes;

	if (snd_pcm_delay(alsa->pcm, &delay) < 0)
		delay = 0;
	behind = MAX(delay - in_buffer(alsa, avail), (snd_pcm_sframes_t)0) +
		 (snd_pcm_sframes_t)alsa->lead;
	snd_stream_done(stream, MIN(at, stream->taken - alsa->held),
			(uint32_t)behind * stream->params.frame_bytes);
}

static void play(struct snd_stream *stream, struct alsa *alsa)
{
	snd_pcm_sframes_t avail = snd_pcm_avail(alsa->pcm);
	bool starved = alsa->running && alsa->moved && avail == -EPIPE && !stream->starved;

	if (avail < 0 && !recover(stream, alsa, (int)avail))
		return;
	if (starved && stream->queued == stream->taken && !alsa->held) {
		stream->starved = true;
		snd_stream_xrun(stream);
	}
	if (!feed(stream, alsa))
		return;
	if (alsa->running && alsa->moved && snd_pcm_state(alsa->pcm) == SND_PCM_STATE_PREPARED) {
		int ret = snd_pcm_start(alsa->pcm);

		if (ret < 0) {
			recover(stream, alsa, ret);
			return;
		}
	}
	if (alsa->running)
		answer_heard(stream, alsa, snd_pcm_avail(alsa->pcm));
}

/* ---- capture ---- */

static void record(struct snd_stream *stream, struct alsa *alsa)
{
	unsigned int frame = stream->params.frame_bytes;
	size_t whole = sizeof(alsa->chunk) - sizeof(alsa->chunk) % frame;
	snd_pcm_sframes_t n = 0, delay = 0;

	if (!alsa->running)
		return;
	if (snd_pcm_state(alsa->pcm) == SND_PCM_STATE_PREPARED)
		n = snd_pcm_start(alsa->pcm);
	while (n >= 0 && stream->taken < stream->queued) {
		size_t want = MIN((uint64_t)whole, stream->queued - stream->taken);

		n = snd_pcm_readi(alsa->pcm, alsa->chunk, want / frame);
		if (n <= 0)
			break;
		alsa->troubles = 0;
		snd_stream_write(stream, alsa->chunk, (size_t)n * frame);
	}
	if (n < 0 && n != -EAGAIN) {
		recover(stream, alsa, (int)n);
		return;
	}
	if (snd_pcm_delay(alsa->pcm, &delay) < 0 || delay < 0)
		delay = 0;
	snd_stream_done(stream, stream->taken, (uint32_t)delay * frame);
}

/* ---- the timer ---- */

/* A device that is gone, and that no program waits for, is looked for: the jack is to tell. */
static void rest(const struct snd_stream *stream, const struct alsa *alsa)
{
	set_tick(alsa, stream->available ? 0 : RETRY_NS);
}

/*
 * Others may want it: it is opened for a moment, without waiting, and not once more when that
 * worked. One that another program has is there as well.
 */
static void look_for_it(struct snd_stream *stream, const struct alsa *alsa)
{
	snd_pcm_t *pcm;
	int ret = open_pcm(stream, &pcm);

	if (!ret)
		snd_pcm_close(pcm);
	if (ret && ret != -EBUSY)
		return;
	log_notice("ALSA's PCM %s is back", snd_stream_target(stream));
	snd_stream_available(stream, true);
	rest(stream, alsa);
}

static void linger(struct alsa *alsa)
{
	if (snd_pcm_state(alsa->pcm) == SND_PCM_STATE_DRAINING && now_ns() < alsa->linger_until)
		return;
	close_pcm(alsa);
	set_tick(alsa, 0);
}

static void look(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;

	if (alsa->lingering)
		linger(alsa);
	else if (alsa->away)
		come_back(stream, alsa);
	else if (!alsa->pcm && !stream->available)
		look_for_it(stream, alsa);
	else if (alsa->pcm && stream->capture)
		record(stream, alsa);
	else if (alsa->pcm)
		play(stream, alsa);
}

/* ---- the driver's requests ---- */

static int alsa_prepare(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;
	int ret;

	close_pcm(alsa);
	alsa->away = false;
	set_tick(alsa, 0);
	ret = set_up(stream, alsa);
	snd_stream_available(stream, ret != -ENODEV && ret != -ENOENT);
	if (ret)
		rest(stream, alsa);
	return ret;
}

static int alsa_start(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;

	if (alsa->away)
		return timed_start(stream);
	if (snd_pcm_state(alsa->pcm) != SND_PCM_STATE_PREPARED) { /* after a stop */
		int ret;

		snd_pcm_drop(alsa->pcm);
		ret = snd_pcm_prepare(alsa->pcm);
		if (ret < 0)
			go_away(stream, alsa, ret);
		if (ret < 0)
			return timed_start(stream);
	}
	alsa->running = true;
	set_tick(alsa, tick_ns(stream));
	look(stream);
	return 0;
}

/*
 * Not every device can pause. What it has and has not played yet is written once more when the
 * stream goes on: its messages have not been answered. When all have been, it plays out.
 */
static void alsa_stop(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;
	snd_pcm_sframes_t avail;

	if (alsa->away) {
		timed_stop(stream);
		return;
	}
	look(stream);
	if (alsa->away) {
		timed_stop(stream);
		return;
	}
	set_tick(alsa, 0);
	alsa->running = false;
	if (!stream->capture && !stream->first && alsa->moved &&
	    snd_pcm_state(alsa->pcm) == SND_PCM_STATE_RUNNING) {
		snd_pcm_drain(alsa->pcm);
		return;
	}
	avail = snd_pcm_avail(alsa->pcm);
	if (!stream->capture && avail >= 0)
		stream->taken = MAX(heard(stream, alsa, avail), stream->done);
	snd_pcm_drop(alsa->pcm);
	alsa->base = stream->taken;
	alsa->moved = 0;
	alsa->held = 0;
}

static void alsa_release(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;

	if (alsa->away) {
		timed_release(stream);
		alsa->away = false;
	}
	alsa->lingering = alsa->pcm && snd_pcm_state(alsa->pcm) == SND_PCM_STATE_DRAINING;
	alsa->linger_until = now_ns() + LINGER_NS;
	if (alsa->lingering) {
		set_tick(alsa, TICK_MAX_NS);
		return;
	}
	close_pcm(alsa);
	rest(stream, alsa);
}

static void alsa_queued(struct snd_stream *stream)
{
	struct alsa *alsa = stream->sink;

	if (alsa->away)
		timed_queued(stream);
	else
		look(stream);
}

/* What the library has to say is said by its error codes. */
static void swallow(const char *file, int line, const char *function, int error, const char *fmt,
		    ...)
{
	va_list ap;

	(void)file;
	(void)line;
	(void)function;
	(void)error;
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	va_start(ap, fmt);
	log_vmessage(LOG_LEVEL_DEBUG, fmt, ap);
	va_end(ap);
}

static int alsa_open(struct snd_device *snd)
{
	(void)snd;
	snd_lib_error_set_handler(swallow);
	return 0;
}

static void alsa_close(struct snd_device *snd)
{
	(void)snd;
	snd_config_update_free_global();
}

const struct snd_sink_ops sink_alsa = {
	.name = "alsa",
	.wide = true,
	.open = alsa_open,
	.close = alsa_close,
	.stream_open = alsa_stream_open,
	.stream_close = alsa_stream_close,
	.prepare = alsa_prepare,
	.start = alsa_start,
	.stop = alsa_stop,
	.release = alsa_release,
	.queued = alsa_queued,
};
