/* SPDX-License-Identifier: BSD-3-Clause */
/* drm-card - a DRM card by its ioctls: what it shows on its first connector */
#ifndef DRM_CARD_H
#define DRM_CARD_H

#include <stdint.h>

#include <drm.h>
#include <drm_mode.h>

struct drm_card {
	int fd;
	uint32_t connector_id, crtc_id;
	struct drm_mode_modeinfo mode; /* the connector's first one */
};

/* All of these end the program with a line that says why where they fail. */

void drm_card_call(const struct drm_card *card, unsigned long request, void *arg, const char *what);

#define DRM_CARD_CALL(card, request, arg) drm_card_call(card, DRM_IOCTL_##request, arg, #request)

/* The first connector, the first CRTC, and the first mode. */
void drm_card_open(struct drm_card *card, const char *path);

/* Another of the connector's modes */
void drm_card_take_mode(struct drm_card *card, unsigned int width, unsigned int height);

/* @fb: 0: nothing */
void drm_card_show(const struct drm_card *card, uint32_t fb);

#endif
