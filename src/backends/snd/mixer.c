// SPDX-License-Identifier: BSD-3-Clause
/* Control elements (5.14.6.10): of each stream a volume, then a switch. */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "backends/snd/snd.h"

static bool is_switch(unsigned int control)
{
	return control % SND_CONTROLS_PER_STREAM;
}

void snd_mixer_reset(struct snd_device *snd)
{
	unsigned int i;

	for (i = 0; i < snd->num_streams; i++)
		snd->streams[i].gain = (struct gain){ .volume = GAIN_STEPS, .on = true };
}

/* Names as ALSA's mixer wants them, so that it makes one slider with a switch of the two. */
void snd_mixer_info(const struct snd_device *snd, unsigned int control, struct snd_ctl_info *info)
{
	const struct snd_stream *stream = &snd->streams[control / SND_CONTROLS_PER_STREAM];
	uint32_t access = 1U << SND_CTL_ACCESS_READ | 1U << SND_CTL_ACCESS_WRITE;

	/* an initialiser need not reach what lies between the fields, and all of it goes out */
	memset(info, 0, sizeof(*info));
	info->hdr.hda_fn_nid = htole32(stream->nid);
	info->count = htole32(1);
	info->index = htole32(stream->nid);
	snprintf((char *)info->name, sizeof(info->name), "%s %s",
		 stream->capture ? "Capture" : "Master Playback",
		 is_switch(control) ? "Switch" : "Volume");
	if (is_switch(control)) {
		info->role = htole32(SND_CTL_ROLE_MUTE);
		info->type = htole32(SND_CTL_TYPE_BOOLEAN);
		info->value.integer.max = htole32(1);
	} else {
		info->role = htole32(SND_CTL_ROLE_VOLUME);
		info->type = htole32(SND_CTL_TYPE_INTEGER);
		info->value.integer.max = htole32(GAIN_STEPS);
		access |= 1U << SND_CTL_ACCESS_TLV_READ;
	}
	info->value.integer.step = htole32(1);
	info->access = htole32(access);
}

uint32_t snd_mixer_read(const struct snd_device *snd, unsigned int control, uint32_t *value)
{
	const struct gain *gain = &snd->streams[control / SND_CONTROLS_PER_STREAM].gain;

	*value = is_switch(control) ? gain->on : gain->volume;
	return VIRTIO_SND_S_OK;
}

uint32_t snd_mixer_write(struct snd_device *snd, unsigned int control, uint32_t value)
{
	struct gain *gain = &snd->streams[control / SND_CONTROLS_PER_STREAM].gain;
	uint32_t before;

	if (value > (is_switch(control) ? 1 : GAIN_STEPS))
		return VIRTIO_SND_S_BAD_MSG;
	snd_mixer_read(snd, control, &before);
	if (value == before)
		return VIRTIO_SND_S_OK;
	if (is_switch(control))
		gain->on = value;
	else
		gain->volume = value;
	/* The driver tells other programs that have the mixer open only when it is told. */
	snd->control_events |= 1U << control;
	snd_events_flush(snd);
	return VIRTIO_SND_S_OK;
}

size_t snd_mixer_tlv(const struct snd_device *snd, unsigned int control, __le32 tlv[4])
{
	(void)snd;
	if (is_switch(control))
		return 0;
	tlv[0] = htole32(SND_TLV_DB_SCALE);
	tlv[1] = htole32(2 * sizeof(tlv[0]));
	tlv[2] = htole32((uint32_t)GAIN_MIN_CENTIBEL);
	tlv[3] = htole32(GAIN_STEP_CENTIBEL | SND_TLV_DB_MUTE);
	return 4 * sizeof(tlv[0]);
}
