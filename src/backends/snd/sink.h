/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sink (or source): what a stream is played to, or recorded from.
 *
 * stream.c keeps the messages and the states; a sink takes bytes with snd_stream_read(), or gives
 * them with snd_stream_write(), and says with snd_stream_done() how far it has got. Its own clock
 * decides when. A sink that is away lets timed.c go on in its place, so that the driver's card does
 * not break, and comes back by itself.
 */
#ifndef SND_SINK_H
#define SND_SINK_H

#include "backends/snd/snd.h"

struct snd_sink_ops {
	const char *name;
	bool wav_order; /* of channels; else ALSA's */
	bool wide; /* of a library: its system calls cannot be listed */
	bool needs_target; /* there is no default: --playback or --capture has to be given */

	/* NULL: no need. Once for the program. Errors are told in one line. */
	int (*open)(struct snd_device *snd);
	void (*close)(struct snd_device *snd);

	/* Once for each stream: find out what it can, fill in @caps. Errors as above. */
	int (*stream_open)(struct snd_stream *stream);
	void (*stream_close)(struct snd_stream *stream); /* NULL: no need; takes one half open */

	/*
	 * With the driver's requests. None may wait: the driver gives a request a second. @prepare
	 * comes with all counts at 0 and may fail with a negative errno, after a line that says
	 * why; -EOPNOTSUPP: not with these parameters.
	 */
	int (*prepare)(struct snd_stream *stream);
	int (*start)(struct snd_stream *stream);
	void (*stop)(struct snd_stream *stream); /* a pause: what is there stays */
	void (*release)(struct snd_stream *stream);

	/* There are more messages than before; also before @start, for playback. */
	void (*queued)(struct snd_stream *stream);

	/*
	 * For timed.c, NULL: bytes are forgotten, silence is recorded. @len: whole frames. Returns
	 * 0, or a negative errno when the sink is not to be used any more.
	 */
	int (*transfer)(struct snd_stream *stream, void *buf, size_t len);
};

/* NULL where this build has none */
extern const struct snd_sink_ops sink_null, sink_wav;
extern const struct snd_sink_ops sink_alsa, sink_pipewire;

/* ---- timed.c: for sinks that have no clock, and those that lost theirs ---- */

/* timed_open() - Return: 0 or a negative errno */
int timed_open(struct snd_stream *stream);
void timed_close(struct snd_stream *stream);

/* These fit into the table of a sink; timed_prepare() can also come in the middle of a stream. */
int timed_prepare(struct snd_stream *stream);
int timed_start(struct snd_stream *stream);
void timed_stop(struct snd_stream *stream);
void timed_release(struct snd_stream *stream);
void timed_queued(struct snd_stream *stream);

/* timed_start_at() - as if it had been started then: of a sink that stood still unnoticed */
void timed_start_at(struct snd_stream *stream, uint64_t since_ns);

#endif
