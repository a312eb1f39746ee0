// SPDX-License-Identifier: BSD-3-Clause
/*
 * A PipeWire server: each stream of the card is a stream of the server's, which it mixes, routes
 * and turns up or down as its users like.
 *
 * PipeWire calls process() in its real-time thread once a cycle. Between it and the main loop there
 * is a ring of bytes. What one cycle took has been played when the next one begins: then its
 * messages are answered. So the graph's clock is the driver's clock.
 *
 * A stream that PipeWire does not run, because it is gone or because there is nothing to play to,
 * goes on by timed.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pipewire/pipewire.h>
#include <spa/param/audio/format-utils.h>

#include "backends/snd/byte-ring.h"
#include "backends/snd/pipewire-format.h"
#include "backends/snd/pipewire-link.h"
#include "backends/snd/sink.h"
#include "common/deadline.h"
#include "common/log.h"

#define NSEC_PER_MSEC 1000000U
#define CHUNK_BYTES 16384
/* The driver's buffer may be larger, by what it says; the rest waits in its messages */
#define RING_MAX (4U << 20)
/* How often a stream is looked after besides the cycles */
#define WATCH_MS 20
/*
 * A running stream without a cycle for so long is not being played. ALSA gives up on a driver that
 * does not move after 1.1 times the buffer, or 100 ms.
 */
#define STALLED_MIN_NS (60ULL * NSEC_PER_MSEC)
/* A stream that nobody uses is kept for so long, with the volume that PipeWire gave it */
#define IDLE_NS (5000ULL * NSEC_PER_MSEC)

struct pipewire {
	struct pw_stream *stream; /* NULL: none */
	struct spa_hook listener;
	struct snd_params params; /* that it was made for */
	struct spa_source *cycle; /* an event: process() was here */
	struct spa_source *watch; /* a timer */
	struct byte_ring ring;
	bool away; /* timed.c is in charge */
	bool running;
	uint64_t idle_since;
	bool released;
	uint64_t cycle_ns; /* when the last cycle was seen */
	uint64_t answered_ns; /* when a message was answered, or there was none */

	/* shared with process(), which tries the lock and does not wait for it */
	pthread_mutex_t lock; /* for changes that concern the ring as a whole */
	uint64_t limit; /* position up to which bytes may be taken or put */
	uint64_t played; /* position that has been played */
	uint32_t quantum; /* bytes of a cycle, the most that was seen */
	uint32_t latency; /* bytes behind what was played */
};

static struct pipewire_link *link_of(const struct snd_stream *stream)
{
	return stream->snd->sink;
}

/* ---- PipeWire's thread ---- */

static void measure(struct snd_stream *stream, struct pipewire *pw)
{
	struct pw_time time;
	uint64_t frames;

	if (pw_stream_get_time_n(pw->stream, &time, sizeof(time)) < 0 || !time.rate.denom)
		return;
	frames = time.delay > 0 ? (uint64_t)time.delay : 0;
	frames = frames * time.rate.num * pw->params.rate / time.rate.denom + time.buffered;
	frames = MIN(frames, (uint64_t)pw->params.rate * 10); /* nonsense is not passed on */
	__atomic_store_n(&pw->latency, (uint32_t)(frames * pw->params.frame_bytes),
			 __ATOMIC_RELAXED);
	(void)stream;
}

/* How many of @want bytes may be taken (or put); 0 while the main loop changes the ring. */
static size_t allowed(const struct pipewire *pw, uint64_t at, size_t want)
{
	uint64_t limit = __atomic_load_n(&pw->limit, __ATOMIC_ACQUIRE);

	return limit > at ? (size_t)MIN(limit - at, (uint64_t)want) : 0;
}

