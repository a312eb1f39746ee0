/* SPDX-License-Identifier: BSD-3-Clause */
/* What the volume and the mute switch do to samples. */
#ifndef SND_GAIN_H
#define SND_GAIN_H

#include "backends/snd/format.h"

/* Steps of half a decibel; the last is as it came, the first is silence */
#define GAIN_STEPS 120
#define GAIN_STEP_CENTIBEL 50
#define GAIN_MIN_CENTIBEL (-GAIN_STEPS * GAIN_STEP_CENTIBEL)

struct gain {
	unsigned int volume; /* 0 to GAIN_STEPS */
	bool on; /* not muted */
};

static inline bool gain_is_unity(const struct gain *gain)
{
	return gain->on && gain->volume == GAIN_STEPS;
}

/**
 * gain_apply() - scale samples
 * @gain:	how much
 * @format:	of the samples; of a coded one only silence can be made
 * @buf:	the samples, changed
 * @len:	bytes; whole samples
 */
void gain_apply(const struct gain *gain, const struct format *format, void *buf, size_t len);

#endif
