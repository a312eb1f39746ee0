// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/edid.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"

/* Offsets in the block (E-EDID 1.4, table 3.1) */
#define AT_VENDOR 8
#define AT_SERIAL 12
#define AT_YEAR 17
#define AT_VERSION 18
#define AT_VIDEO 20
#define AT_ESTABLISHED 35
#define AT_STANDARD 38
#define AT_DETAILED 54
#define DESCRIPTOR_SIZE 18
#define STANDARD_TIMINGS 8

static const uint8_t magic[8] = { 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 };

/* Monitors of 96 dots an inch */
static uint32_t to_mm(uint32_t pixels)
{
	return pixels * 254 / 960;
}

struct timing {
	uint32_t clock; /* in units of 10 kHz */
	uint32_t hblank;
	uint32_t vblank;
	uint32_t vsync;
};

/* The width of the vertical sync tells the aspect ratio (VESA CVT 1.2, table 3-2). */
static uint32_t cvt_vsync(uint32_t width, uint32_t height)
{
	if (width * 3 == height * 4)
		return 4;
	if (width * 9 == height * 16)
		return 5;
	if (width * 10 == height * 16)
		return 6;
	return 10;
}

#define CVT_HBLANK 160
#define CVT_HFRONT 48
#define CVT_HSYNC 32
#define CVT_VFRONT 3
#define CVT_VBACK_MIN 6
#define CVT_VBLANK_MIN_US 460

/* Reduced blanking of VESA CVT, at 60 Hz or as much below as the clock's 16 bits ask for */
static struct timing cvt_timing(uint32_t width, uint32_t height)
{
	struct timing t = { .hblank = CVT_HBLANK, .vsync = cvt_vsync(width, height) };
	uint32_t hz;

	for (hz = 60; hz; hz -= 5) {
		uint64_t frame_us = 1000000 / hz;
		uint64_t lines = (uint64_t)CVT_VBLANK_MIN_US * height /
					 (frame_us - CVT_VBLANK_MIN_US) +
				 1;
		uint64_t clock;

		t.vblank = MAX((uint32_t)lines, CVT_VFRONT + t.vsync + CVT_VBACK_MIN);
		clock = ((uint64_t)(width + t.hblank) * (height + t.vblank) * hz + 5000) / 10000;
		if (clock <= UINT16_MAX) {
			t.clock = (uint32_t)clock;
			break;
		}
	}
	return t;
}

/* "Detailed Timing Descriptor", table 3.21 */
static void put_detailed(uint8_t *d, uint32_t width, uint32_t height)
{
	struct timing t = cvt_timing(width, height);
	uint32_t wmm = to_mm(width), hmm = to_mm(height);

	d[0] = (uint8_t)t.clock;
	d[1] = (uint8_t)(t.clock >> 8);
	d[2] = (uint8_t)width;
	d[3] = (uint8_t)t.hblank;
	d[4] = (uint8_t)(width >> 8 << 4 | t.hblank >> 8);
	d[5] = (uint8_t)height;
	d[6] = (uint8_t)t.vblank;
	d[7] = (uint8_t)(height >> 8 << 4 | t.vblank >> 8);
	d[8] = CVT_HFRONT;
	d[9] = CVT_HSYNC;
	d[10] = (uint8_t)(CVT_VFRONT << 4 | t.vsync);
	d[11] = 0;
	d[12] = (uint8_t)wmm;
	d[13] = (uint8_t)hmm;
	d[14] = (uint8_t)(wmm >> 8 << 4 | hmm >> 8);
	d[17] = 0x1a; /* separate syncs, horizontal positive, vertical negative */
}

/* Table 3.23; @tag 0xfc: the product's name, 0x10: nothing */
static void put_text(uint8_t *d, uint8_t tag, const char *text)
{
	size_t len = strnlen(text, 13);

	d[3] = tag;
	if (tag == 0x10)
		return;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, len);
	if (len < 13)
		d[5 + len] = '\n';
}

static void put_established(uint8_t *e, uint32_t width, uint32_t height)
{
	if (width >= 640 && height >= 480)
		e[0] |= 0x20;
	if (width >= 800 && height >= 600)
		e[0] |= 0x01;
	if (width >= 1024 && height >= 768)
		e[1] |= 0x08;
}