static uint32_t process_playback(struct pipewire *pw, const struct spa_data *data,
				 uint64_t requested)
{
	uint32_t frame = pw->params.frame_bytes;
	uint64_t want = data->maxsize / frame;
	uint64_t at;
	size_t n;

	if (requested)
		want = MIN(want, requested);
	want *= frame;
	if (want > pw->quantum)
		__atomic_store_n(&pw->quantum, (uint32_t)want, __ATOMIC_RELAXED);
	if (pthread_mutex_trylock(&pw->lock)) {
		n = 0;
	} else {
		at = byte_ring_taken_position(&pw->ring);
		__atomic_store_n(&pw->played, at, __ATOMIC_RELEASE);
		n = MIN(allowed(pw, at, want), byte_ring_used(&pw->ring));
		byte_ring_take(&pw->ring, data->data, n);
		pthread_mutex_unlock(&pw->lock);
	}
	format_silence(pw->params.format, (char *)data->data + n, want - n);
	return (uint32_t)want;
}

static void process_capture(struct pipewire *pw, const struct spa_data *data)
{
	uint32_t offset = MIN(data->chunk->offset, data->maxsize);
	size_t n = MIN(data->chunk->size, data->maxsize - offset);

	if (pthread_mutex_trylock(&pw->lock))
		return;
	n = allowed(pw, byte_ring_put_position(&pw->ring), n);
	n = MIN(n, byte_ring_room(&pw->ring)); /* what nobody takes is lost */
	byte_ring_put(&pw->ring, (const char *)data->data + offset, n - n % pw->params.frame_bytes);
	pthread_mutex_unlock(&pw->lock);
}

static void process(void *arg)
{
	struct snd_stream *stream = arg;
	struct pipewire *pw = stream->sink;
	struct pw_buffer *buffer = pw_stream_dequeue_buffer(pw->stream);
	struct spa_data *data;

	if (!buffer)
		return;
	data = &buffer->buffer->datas[0];
	if (data->data && stream->capture) {
		process_capture(pw, data);
	} else if (data->data) {
		data->chunk->offset = 0;
		data->chunk->stride = (int32_t)pw->params.frame_bytes;
		data->chunk->size = process_playback(pw, data, buffer->requested);
		buffer->size = data->chunk->size / pw->params.frame_bytes;
	}
	measure(stream, pw);
	pw_stream_queue_buffer(pw->stream, buffer);
	pw_loop_signal_event(link_of(stream)->loop, pw->cycle);
}

/* ---- the main loop: the ring ---- */

static void fill_ring(struct snd_stream *stream, struct pipewire *pw)
{
	uint8_t chunk[CHUNK_BYTES];
	size_t frame = pw->params.frame_bytes, n;

	for (;;) {
		n = MIN(sizeof(chunk), byte_ring_room(&pw->ring));
		n = snd_stream_read(stream, chunk, n - n % frame);
		if (!n)
			return;
		byte_ring_put(&pw->ring, chunk, n);
	}
}

static void empty_ring(struct snd_stream *stream, struct pipewire *pw)
{
	uint8_t chunk[CHUNK_BYTES];
	size_t frame = pw->params.frame_bytes, n;

	while (stream->taken < stream->queued) {
		n = MIN(sizeof(chunk), byte_ring_used(&pw->ring));
		n = MIN((uint64_t)n, stream->queued - stream->taken);
		n -= n % frame;
		if (!n)
			return;
		byte_ring_take(&pw->ring, chunk, n);
		snd_stream_write(stream, chunk, n);
	}
}

static void set_limit(struct pipewire *pw, uint64_t limit)
{
	__atomic_store_n(&pw->limit, limit, __ATOMIC_RELEASE);
}

/* The ring begins at the stream's present position; nothing moves before the next start. */
static void reset_ring(struct snd_stream *stream, struct pipewire *pw)
{
	pthread_mutex_lock(&pw->lock);
	byte_ring_reset(&pw->ring, stream->taken);
	pw->played = stream->taken;
	set_limit(pw, 0);
	pthread_mutex_unlock(&pw->lock);
}

/*
 * PipeWire takes a cycle's worth at once. Where the driver's buffer does not hold two of them,
 * messages are answered that much earlier, and the latency says so.
 */
static uint32_t lead_bytes(const struct snd_stream *stream, const struct pipewire *pw)
{
	uint32_t two = 2 * __atomic_load_n(&pw->quantum, __ATOMIC_RELAXED);

	return two > stream->params.buffer_bytes ? two - stream->params.buffer_bytes : 0;
}

