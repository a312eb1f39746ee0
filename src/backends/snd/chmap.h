/* SPDX-License-Identifier: BSD-3-Clause */
/* Channel maps (5.14.6.9): which speaker each channel of a frame is for. */
#ifndef SND_CHMAP_H
#define SND_CHMAP_H

#include "backends/snd/snd.h"

/**
 * chmap_positions() - the speakers of a number of channels
 * @wav:	in the order of wav files, not in ALSA's
 *
 * Return: @channels times VIRTIO_SND_CHMAP_..., or NULL where there is no common layout.
 */
const uint8_t *chmap_positions(bool wav, unsigned int channels);

/* chmap_count() - how many maps the device has: for each stream and number of channels one */
unsigned int chmap_count(const struct snd_device *snd);

/* chmap_find() - map @number, below chmap_count() */
void chmap_find(const struct snd_device *snd, unsigned int number, const struct snd_stream **stream,
		uint8_t *channels, const uint8_t **positions);

#endif
