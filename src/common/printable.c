// SPDX-License-Identifier: BSD-3-Clause
#include "common/printable.h"

#include <stdbool.h>

/*
 * U+0080 to U+009F are control characters as well. A byte of that range is one by itself, or behind
 * 0xc2; anywhere else in UTF-8 it is a part of a letter.
 */
static void replace(char *text, bool lines)
{
	unsigned int left = 0; /* bytes of a letter that are to come */
	bool c2 = false;
	unsigned char *c;

	for (c = (unsigned char *)text; *c; c++) {
		bool control = *c < 0x20 || *c == 0x7f ||
			       (*c >= 0x80 && *c < 0xa0 && (!left || c2));

		if (*c >= 0xc2)
			left = *c < 0xe0 ? 1 : *c < 0xf0 ? 2 : 3;
		else if (*c >= 0x80 && *c < 0xc0 && left)
			left--;
		else
			left = 0;
		c2 = *c == 0xc2;
		if (control && !(lines && *c == '\n'))
			*c = '?';
	}
}

void printable(char *text)
{
	replace(text, false);
}

void printable_lines(char *text)
{
	replace(text, true);
}
