// SPDX-License-Identifier: BSD-3-Clause
/*
 * The sound device's four queues: the input is the driver's memory, and in which order the queues
 * are worked on. The sink takes and gives as much as the input says, and fails when it says so.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backends/snd/sink.h"
#include "rig.h"

#define RING 512 /* bytes between the rings */
#define STEPS 32

static struct rig rig = { .size = 16384, .avail = 128, .used = 256 };
static uint8_t mood; /* of the sink */

static int fuzz_prepare(struct snd_stream *stream)
{
	(void)stream;
	return (mood & 7) == 7 ? -EIO : (mood & 7) == 6 ? -EOPNOTSUPP : 0;
}

static int fuzz_start(struct snd_stream *stream)
{
	(void)stream;
	return (mood & 7) == 5 ? -EIO : 0;
}

static void fuzz_stop(struct snd_stream *stream)
{
	if (mood & 1)
		snd_stream_available(stream, mood & 2);
}

static void fuzz_release(struct snd_stream *stream)
{
	(void)stream;
}

/* Positions must fit together, whatever the driver does. */
static void check(const struct snd_stream *stream)
{
	const struct snd_message *msg;
	unsigned int n = 0;

	for (msg = stream->first; msg; msg = msg->next)
		n++;
	if (n != stream->pending || stream->taken > stream->queued ||
	    stream->done > stream->taken || (!stream->first && stream->done != stream->queued))
		abort();
}

static void move(struct snd_stream *stream, unsigned int frames)
{
	uint8_t buf[512];
	size_t len = frames * (size_t)stream->params.frame_bytes % sizeof(buf);

	len -= len % stream->params.frame_bytes;
	if (frames & 64) {
		snd_stream_skip(stream, stream->taken + len);
	} else if (stream->capture) {
		memset(buf, 0x11, len);
		snd_stream_write(stream, buf, len);
	} else {
		snd_stream_read(stream, buf, len);
	}
	snd_stream_done(stream, stream->taken, 0);
	if (frames & 128)
		snd_stream_xrun(stream);
	check(stream);
}

static void fuzz_queued(struct snd_stream *stream)
{
	if (mood & 16)
		move(stream, mood);
}

static const struct snd_sink_ops fuzz_sink = {
	.name = "fuzz",
	.prepare = fuzz_prepare,
	.start = fuzz_start,
	.stop = fuzz_stop,
	.release = fuzz_release,
	.queued = fuzz_queued,
};

#define EVEN_LAP (1U << VRING_PACKED_DESC_F_AVAIL)
#define ODD_LAP (1U << VRING_PACKED_DESC_F_USED)
#define LAPS (EVEN_LAP | ODD_LAP)

static uint64_t packed; /* the layout of the rings: a feature bit or nothing */
static unsigned int offered[SND_QUEUES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	rig_init(&rig);
	return 0;
}

static void init(struct snd_device *snd, uint8_t features)
{
	unsigned int i;

	*snd = (struct snd_device){ .ops = &fuzz_sink, .num_streams = 3, .features = features & 1 };
	for (i = 0; i < snd->num_streams; i++) {
		snd->streams[i] = (struct snd_stream){
			.snd = snd,
			.id = i,
			.nid = i / 2,
			.capture = i == 1,
			.caps = { FORMAT_ALL, RATE_ALL, 1, SND_MAX_CHANNELS },
			.available = true,
			.timer_fd = -1,
		};
	}
	snd_mixer_reset(snd);
}

static int start_queue(struct vu_queue *queue, unsigned int index)
{
	struct vq_setup setup = rig_setup(&rig, (uint64_t)index * RING,
					  BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | packed);

	setup.index = index;
	*queue = (struct vu_queue){ .index = index, .kick_fd = -1 };
	return vq_start(&queue->vq, &setup);
}

/* The driver made one more entry of that ring available. */
static void offer(unsigned int queue)
{
	uint16_t *idx = (uint16_t *)(void *)(rig.memory + queue * RING + rig.avail + 2);
	struct vring_packed_desc *descs = (void *)(rig.memory + queue * RING);
	unsigned int n = offered[queue]++;

	if (packed) /* each in turn, lap by lap */
		descs[n % RIG_NUM].flags = (uint16_t)((descs[n % RIG_NUM].flags & ~LAPS) |
						      (n / RIG_NUM % 2 ? ODD_LAP : EVEN_LAP));
	else
		++*idx;
}

static void step(struct snd_device *snd, struct vu_queue *queues, uint8_t what)
{
	unsigned int n = what & 3;
	struct snd_stream *stream = &snd->streams[n % 3];

	mood = what >> 2;
	switch (what >> 5) {
	case 0:
		if (stream->state == SND_RUNNING)
			move(stream, mood);
		break;
	case 1:
		snd_stream_available(stream, what & 4);
		break;
	default:
		offer(n);
		if (!snd->queues[n])
			break;
		if (n == VIRTIO_SND_VQ_CONTROL)
			snd_control_work(snd);
		else if (n == VIRTIO_SND_VQ_EVENT)
			snd_events_flush(snd);
		else
			snd_io_work(snd, &queues[n]);
	}
	check(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vu_queue queues[SND_QUEUES];
	static struct snd_device snd;
	bool started[SND_QUEUES];
	unsigned int i;

	if (size < STEPS + 1)
		return 0;
	rig_fill(&rig, data + STEPS + 1, size - STEPS - 1);
	init(&snd, data[0]);
	packed = rig_packed(data[0] & 2);
	memset(offered, 0, sizeof(offered));
	for (i = 0; i < SND_QUEUES; i++) {
		started[i] = !start_queue(&queues[i], i);
		snd.queues[i] = started[i] ? &queues[i] : NULL;
	}
	for (i = 0; i < STEPS; i++)
		step(&snd, queues, data[1 + i]);
	for (i = 0; i < SND_QUEUES; i++) {
		if (!started[i])
			continue;
		snd_io_cancel(&snd, &queues[i]);
		snd.queues[i] = NULL;
		vq_stop(&queues[i].vq);
	}
	for (i = 0; i < snd.num_streams; i++) {
		snd_stream_reset(&snd.streams[i]);
		check(&snd.streams[i]);
	}
	return 0;
}
