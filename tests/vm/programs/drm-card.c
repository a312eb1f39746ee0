// SPDX-License-Identifier: BSD-3-Clause
#include "drm-card.h"

#include <err.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#define MOST_MODES 128

void drm_card_call(const struct drm_card *card, unsigned long request, void *arg, const char *what)
{
	if (ioctl(card->fd, request, arg) < 0)
		err(1, "%s", what);
}

/* Return: how many there are */
static unsigned int get_modes(const struct drm_card *card, struct drm_mode_modeinfo *modes)
{
	struct drm_mode_get_connector connector = { .connector_id = card->connector_id };
	unsigned int count;

	DRM_CARD_CALL(card, MODE_GETCONNECTOR, &connector);
	count = connector.count_modes;
	if (!count || count > MOST_MODES)
		errx(1, "expected up to %d modes, saw %u", MOST_MODES, count);
	connector = (struct drm_mode_get_connector){ .connector_id = card->connector_id,
						     .modes_ptr = (uintptr_t)modes, .count_modes = count };
	DRM_CARD_CALL(card, MODE_GETCONNECTOR, &connector);
	return count;
}

void drm_card_open(struct drm_card *card, const char *path)
{
	static uint32_t connectors[16], crtcs[16];
	static struct drm_mode_modeinfo modes[MOST_MODES];
	struct drm_mode_card_res res = { .connector_id_ptr = (uintptr_t)connectors, .count_connectors = 16,
					 .crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 16 };

	*card = (struct drm_card){ .fd = open(path, O_RDWR | O_CLOEXEC) };
	if (card->fd < 0)
		err(1, "%s", path);
	DRM_CARD_CALL(card, MODE_GETRESOURCES, &res);
	card->connector_id = connectors[0];
	card->crtc_id = crtcs[0];
	get_modes(card, modes);
	card->mode = modes[0];
}

void drm_card_take_mode(struct drm_card *card, unsigned int width, unsigned int height)
{
	static struct drm_mode_modeinfo modes[MOST_MODES];
	unsigned int i, count = get_modes(card, modes);

	for (i = 0; i < count; i++) {
		if (modes[i].hdisplay == width && modes[i].vdisplay == height) {
			card->mode = modes[i];
			return;
		}
	}
	errx(1, "no mode %ux%u among %u", width, height, count);
}

void drm_card_show(const struct drm_card *card, uint32_t fb)
{
	struct drm_mode_crtc crtc = { .crtc_id = card->crtc_id, .fb_id = fb };

	if (fb) {
		crtc.set_connectors_ptr = (uintptr_t)&card->connector_id;
		crtc.count_connectors = 1;
		crtc.mode = card->mode;
		crtc.mode_valid = 1;
	}
	DRM_CARD_CALL(card, MODE_SETCRTC, &crtc);
}
