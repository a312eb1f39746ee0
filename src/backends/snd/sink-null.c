// SPDX-License-Identifier: BSD-3-Clause
/* Nothing is heard, and silence is recorded, at the right pace. */
#include "backends/snd/sink.h"

static int null_stream_open(struct snd_stream *stream)
{
	stream->caps = (struct snd_caps){
		.formats = FORMAT_ALL,
		.rates = RATE_ALL,
		.channels_min = 1,
		.channels_max = SND_MAX_CHANNELS,
	};
	return 0;
}

const struct snd_sink_ops sink_null = {
	.name = "null",
	.stream_open = null_stream_open,
	.prepare = timed_prepare,
	.start = timed_start,
	.stop = timed_stop,
	.release = timed_release,
	.queued = timed_queued,
};
