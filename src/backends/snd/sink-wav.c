// SPDX-License-Identifier: BSD-3-Clause
/*
 * A file: what was played is in it, and nothing else; it grows as the sound is played. A file that
 * is recorded from gives its samples, then silence.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/snd/sink.h"
#include "backends/snd/wav.h"
#include "common/log.h"

static int create_failed(const char *path, int error)
{
	switch (error) {
	case -EBUSY:
		log_ratelimited(LOG_LEVEL_ERROR, "%s: another program writes this file", path);
		break;
	case -EINVAL:
		log_ratelimited(LOG_LEVEL_ERROR,
				"%s: cannot be written: it is not a regular file", path);
		break;
	default:
		log_ratelimited(LOG_LEVEL_ERROR, "%s: cannot be written: %s", path, strerror(-error));
		break;
	}
	return error;
}

static int open_playback(struct snd_stream *stream, struct wav_file *wav)
{
	int ret = wav_create(wav, stream->target);

	if (ret)
		return create_failed(stream->target, ret);
	stream->caps = (struct snd_caps){
		.formats = wav_formats,
		.rates = RATE_ALL,
		.channels_min = 1,
		.channels_max = SND_MAX_CHANNELS,
	};
	return 0;
}

/* What a file holds is what can be recorded from it: programs convert better than we would. */
static int open_capture(struct snd_stream *stream, struct wav_file *wav)
{
	const char *why;
	int ret = wav_open(wav, stream->target, &why);

	if (ret) {
		log_error("%s: cannot be recorded from: %s", stream->target,
			  why ? why : strerror(-ret));
		return ret;
	}
	stream->caps = (struct snd_caps){
		.formats = 1ULL << wav->format.format,
		.rates = 1ULL << rate_number(wav->format.rate),
		.channels_min = (uint8_t)wav->format.channels,
		.channels_max = (uint8_t)wav->format.channels,
	};
	return 0;
}

static int wav_stream_open(struct snd_stream *stream)
{
	struct wav_file *wav = calloc(1, sizeof(*wav));

	if (!wav)
		return -ENOMEM;
	wav->fd = -1;
	stream->sink = wav;
	return stream->capture ? open_capture(stream, wav) : open_playback(stream, wav);
}

static void wav_stream_close(struct snd_stream *stream)
{
	struct wav_file *wav = stream->sink;

	if (wav)
		wav_close(wav);
	free(wav);
	stream->sink = NULL;
}

/* A file has one format: with another one it begins anew. */
static int prepare_playback(struct snd_stream *stream, struct wav_file *wav)
{
	const struct wav_format format = {
		.format = stream->params.format_number,
		.channels = stream->params.channels,
		.rate = stream->params.rate,
	};
	int ret;

	if (!wav_same_format(&format, &wav->format)) {
		if (wav->length)
			log_ratelimited(LOG_LEVEL_NOTICE,
					"%s: begun anew: what is played now is %s, %u channels, %u Hz",
					stream->target, stream->params.format->name,
					format.channels, format.rate);
		ret = wav_begin(wav, &format);
	} else {
		ret = wav_append(wav, NULL, 0); /* it may be writable again */
	}
	if (ret)
		return create_failed(stream->target, ret);
	snd_stream_available(stream, true);
	return 0;
}

static int wav_prepare(struct snd_stream *stream)
{
	struct wav_file *wav = stream->sink;
	int ret = 0;

	if (!stream->capture)
		ret = prepare_playback(stream, wav);
	else if (stream->fresh)
		wav->at = 0;
	return ret ? ret : timed_prepare(stream);
}

static int wav_transfer(struct snd_stream *stream, void *buf, size_t len)
{
	struct wav_file *wav = stream->sink;
	size_t n;
	int ret;

	if (stream->capture) {
		n = wav_read(wav, buf, len);
		format_silence(stream->params.format, (char *)buf + n, len - n);
		return 0;
	}
	ret = wav_append(wav, buf, len);
	if (ret)
		log_ratelimited(LOG_LEVEL_ERROR,
				"%s: cannot be written any further: %s; it ends after %" PRIu64
				" bytes of sound",
				stream->target, strerror(-ret), wav->length);
	return ret;
}

const struct snd_sink_ops sink_wav = {
	.name = "wav",
	.wav_order = true,
	.needs_target = true,
	.stream_open = wav_stream_open,
	.stream_close = wav_stream_close,
	.prepare = wav_prepare,
	.start = timed_start,
	.stop = timed_stop,
	.release = timed_release,
	.queued = timed_queued,
	.transfer = wav_transfer,
};
