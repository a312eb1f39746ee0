// SPDX-License-Identifier: BSD-3-Clause
#include "backends/snd/gain.h"

#include <endian.h>
#include <math.h>
#include <string.h>

/* Samples have no alignment, and little-endian bytes in the order of the format. */
static uint32_t load(const uint8_t *p, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | p[bytes];
	return value;
}

static void store(uint8_t *p, unsigned int bytes, uint32_t value)
{
	for (; bytes--; value >>= 8)
		*p++ = (uint8_t)value;
}

/* The factor is at most 1, so nothing overflows and nothing has to be clipped. */
static void scale_integers(double factor, const struct format *format, uint8_t *p, size_t samples)
{
	uint32_t top = 1U << (format->bits - 1U);
	uint32_t mask = top | (top - 1);

	for (; samples--; p += format->bytes) {
		uint32_t raw = load(p, format->bytes);
		/* with the sign bit turned, both kinds count from -top up */
		uint32_t turned = format->kind == FORMAT_SIGNED ? raw ^ top : raw;
		int64_t value = (int64_t)(turned & mask) - (int64_t)top;
		int64_t scaled = llrint((double)value * factor);

		if (format->kind == FORMAT_SIGNED)
			raw = (uint32_t)scaled; /* sign-extended in its container, as ALSA has it */
		else
			raw = (uint32_t)(scaled + top);
		store(p, format->bytes, raw);
	}
}

static void scale_floats(double factor, uint8_t *p, size_t samples)
{
	uint32_t raw;
	float value;

	for (; samples--; p += sizeof(raw)) {
		raw = load(p, sizeof(raw));
		memcpy(&value, &raw, sizeof(value));
		value = (float)(value * factor);
		memcpy(&raw, &value, sizeof(raw));
		store(p, sizeof(raw), raw);
	}
}

static void scale_doubles(double factor, uint8_t *p, size_t samples)
{
	uint64_t raw;
	double value;

	for (; samples--; p += sizeof(raw)) {
		memcpy(&raw, p, sizeof(raw));
		raw = le64toh(raw);
		memcpy(&value, &raw, sizeof(value));
		value *= factor;
		memcpy(&raw, &value, sizeof(raw));
		raw = htole64(raw);
		memcpy(p, &raw, sizeof(raw));
	}
}

void gain_apply(const struct gain *gain, const struct format *format, void *buf, size_t len)
{
	size_t samples = len / format->bytes;
	double factor;

	if (gain_is_unity(gain))
		return;
	if (!gain->on || !gain->volume) {
		format_silence(format, buf, len);
		return;
	}
	factor = pow(10.0, ((double)gain->volume - GAIN_STEPS) * GAIN_STEP_CENTIBEL / 2000.0);
	if (format->kind == FORMAT_SIGNED || format->kind == FORMAT_UNSIGNED)
		scale_integers(factor, format, buf, samples);
	else if (format->kind == FORMAT_FLOAT && format->bytes == sizeof(float))
		scale_floats(factor, buf, samples);
	else if (format->kind == FORMAT_FLOAT)
		scale_doubles(factor, buf, samples);
}