/* Table 3.19; all at 60 Hz */
static void put_standard(uint8_t *s, uint32_t width, uint32_t height)
{
	static const struct {
		uint16_t width, height;
		uint8_t aspect;
	} modes[] = {
		{ 1280, 720, 3 },  { 1280, 800, 0 },  { 1280, 1024, 2 }, { 1440, 900, 0 },
		{ 1600, 1200, 1 }, { 1680, 1050, 0 }, { 1920, 1080, 3 },
	};
	unsigned int n = 0, i;

	memset(s, 0x01, (size_t)STANDARD_TIMINGS * 2);
	for (i = 0; i < ARRAY_SIZE(modes) && n < STANDARD_TIMINGS; i++) {
		if (modes[i].width > width || modes[i].height > height ||
		    (modes[i].width == width && modes[i].height == height))
			continue;
		s[2 * n] = (uint8_t)(modes[i].width / 8 - 31);
		s[2 * n + 1] = (uint8_t)(modes[i].aspect << 6);
		n++;
	}
}

static uint8_t checksum(const uint8_t *edid)
{
	uint8_t sum = 0;
	unsigned int i;

	for (i = 0; i < EDID_SIZE - 1; i++)
		sum = (uint8_t)(sum + edid[i]);
	return (uint8_t)-sum;
}

void edid_generate(const struct edid_info *info, uint8_t edid[EDID_SIZE])
{
	/* the colours of sRGB */
	static const uint8_t chromaticity[10] = { 0xee, 0x91, 0xa3, 0x54, 0x4c,
						  0x99, 0x26, 0x0f, 0x50, 0x54 };
	uint32_t width = MAX(EDID_MIN_SIDE, MIN(info->width, EDID_MAX_SIDE));
	uint32_t height = MAX(EDID_MIN_SIDE, MIN(info->height, EDID_MAX_SIDE));
	unsigned int vendor = ('V' - '@') << 10 | ('L' - '@') << 5 | ('B' - '@');
	unsigned int i;

	memset(edid, 0, EDID_SIZE);
	memcpy(edid, magic, sizeof(magic));
	edid[AT_VENDOR] = (uint8_t)(vendor >> 8);
	edid[AT_VENDOR + 1] = (uint8_t)vendor;
	edid[AT_VENDOR + 2] = 1; /* the product */
	for (i = 0; i < 4; i++)
		edid[AT_SERIAL + i] = (uint8_t)(info->serial >> (8 * i));
	edid[AT_YEAR] = 2026 - 1990;
	edid[AT_VERSION] = 1;
	edid[AT_VERSION + 1] = 4;
	edid[AT_VIDEO] = 0xa0; /* digital, 8 bits a colour */
	edid[AT_VIDEO + 1] = (uint8_t)MIN(to_mm(width) / 10, 255U);
	edid[AT_VIDEO + 2] = (uint8_t)MIN(to_mm(height) / 10, 255U);
	edid[AT_VIDEO + 3] = 120; /* gamma 2.2 */
	edid[AT_VIDEO + 4] = 0x06; /* sRGB; the first detailed timing is the panel's own */
	memcpy(edid + AT_VIDEO + 5, chromaticity, sizeof(chromaticity));
	put_established(edid + AT_ESTABLISHED, width, height);
	put_standard(edid + AT_STANDARD, width, height);
	put_detailed(edid + AT_DETAILED, width, height);
	put_text(edid + AT_DETAILED + DESCRIPTOR_SIZE, 0xfc, info->name);
	put_text(edid + AT_DETAILED + 2 * DESCRIPTOR_SIZE, 0x10, "");
	put_text(edid + AT_DETAILED + 3 * DESCRIPTOR_SIZE, 0x10, "");
	edid[EDID_SIZE - 1] = checksum(edid);
}

int edid_preferred(const uint8_t edid[EDID_SIZE], uint32_t *width, uint32_t *height)
{
	const uint8_t *d = edid + AT_DETAILED;

	if (memcmp(edid, magic, sizeof(magic)) != 0 || edid[EDID_SIZE - 1] != checksum(edid))
		return -EINVAL;
	if (!d[0] && !d[1])
		return -EINVAL;
	*width = d[2] | (uint32_t)(d[4] >> 4) << 8;
	*height = d[5] | (uint32_t)(d[7] >> 4) << 8;
	return 0;
}
