/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What travels from virtio-loopback-display, where somebody types and points, to vhost-user-input,
 * over a stream socket of this machine. First the latter sends one byte, the kind of device that it
 * is; from then on the display sends events in the machine's byte order, in frames that end with
 * SYN_REPORT. Nothing goes back.
 */
#ifndef VL_COMMON_DISPLAY_INPUT_H
#define VL_COMMON_DISPLAY_INPUT_H

#include <linux/input.h>
#include <stdint.h>

#define DISPLAY_INPUT_KEYBOARD 'k' /* keys 1 to DISPLAY_INPUT_LAST_KEY */
#define DISPLAY_INPUT_POINTER 'p' /* the buttons below, two wheels, and a place */

#define DISPLAY_INPUT_LAST_KEY KEY_MICMUTE
#define DISPLAY_INPUT_FIRST_BUTTON BTN_LEFT
#define DISPLAY_INPUT_LAST_BUTTON BTN_EXTRA
/* ABS_X and ABS_Y are from 0 to this, over all heads in a row. */
#define DISPLAY_INPUT_RANGE 32767

struct display_input_event {
	uint16_t type;
	uint16_t code;
	int32_t value;
};

#endif