static void answer(struct snd_stream *stream, struct pipewire *pw, uint64_t at, uint32_t latency)
{
	uint64_t before = stream->done;

	snd_stream_done(stream, at, latency);
	if (stream->done != before || !stream->first)
		pw->answered_ns = now_ns();
}

static void answer_played(struct snd_stream *stream, struct pipewire *pw)
{
	uint32_t lead = lead_bytes(stream, pw);
	uint64_t at = __atomic_load_n(&pw->played, __ATOMIC_ACQUIRE) + lead;

	answer(stream, pw, MIN(at, stream->taken),
	       __atomic_load_n(&pw->latency, __ATOMIC_RELAXED) + lead);
}

static void look_for_xrun(struct snd_stream *stream, const struct pipewire *pw)
{
	if (stream->first || stream->starved || !stream->queued ||
	    __atomic_load_n(&pw->played, __ATOMIC_ACQUIRE) < stream->queued)
		return;
	stream->starved = true;
	snd_stream_xrun(stream);
}

static void set_watch(const struct snd_stream *stream, struct pipewire *pw, bool on)
{
	struct timespec when = { 0, on ? WATCH_MS * (long)NSEC_PER_MSEC : 0 };

	pw_loop_update_timer(link_of(stream)->loop, pw->watch, &when, on ? &when : NULL, false);
}

static void come_back(struct snd_stream *stream, struct pipewire *pw)
{
	timed_stop(stream);
	timed_release(stream);
	pw->away = false;
	pw->answered_ns = now_ns();
	reset_ring(stream, pw);
	if (!stream->capture)
		fill_ring(stream, pw);
	set_limit(pw, UINT64_MAX);
	log_notice("stream %u: PipeWire %s it again", stream->id,
		   stream->capture ? "records" : "plays");
}

static void go_away(struct snd_stream *stream, struct pipewire *pw)
{
	snd_stream_available(stream, false);
	if (pw->away)
		return;
	log_ratelimited(LOG_LEVEL_WARNING, "stream %u: PipeWire does not %s it: %s", stream->id,
		    stream->capture ? "record" : "play",
		    stream->capture ? "silence is recorded" : "it is not heard");
	pw->away = true;
	set_limit(pw, 0);
	timed_prepare(stream);
	if (pw->running)
		timed_start_at(stream, pw->cycle_ns);
}

/* A stream that PipeWire had no cycles for has one, whether a program still uses it or not. */
static void cycles_again(struct snd_stream *stream, struct pipewire *pw)
{
	snd_stream_available(stream, true);
	pw->idle_since = pw->cycle_ns;
	set_watch(stream, pw, true);
}

static void cycle_seen(void *arg, uint64_t count)
{
	struct snd_stream *stream = arg;
	struct pipewire *pw = stream->sink;

	(void)count;
	pw->cycle_ns = now_ns();
	if (pw->stream && !stream->available)
		cycles_again(stream, pw);
	if (!pw->stream || !pw->running)
		return;
	if (pw->away) {
		come_back(stream, pw);
		return;
	}
	if (stream->capture) {
		empty_ring(stream, pw);
		answer(stream, pw, stream->taken,
		       __atomic_load_n(&pw->latency, __ATOMIC_RELAXED));
		return;
	}
	fill_ring(stream, pw);
	answer_played(stream, pw);
	look_for_xrun(stream, pw);
}

/* ---- streams of PipeWire's ---- */

static void state_changed(void *arg, enum pw_stream_state old, enum pw_stream_state state,
			  const char *error)
{
	struct snd_stream *stream = arg;

	log_debug("stream %u: PipeWire: %s, then %s", stream->id, pw_stream_state_as_string(old),
		  pw_stream_state_as_string(state));
	if (state == PW_STREAM_STATE_ERROR)
		log_error("stream %u: PipeWire refuses to %s it: %s", stream->id,
			  stream->capture ? "record" : "play", error ? error : "no reason given");
}

