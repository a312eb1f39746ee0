/* SPDX-License-Identifier: BSD-3-Clause */
/* Text that others wrote, on the terminal of whoever looks. */
#ifndef VL_COMMON_PRINTABLE_H
#define VL_COMMON_PRINTABLE_H

/* printable() - put a '?' in the place of each control character: a terminal would obey them */
void printable(char *text);

/* printable_lines() - the same of text that has lines: their ends stay */
void printable_lines(char *text);

#endif
