// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/pipewire-format.h"

#include "backends/snd/chmap.h"

struct format_name {
	unsigned int number;
	enum spa_audio_format spa;
};

/* What PipeWire's converter takes */
static const struct format_name formats[] = {
	{ VIRTIO_SND_PCM_FMT_MU_LAW, SPA_AUDIO_FORMAT_ULAW },
	{ VIRTIO_SND_PCM_FMT_A_LAW, SPA_AUDIO_FORMAT_ALAW },
	{ VIRTIO_SND_PCM_FMT_S8, SPA_AUDIO_FORMAT_S8 },
	{ VIRTIO_SND_PCM_FMT_U8, SPA_AUDIO_FORMAT_U8 },
	{ VIRTIO_SND_PCM_FMT_S16, SPA_AUDIO_FORMAT_S16_LE },
	{ VIRTIO_SND_PCM_FMT_S24_3, SPA_AUDIO_FORMAT_S24_LE },
	{ VIRTIO_SND_PCM_FMT_S24, SPA_AUDIO_FORMAT_S24_32_LE },
	{ VIRTIO_SND_PCM_FMT_S32, SPA_AUDIO_FORMAT_S32_LE },
	{ VIRTIO_SND_PCM_FMT_FLOAT, SPA_AUDIO_FORMAT_F32_LE },
	{ VIRTIO_SND_PCM_FMT_FLOAT64, SPA_AUDIO_FORMAT_F64_LE },
};

#define POSITION(name) [VIRTIO_SND_CHMAP_##name] = SPA_AUDIO_CHANNEL_##name

static const uint32_t positions[] = {
	POSITION(MONO), POSITION(FL), POSITION(FR),  POSITION(RL), POSITION(RR),
	POSITION(FC),   POSITION(LFE), POSITION(SL), POSITION(SR),
};

uint64_t pipewire_formats(void)
{
	uint64_t all = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		all |= 1ULL << formats[i].number;
	return all;
}

static const struct format_name *find_format(unsigned int number)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].number == number)
			return &formats[i];
	}
	return NULL;
}

void pipewire_describe(const struct snd_params *params, struct spa_audio_info_raw *info)
{
	const uint8_t *map = chmap_positions(false, params->channels);
	unsigned int i;

	*info = (struct spa_audio_info_raw){
		.format = find_format(params->format_number)->spa,
		.rate = params->rate,
		.channels = params->channels,
	};
	for (i = 0; i < info->channels; i++)
		info->position[i] = map ? positions[map[i]] : SPA_AUDIO_CHANNEL_AUX0 + i;
}
