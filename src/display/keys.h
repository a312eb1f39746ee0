/* SPDX-License-Identifier: BSD-3-Clause */
/* Which key it is, in the names of linux/input-event-codes.h; 0: none that is known. */
#ifndef DISPLAY_KEYS_H
#define DISPLAY_KEYS_H

#include <stdint.h>

/* keys_of_usage() - by its place: a usage of the HID page "Keyboard", as SDL's scan codes are */
unsigned int keys_of_usage(unsigned int usage);

/* keys_of_symbol() - by what stands on it on a US keyboard: an X11 keysym, as RFB has them */
unsigned int keys_of_symbol(uint32_t symbol);

#endif
