// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-flips CARD WIDTHxHEIGHT SECONDS - how many page flips a second a card makes
 *
 * Two buffers are drawn once and then shown in turns, each as soon as the one before is there, so
 * nothing but the way of a frame to the display is measured. Prints "FLIPS NANOSECONDS".
 */
#include <err.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "drm-card.h"

#define WARM_UP 10

static struct drm_card card;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static uint32_t buffer(uint32_t colour)
{
	struct drm_mode_create_dumb dumb = { .width = card.mode.hdisplay, .height = card.mode.vdisplay, .bpp = 32 };
	struct drm_mode_fb_cmd fb = { .width = dumb.width, .height = dumb.height, .bpp = 32, .depth = 24 };
	struct drm_mode_map_dumb map = { 0 };
	uint32_t *words;

	DRM_CARD_CALL(&card, MODE_CREATE_DUMB, &dumb);
	map.handle = fb.handle = dumb.handle;
	fb.pitch = dumb.pitch;
	DRM_CARD_CALL(&card, MODE_MAP_DUMB, &map);
	words = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card.fd, (off_t)map.offset);
	if (words == MAP_FAILED)
		err(1, "mmap");
	for (uint64_t i = 0; i < dumb.size / 4; i++)
		words[i] = colour + (uint32_t)i;
	munmap(words, dumb.size);
	DRM_CARD_CALL(&card, MODE_ADDFB, &fb);
	return fb.fb_id;
}

static void flip(uint32_t fb)
{
	struct drm_mode_crtc_page_flip flip = { .crtc_id = card.crtc_id, .fb_id = fb,
						.flags = DRM_MODE_PAGE_FLIP_EVENT };
	struct drm_event_vblank event;

	DRM_CARD_CALL(&card, MODE_PAGE_FLIP, &flip);
	if (read(card.fd, &event, sizeof(event)) != sizeof(event))
		err(1, "the event of a page flip");
}

int main(int argc, char **argv)
{
	unsigned int width, height, seconds;
	uint64_t begin, flips = 0;
	uint32_t fbs[2];

	if (argc != 4 || sscanf(argv[2], "%ux%u", &width, &height) != 2 || sscanf(argv[3], "%u", &seconds) != 1)
		errx(2, "usage: bench-flips CARD WIDTHxHEIGHT SECONDS");
	drm_card_open(&card, argv[1]);
	drm_card_take_mode(&card, width, height);
	fbs[0] = buffer(0x00204060);
	fbs[1] = buffer(0x00604020);
	drm_card_show(&card, fbs[0]);
	for (int i = 0; i < WARM_UP; i++)
		flip(fbs[i % 2]);
	begin = now();
	while (now() - begin < seconds * 1000000000ULL)
		flip(fbs[flips++ % 2]);
	printf("%" PRIu64 " %" PRIu64 "\n", flips, now() - begin);
	return 0;
}
