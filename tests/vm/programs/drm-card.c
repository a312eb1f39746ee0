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

void drm_card_open(struct drm_card *card, const char *path)
{
	static uint32_t connectors[16], crtcs[16];
	static struct drm_mode_modeinfo modes[MOST_MODES];
	struct drm_mode_card_res res = { .connector_id_ptr = (uintptr_t)connectors, .count_connectors = 16,
					 .crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 16 };
	struct drm_mode_get_connector connector = { 0 };

	*card = (struct drm_card){ .fd = open(path, O_RDWR | O_CLOEXEC) };
	if (card->fd < 0)
		err(1, "%s", path);
	DRM_CARD_CALL(card, MODE_GETRESOURCES, &res);
	connector.connector_id = connectors[0];
	DRM_CARD_CALL(card, MODE_GETCONNECTOR, &connector);
	if (!connector.count_modes || connector.count_modes > MOST_MODES)
		errx(1, "expected up to %d modes, saw %u", MOST_MODES, connector.count_modes);
	connector = (struct drm_mode_get_connector){ .connector_id = connectors[0], .modes_ptr = (uintptr_t)modes,
						     .count_modes = connector.count_modes };
	DRM_CARD_CALL(card, MODE_GETCONNECTOR, &connector);
	card->mode = modes[0];
	card->connector_id = connectors[0];
	card->crtc_id = crtcs[0];
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
