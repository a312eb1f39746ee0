/* SPDX-License-Identifier: BSD-3-Clause */
/* Text that others wrote, on the terminal of whoever looks. */
#ifndef CLI_PRINTABLE_H
#define CLI_PRINTABLE_H

/* printable() - put a '?' in the place of each control character: a terminal would obey them */
void printable(char *text);

#endif