static const struct pw_stream_events stream_events = {
	PW_VERSION_STREAM_EVENTS,
	.state_changed = state_changed,
	.process = process,
};

static struct pw_properties *make_props(const struct snd_stream *stream)
{
	const struct snd_params *p = &stream->params;
	const char *name = stream->snd->name ? stream->snd->name : "vhost-user-snd";
	uint32_t frames = p->period_bytes / p->frame_bytes / 2;
	struct pw_properties *props;

	props = pw_properties_new(PW_KEY_MEDIA_TYPE, "Audio", PW_KEY_MEDIA_CATEGORY,
				  stream->capture ? "Capture" : "Playback", PW_KEY_MEDIA_ROLE,
				  stream->snd->role ? stream->snd->role : "Music", PW_KEY_APP_NAME,
				  name, NULL);
	if (!props)
		return NULL;
	pw_properties_setf(props, PW_KEY_NODE_NAME, "%s.%s%u", name, snd_stream_kind(stream),
			   stream->nid);
	pw_properties_setf(props, PW_KEY_NODE_DESCRIPTION, "%s, %s %u", name,
			   snd_stream_kind(stream), stream->nid);
	/* two cycles a period, or 25 a second if that is more often */
	pw_properties_setf(props, PW_KEY_NODE_LATENCY, "%u/%u", MAX(MIN(frames, p->rate / 25), 1U),
			   p->rate);
	if (stream->target) {
		pw_properties_set(props, "target.object", stream->target);
		pw_properties_set(props, "node.target", stream->target);
	}
	return props;
}

static int connect_stream(struct snd_stream *stream, struct pipewire *pw)
{
	uint8_t buffer[1024];
	struct spa_pod_builder builder = SPA_POD_BUILDER_INIT(buffer, sizeof(buffer));
	const struct spa_pod *params[1];
	struct spa_audio_info_raw info;

	pipewire_describe(&stream->params, &info);
	params[0] = spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, &info);
	return pw_stream_connect(pw->stream,
				 stream->capture ? PW_DIRECTION_INPUT : PW_DIRECTION_OUTPUT,
				 PW_ID_ANY,
				 PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_INACTIVE |
					 PW_STREAM_FLAG_MAP_BUFFERS | PW_STREAM_FLAG_RT_PROCESS,
				 params, 1);
}

static void destroy_stream(struct pipewire *pw)
{
	if (!pw->stream)
		return;
	spa_hook_remove(&pw->listener);
	pw_stream_destroy(pw->stream);
	pw->stream = NULL;
	byte_ring_finish(&pw->ring);
}

static int create_stream(struct snd_stream *stream, struct pipewire *pw)
{
	int ret;

	pw->params = stream->params;
	pw->quantum = 0;
	pw->latency = 0;
	pw->released = false;
	ret = byte_ring_init(&pw->ring, MIN(stream->params.buffer_bytes, RING_MAX));
	if (ret)
		return ret;
	reset_ring(stream, pw);
	pw->stream = pw_stream_new(link_of(stream)->core, "sound card", make_props(stream));
	if (!pw->stream) {
		byte_ring_finish(&pw->ring);
		return -errno;
	}
	spa_zero(pw->listener);
	pw_stream_add_listener(pw->stream, &pw->listener, &stream_events, stream);
	ret = connect_stream(stream, pw);
	if (ret < 0)
		destroy_stream(pw);
	return ret < 0 ? ret : 0;
}

static bool same_params(const struct snd_params *a, const struct snd_params *b)
{
	return a->format_number == b->format_number && a->rate == b->rate &&
	       a->channels == b->channels && a->buffer_bytes == b->buffer_bytes &&
	       a->period_bytes == b->period_bytes;
}

/* ---- looking after them ---- */

static uint64_t stalled_ns(const struct snd_stream *stream)
{
	uint64_t frames = stream->params.buffer_bytes / stream->params.frame_bytes;
	uint64_t buffer_ns = frames * 1000 * NSEC_PER_MSEC / stream->params.rate;

	return MAX(buffer_ns / 2, STALLED_MIN_NS);
}

