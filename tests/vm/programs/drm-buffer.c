// SPDX-License-Identifier: BSD-3-Clause
/*
 * drm-buffer NODE - one dumb buffer: drawn, shown, looked at again, destroyed
 *
 * Says how many of its words came back with every bit inverted, as gpu-window does it to them:
 * nothing is called between the showing and the looking that could copy a word.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drm-card.h"

#define WAIT_MS 20000

static uint32_t word(uint32_t i)
{
	return i * 2654435761U + 12345;
}

int main(int argc, char **argv)
{
	struct drm_mode_create_dumb dumb = { .width = 640, .height = 480, .bpp = 32 };
	struct drm_mode_map_dumb map = { 0 };
	struct drm_mode_fb_cmd fb = { .width = 640, .height = 480, .bpp = 32, .depth = 24 };
	struct drm_mode_destroy_dumb destroy = { 0 };
	struct drm_card card;
	volatile uint32_t *words;
	uint32_t i, count, back = 0;

	if (argc != 2)
		errx(2, "which node?");
	drm_card_open(&card, argv[1]);
	DRM_CARD_CALL(&card, MODE_CREATE_DUMB, &dumb);
	map.handle = fb.handle = destroy.handle = dumb.handle;
	fb.pitch = dumb.pitch;
	DRM_CARD_CALL(&card, MODE_MAP_DUMB, &map);
	words = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card.fd, (off_t)map.offset);
	if (words == MAP_FAILED)
		err(1, "mmap");
	count = dumb.size / 4;
	for (i = 0; i < count; i++)
		words[i] = word(i);
	DRM_CARD_CALL(&card, MODE_ADDFB, &fb);
	drm_card_show(&card, fb.fb_id);
	for (int ms = 0; ms < WAIT_MS && words[count - 1] == word(count - 1); ms += 10)
		usleep(10000);
	for (i = 0; i < count; i++)
		back += words[i] == ~word(i);
	printf("%u of %u words inverted\n", back, count);
	drm_card_show(&card, 0);
	DRM_CARD_CALL(&card, MODE_RMFB, &fb.fb_id);
	munmap((void *)words, dumb.size);
	DRM_CARD_CALL(&card, MODE_DESTROY_DUMB, &destroy);
	return back != count;
}
