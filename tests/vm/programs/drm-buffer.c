// SPDX-License-Identifier: BSD-3-Clause
/*
 * drm-buffer NODE - one dumb buffer: drawn, shown, looked at again, destroyed
 *
 * Says how many of its words came back with every bit inverted, as gpu-window does it to them:
 * nothing is called between the showing and the looking that could copy a word.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <drm.h>
#include <drm_mode.h>

#define WAIT_MS 20000

static int card;

static void call(unsigned long request, void *arg, const char *what)
{
	if (ioctl(card, request, arg) < 0)
		err(1, "%s", what);
}

#define CALL(request, arg) call(DRM_IOCTL_##request, arg, #request)

static uint32_t word(uint32_t i)
{
	return i * 2654435761U + 12345;
}

/* The first connector, the first CRTC, and the first mode. */
static void show(uint32_t fb, struct drm_mode_crtc *crtc)
{
	static uint32_t connectors[16], crtcs[16];
	static struct drm_mode_modeinfo modes[128];
	struct drm_mode_card_res res = { .connector_id_ptr = (uintptr_t)connectors, .count_connectors = 16,
					 .crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 16 };
	struct drm_mode_get_connector connector = { 0 };

	CALL(MODE_GETRESOURCES, &res);
	connector.connector_id = connectors[0];
	CALL(MODE_GETCONNECTOR, &connector);
	if (!connector.count_modes || connector.count_modes > 128)
		errx(1, "expected up to 128 modes, saw %u", connector.count_modes);
	connector = (struct drm_mode_get_connector){ .connector_id = connectors[0], .modes_ptr = (uintptr_t)modes,
						     .count_modes = connector.count_modes };
	CALL(MODE_GETCONNECTOR, &connector);
	*crtc = (struct drm_mode_crtc){ .set_connectors_ptr = (uintptr_t)connectors, .count_connectors = 1,
					.crtc_id = crtcs[0], .fb_id = fb, .mode = modes[0], .mode_valid = 1 };
	CALL(MODE_SETCRTC, crtc);
}

int main(int argc, char **argv)
{
	struct drm_mode_create_dumb dumb = { .width = 640, .height = 480, .bpp = 32 };
	struct drm_mode_map_dumb map = { 0 };
	struct drm_mode_fb_cmd fb = { .width = 640, .height = 480, .bpp = 32, .depth = 24 };
	struct drm_mode_destroy_dumb destroy = { 0 };
	struct drm_mode_crtc crtc;
	volatile uint32_t *words;
	uint32_t i, count, back = 0;

	if (argc != 2)
		errx(2, "which node?");
	card = open(argv[1], O_RDWR | O_CLOEXEC);
	if (card < 0)
		err(1, "%s", argv[1]);
	CALL(MODE_CREATE_DUMB, &dumb);
	map.handle = fb.handle = destroy.handle = dumb.handle;
	fb.pitch = dumb.pitch;
	CALL(MODE_MAP_DUMB, &map);
	words = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)map.offset);
	if (words == MAP_FAILED)
		err(1, "mmap");
	count = dumb.size / 4;
	for (i = 0; i < count; i++)
		words[i] = word(i);
	CALL(MODE_ADDFB, &fb);
	show(fb.fb_id, &crtc);
	for (int ms = 0; ms < WAIT_MS && words[count - 1] == word(count - 1); ms += 10)
		usleep(10000);
	for (i = 0; i < count; i++)
		back += words[i] == ~word(i);
	printf("%u of %u words inverted\n", back, count);
	crtc.fb_id = crtc.mode_valid = crtc.count_connectors = 0;
	CALL(MODE_SETCRTC, &crtc);
	CALL(MODE_RMFB, &fb.fb_id);
	munmap((void *)words, dumb.size);
	CALL(MODE_DESTROY_DUMB, &destroy);
	return back != count;
}
