/* SPDX-License-Identifier: BSD-3-Clause */
/* PipeWire's names for sample formats and speakers. */
#ifndef SND_PIPEWIRE_FORMAT_H
#define SND_PIPEWIRE_FORMAT_H

#include <spa/param/audio/raw.h>

#include "backends/snd/snd.h"

/* pipewire_formats() - what its converter takes: bits VIRTIO_SND_PCM_FMT_... */
uint64_t pipewire_formats(void);

/* pipewire_describe() - a stream's format in its words; @params: one of pipewire_formats() */
void pipewire_describe(const struct snd_params *params, struct spa_audio_info_raw *info);

#endif
