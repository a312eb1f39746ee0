/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A monitor's description (VESA E-EDID 1.4, one block), for a display that has none of its own. Its
 * preferred mode is the resolution; common smaller modes are named as well.
 */
#ifndef VHOST_USER_EDID_H
#define VHOST_USER_EDID_H

#include <stdint.h>

#define EDID_SIZE 128
/* A detailed timing has twelve bits for each side. */
#define EDID_MAX_SIDE 4095U
#define EDID_MIN_SIDE 16U

struct edid_info {
	uint32_t width; /* of the preferred mode, EDID_MIN_SIDE to EDID_MAX_SIDE; others are cut */
	uint32_t height;
	uint32_t serial;
	const char *name; /* up to 13 characters of it */
};

/* edid_generate() - fill in the block */
void edid_generate(const struct edid_info *info, uint8_t edid[EDID_SIZE]);

/*
 * edid_preferred() - the preferred mode of a block
 *
 * Return: 0, or -EINVAL: its header or checksum is wrong, or it has no detailed timing.
 */
int edid_preferred(const uint8_t edid[EDID_SIZE], uint32_t *width, uint32_t *height);

#endif
