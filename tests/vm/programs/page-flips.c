// SPDX-License-Identifier: BSD-3-Clause
/*
 * page-flips NODE - two dumb buffers in turn on a card, a flip for each byte of its input
 *
 * Each picture has one colour, which follows from its number. A line for each flip when the card
 * says that it was done: its number, the colour as rrggbb, and how many microseconds it took from
 * the flip to that word.
 */
#include <err.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "drm-card.h"

#define WAIT_MS 30000

struct buffer {
	uint32_t fb;
	uint32_t *pixels;
	size_t count;
};

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

static void create(const struct drm_card *card, struct buffer *buffer)
{
	struct drm_mode_create_dumb dumb = { .width = card->mode.hdisplay,
					     .height = card->mode.vdisplay, .bpp = 32 };
	struct drm_mode_fb_cmd fb = { .width = dumb.width, .height = dumb.height, .bpp = 32,
				      .depth = 24 };
	struct drm_mode_map_dumb map = { 0 };

	DRM_CARD_CALL(card, MODE_CREATE_DUMB, &dumb);
	fb.handle = map.handle = dumb.handle;
	fb.pitch = dumb.pitch;
	DRM_CARD_CALL(card, MODE_MAP_DUMB, &map);
	buffer->count = dumb.size / 4;
	buffer->pixels = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card->fd,
			      (off_t)map.offset);
	if (buffer->pixels == MAP_FAILED)
		err(1, "mmap");
	DRM_CARD_CALL(card, MODE_ADDFB, &fb);
	buffer->fb = fb.fb_id;
}

static uint32_t draw(const struct buffer *buffer, uint32_t number)
{
	uint32_t colour = number * 2654435761U >> 8;
	size_t i;

	for (i = 0; i < buffer->count; i++)
		buffer->pixels[i] = colour;
	return colour;
}

static void flip(const struct drm_card *card, const struct buffer *buffer)
{
	struct drm_mode_crtc_page_flip request = { .crtc_id = card->crtc_id, .fb_id = buffer->fb,
						   .flags = DRM_MODE_PAGE_FLIP_EVENT };
	struct pollfd ready = { .fd = card->fd, .events = POLLIN };
	char events[1024];

	DRM_CARD_CALL(card, MODE_PAGE_FLIP, &request);
	if (poll(&ready, 1, WAIT_MS) != 1)
		errx(1, "no word of a flip within %d s", WAIT_MS / 1000);
	if (read(card->fd, events, sizeof(events)) < (ssize_t)sizeof(struct drm_event))
		err(1, "read");
}

int main(int argc, char **argv)
{
	struct buffer buffers[2];
	struct drm_card card;
	uint32_t number;
	int64_t began;

	if (argc != 2)
		errx(2, "usage: page-flips NODE");
	drm_card_open(&card, argv[1]);
	create(&card, &buffers[0]);
	create(&card, &buffers[1]);
	draw(&buffers[0], 0);
	drm_card_show(&card, buffers[0].fb);
	for (number = 1; getchar() != EOF; number++) {
		uint32_t colour = draw(&buffers[number % 2], number);

		began = now_us();
		flip(&card, &buffers[number % 2]);
		printf("%u %06x %lld\n", number, colour, (long long)(now_us() - began));
		if (fflush(stdout))
			err(1, "stdout");
	}
	return 0;
}
