// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/format.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"

#define S(name_, bytes_, bits_) { .name = (name_), .bytes = (bytes_), .bits = (bits_) }
#define U(name_, bytes_, bits_) \
	{ .name = (name_), .bytes = (bytes_), .bits = (bits_), .kind = FORMAT_UNSIGNED }
#define F(name_, bytes_) \
	{ .name = (name_), .bytes = (bytes_), .bits = 8 * (bytes_), .kind = FORMAT_FLOAT }
#define CODED(name_, bytes_, silence_)                                       \
	{ .name = (name_), .bytes = (bytes_), .bits = 8 * (bytes_),         \
	  .kind = FORMAT_CODED, .silence = (silence_) }

static const struct format formats[] = {
	[VIRTIO_SND_PCM_FMT_MU_LAW] = CODED("MU_LAW", 1, 0xff),
	[VIRTIO_SND_PCM_FMT_A_LAW] = CODED("A_LAW", 1, 0xd5),
	[VIRTIO_SND_PCM_FMT_S8] = S("S8", 1, 8),
	[VIRTIO_SND_PCM_FMT_U8] = U("U8", 1, 8),
	[VIRTIO_SND_PCM_FMT_S16] = S("S16_LE", 2, 16),
	[VIRTIO_SND_PCM_FMT_U16] = U("U16_LE", 2, 16),
	[VIRTIO_SND_PCM_FMT_S18_3] = S("S18_3LE", 3, 18),
	[VIRTIO_SND_PCM_FMT_U18_3] = U("U18_3LE", 3, 18),
	[VIRTIO_SND_PCM_FMT_S20_3] = S("S20_3LE", 3, 20),
	[VIRTIO_SND_PCM_FMT_U20_3] = U("U20_3LE", 3, 20),
	[VIRTIO_SND_PCM_FMT_S24_3] = S("S24_3LE", 3, 24),
	[VIRTIO_SND_PCM_FMT_U24_3] = U("U24_3LE", 3, 24),
	[VIRTIO_SND_PCM_FMT_S20] = S("S20_LE", 4, 20),
	[VIRTIO_SND_PCM_FMT_U20] = U("U20_LE", 4, 20),
	[VIRTIO_SND_PCM_FMT_S24] = S("S24_LE", 4, 24),
	[VIRTIO_SND_PCM_FMT_U24] = U("U24_LE", 4, 24),
	[VIRTIO_SND_PCM_FMT_S32] = S("S32_LE", 4, 32),
	[VIRTIO_SND_PCM_FMT_U32] = U("U32_LE", 4, 32),
	[VIRTIO_SND_PCM_FMT_FLOAT] = F("FLOAT_LE", 4),
	[VIRTIO_SND_PCM_FMT_FLOAT64] = F("FLOAT64_LE", 8),
	[VIRTIO_SND_PCM_FMT_DSD_U8] = CODED("DSD_U8", 1, 0x69),
	[VIRTIO_SND_PCM_FMT_DSD_U16] = CODED("DSD_U16_LE", 2, 0x69),
	[VIRTIO_SND_PCM_FMT_DSD_U32] = CODED("DSD_U32_LE", 4, 0x69),
	[VIRTIO_SND_PCM_FMT_IEC958_SUBFRAME] = CODED("IEC958_SUBFRAME_LE", 4, 0),
};

static const unsigned int rates[] = {
	[VIRTIO_SND_PCM_RATE_5512] = 5512,     [VIRTIO_SND_PCM_RATE_8000] = 8000,
	[VIRTIO_SND_PCM_RATE_11025] = 11025,   [VIRTIO_SND_PCM_RATE_16000] = 16000,
	[VIRTIO_SND_PCM_RATE_22050] = 22050,   [VIRTIO_SND_PCM_RATE_32000] = 32000,
	[VIRTIO_SND_PCM_RATE_44100] = 44100,   [VIRTIO_SND_PCM_RATE_48000] = 48000,
	[VIRTIO_SND_PCM_RATE_64000] = 64000,   [VIRTIO_SND_PCM_RATE_88200] = 88200,
	[VIRTIO_SND_PCM_RATE_96000] = 96000,   [VIRTIO_SND_PCM_RATE_176400] = 176400,
	[VIRTIO_SND_PCM_RATE_192000] = 192000, [VIRTIO_SND_PCM_RATE_384000] = 384000,
};

const struct format *format_find(unsigned int number)
{
	if (number >= ARRAY_SIZE(formats) || !formats[number].bytes)
		return NULL;
	return &formats[number];
}

int format_by_name(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].bytes && !strcmp(formats[i].name, name))
			return (int)i;
	}
	return -ENOENT;
}

unsigned int rate_find(unsigned int number)
{
	return number < ARRAY_SIZE(rates) ? rates[number] : 0;
}

int rate_number(unsigned int rate)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		if (rates[i] == rate)
			return (int)i;
	}
	return -ENOENT;
}

void format_silence(const struct format *format, void *buf, size_t len)
{
	uint8_t *p = buf;
	size_t i;

	if (format->kind != FORMAT_UNSIGNED) {
		memset(buf, format->kind == FORMAT_CODED ? format->silence : 0, len);
		return;
	}
	memset(buf, 0, len);
	for (i = 0; i + format->bytes <= len; i += format->bytes)
		p[i + (format->bits - 1U) / 8] = (uint8_t)(1U << ((format->bits - 1U) % 8));
}
