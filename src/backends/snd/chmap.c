// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/chmap.h"

#include "backends/snd/sink.h"

#define P(position) VIRTIO_SND_CHMAP_##position

/* What programs that do not ask take for granted on Linux */
static const uint8_t alsa_order[][SND_MAX_CHANNELS] = {
	[1] = { P(MONO) },
	[2] = { P(FL), P(FR) },
	[4] = { P(FL), P(FR), P(RL), P(RR) },
	[6] = { P(FL), P(FR), P(RL), P(RR), P(FC), P(LFE) },
	[8] = { P(FL), P(FR), P(RL), P(RR), P(FC), P(LFE), P(SL), P(SR) },
};

/* What wav files have */
static const uint8_t wav_order[][SND_MAX_CHANNELS] = {
	[1] = { P(MONO) },
	[2] = { P(FL), P(FR) },
	[4] = { P(FL), P(FR), P(RL), P(RR) },
	[6] = { P(FL), P(FR), P(FC), P(LFE), P(RL), P(RR) },
	[8] = { P(FL), P(FR), P(FC), P(LFE), P(RL), P(RR), P(SL), P(SR) },
};

const uint8_t *chmap_positions(bool wav, unsigned int channels)
{
	const uint8_t(*order)[SND_MAX_CHANNELS] = wav ? wav_order : alsa_order;

	if (channels >= ARRAY_SIZE(alsa_order) || !order[channels][0])
		return NULL;
	return order[channels];
}

unsigned int chmap_count(const struct snd_device *snd)
{
	unsigned int i, channels, count = 0;

	for (i = 0; i < snd->num_streams; i++) {
		const struct snd_caps *caps = &snd->streams[i].caps;

		for (channels = caps->channels_min; channels <= caps->channels_max; channels++)
			count += chmap_positions(snd->ops->wav_order, channels) != NULL;
	}
	return count;
}

void chmap_find(const struct snd_device *snd, unsigned int number, const struct snd_stream **stream,
		uint8_t *channels, const uint8_t **positions)
{
	unsigned int i, n;

	for (i = 0; i < snd->num_streams; i++) {
		const struct snd_caps *caps = &snd->streams[i].caps;

		for (n = caps->channels_min; n <= caps->channels_max; n++) {
			*positions = chmap_positions(snd->ops->wav_order, n);
			*channels = (uint8_t)n;
			*stream = &snd->streams[i];
			if (*positions && !number--)
				return;
		}
	}
}