/*
 * A graph that is late for long, on a machine that has too much to do, leaves out what it had no
 * time for; else the driver would give up the stream.
 */
static void leave_out(struct snd_stream *stream, struct pipewire *pw)
{
	uint64_t to = stream->first->end;

	log_ratelimited(LOG_LEVEL_INFO, "stream %u: PipeWire is late: a period is left out",
			stream->id);
	if (!stream->capture) {
		fill_ring(stream, pw);
		pthread_mutex_lock(&pw->lock);
		to = MIN(to, byte_ring_put_position(&pw->ring));
		if (byte_ring_taken_position(&pw->ring) < to)
			__atomic_store_n(&pw->ring.taken, to, __ATOMIC_RELEASE);
		pw->played = to;
		pthread_mutex_unlock(&pw->lock);
	} else {
		snd_stream_skip(stream, to);
	}
	answer(stream, pw, to, 0);
}

/*
 * A stream that PipeWire had no cycles for is kept, active: its first cycle tells that there is
 * something to play to again. Programs that go by the jack do not try before.
 */
static void let_idle(const struct snd_stream *stream, struct pipewire *pw)
{
	if (pw->released && stream->available)
		destroy_stream(pw);
	else if (pw->stream && stream->available)
		pw_stream_set_active(pw->stream, false);
	set_watch(stream, pw, false);
}

static void watch(void *arg, uint64_t count)
{
	struct snd_stream *stream = arg;
	struct pipewire *pw = stream->sink;
	uint64_t now = now_ns();

	(void)count;
	if (pw->running && !stream->first)
		pw->answered_ns = now;
	if (pw->running) {
		if (now - pw->cycle_ns > stalled_ns(stream))
			go_away(stream, pw);
		else if (!pw->away && now - pw->answered_ns > stalled_ns(stream) / 2 * 3)
			leave_out(stream, pw);
		return;
	}
	if (now - pw->idle_since >= IDLE_NS)
		let_idle(stream, pw);
}

void pipewire_lost(struct snd_device *snd)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++) {
		struct snd_stream *stream = &snd->streams[i];
		struct pipewire *pw = stream->sink;

		if (pw->stream && !pw->released)
			go_away(stream, pw);
		destroy_stream(pw);
		snd_stream_available(stream, false);
	}
}

void pipewire_found(struct snd_device *snd)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++) {
		struct snd_stream *stream = &snd->streams[i];
		struct pipewire *pw = stream->sink;

		if (!pw->away)
			snd_stream_available(stream, true);
		else if (!create_stream(stream, pw))
			pw_stream_set_active(pw->stream, true);
	}
}

/* ---- the driver's requests ---- */

static int pipewire_prepare(struct snd_stream *stream)
{
	struct pipewire *pw = stream->sink;
	bool gone = !link_of(stream)->core;
	int ret;

	pw->idle_since = now_ns();
	pw->running = false;
	pw->released = false;
	set_watch(stream, pw, true);
	pw->away = gone && !stream->fresh;
	if (gone && stream->fresh) {
		log_error("stream %u: there is no PipeWire to %s it", stream->id,
			  stream->capture ? "record" : "play");
		return -EIO;
	}
	/* a program that has it open is not to notice more than it must */
	if (pw->away)
		return timed_prepare(stream);
	/* one without cycles may be one that the session manager has given up */
	if (pw->stream && stream->available && same_params(&pw->params, &stream->params) &&
	    pw_stream_get_state(pw->stream, NULL) > PW_STREAM_STATE_UNCONNECTED) {
		reset_ring(stream, pw);
		pw_stream_set_active(pw->stream, true);
		return 0;
	}
	destroy_stream(pw);
	ret = create_stream(stream, pw);
	if (!ret) /* it takes a while, so it begins before it is needed */
		pw_stream_set_active(pw->stream, true);
	else
		log_error("stream %u: PipeWire takes no stream: %s", stream->id, strerror(-ret));
	return ret;
}

