/* SPDX-License-Identifier: BSD-3-Clause */
/* Sample formats and frame rates by the numbers that virtio gives them (5.14.6.6.2). */
#ifndef SND_FORMAT_H
#define SND_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/snd/protocol.h"

enum format_kind {
	FORMAT_SIGNED,
	FORMAT_UNSIGNED,
	FORMAT_FLOAT,
	FORMAT_CODED, /* what cannot be scaled sample by sample */
};

struct format {
	const char *name; /* as ALSA calls it */
	uint8_t bytes; /* of a sample in memory; 0: a number that is none, or not handled */
	uint8_t bits; /* that mean something */
	enum format_kind kind;
	uint8_t silence; /* FORMAT_CODED: what each byte of silence is */
};

/* All that this program handles: all that virtio names but IMA ADPCM, whose samples are 4 bits. */
#define FORMAT_ALL ((1ULL << (VIRTIO_SND_PCM_FMT_IEC958_SUBFRAME + 1)) - 2)
#define RATE_ALL ((1ULL << (VIRTIO_SND_PCM_RATE_384000 + 1)) - 1)

/* format_find() - Return: what the number means, or NULL */
const struct format *format_find(unsigned int number);

/* format_by_name() - Return: its number, or -ENOENT */
int format_by_name(const char *name);

/* rate_find() - Return: frames a second, 0 for a number that is no rate */
unsigned int rate_find(unsigned int number);

/* rate_number() - Return: the number of a rate, or -ENOENT */
int rate_number(unsigned int rate);

/* format_silence() - fill with what is heard as nothing; @len: whole samples */
void format_silence(const struct format *format, void *buf, size_t len);

#endif