static int pipewire_start(struct snd_stream *stream)
{
	struct pipewire *pw = stream->sink;

	pw->running = true;
	pw->cycle_ns = now_ns();
	pw->answered_ns = pw->cycle_ns;
	set_watch(stream, pw, true);
	if (pw->stream)
		pw_stream_set_active(pw->stream, true);
	if (pw->away)
		return timed_start(stream);
	if (!stream->capture)
		fill_ring(stream, pw);
	set_limit(pw, UINT64_MAX);
	return 0;
}

/* What has been answered may still be taken, the rest waits. */
static void pipewire_stop(struct snd_stream *stream)
{
	struct pipewire *pw = stream->sink;

	pw->running = false;
	pw->idle_since = now_ns();
	if (pw->away) {
		timed_stop(stream);
		return;
	}
	if (stream->capture)
		reset_ring(stream, pw);
	else
		answer_played(stream, pw);
	set_limit(pw, stream->capture ? 0 : stream->done);
}

static void pipewire_release(struct snd_stream *stream)
{
	struct pipewire *pw = stream->sink;

	if (pw->away)
		timed_release(stream);
	pw->away = false;
	pw->released = true;
	pw->idle_since = now_ns();
	set_watch(stream, pw, true);
}

static void pipewire_queued(struct snd_stream *stream)
{
	struct pipewire *pw = stream->sink;

	if (pw->away)
		timed_queued(stream);
	else if (stream->capture)
		empty_ring(stream, pw);
	else
		fill_ring(stream, pw);
}

/* ---- the program ---- */

static int check_target(const struct snd_stream *stream)
{
	int ret;

	if (!stream->target)
		return 0;
	ret = link_has_node(link_of(stream), stream->target);
	if (ret < 0)
		log_error("PipeWire does not say which nodes it has: %s", strerror(-ret));
	else if (!ret)
		log_error("--%s %s: PipeWire has no node of this name (pw-cli list-objects Node)",
			  snd_stream_kind(stream), stream->target);
	return ret > 0 ? 0 : ret ? ret : -ENOENT;
}

static int pipewire_stream_open(struct snd_stream *stream)
{
	struct pipewire *pw = calloc(1, sizeof(*pw));

	if (!pw)
		return -ENOMEM;
	stream->sink = pw;
	pthread_mutex_init(&pw->lock, NULL);
	pw->cycle = pw_loop_add_event(link_of(stream)->loop, cycle_seen, stream);
	pw->watch = pw_loop_add_timer(link_of(stream)->loop, watch, stream);
	if (!pw->cycle || !pw->watch)
		return -ENOMEM;
	stream->caps = (struct snd_caps){
		.formats = pipewire_formats(),
		.rates = RATE_ALL,
		.channels_min = 1,
		.channels_max = SND_MAX_CHANNELS,
	};
	return check_target(stream);
}

static void pipewire_stream_close(struct snd_stream *stream)
{
	struct pipewire *pw = stream->sink;

	if (!pw)
		return;
	destroy_stream(pw);
	if (pw->cycle)
		pw_loop_destroy_source(link_of(stream)->loop, pw->cycle);
	if (pw->watch)
		pw_loop_destroy_source(link_of(stream)->loop, pw->watch);
	pthread_mutex_destroy(&pw->lock);
	free(pw);
	stream->sink = NULL;
}

static int pipewire_open(struct snd_device *snd)
{
	struct pipewire_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	pw_init(NULL, NULL);
	snd->sink = link;
	return link_open(link, snd);
}

static void pipewire_close(struct snd_device *snd)
{
	if (!snd->sink)
		return;
	link_close(snd->sink);
	free(snd->sink);
	snd->sink = NULL;
	pw_deinit();
}

const struct snd_sink_ops sink_pipewire = {
	.name = "pipewire",
	.wide = true,
	.open = pipewire_open,
	.close = pipewire_close,
	.stream_open = pipewire_stream_open,
	.stream_close = pipewire_stream_close,
	.prepare = pipewire_prepare,
	.start = pipewire_start,
	.stop = pipewire_stop,
	.release = pipewire_release,
	.queued = pipewire_queued,
};
