/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration files: lines of "key = value" in [sections].
 *
 *	# a comment, and so is what begins with ;
 *	[section]
 *	key = value, up to the end of the line: it may hold # and ; and quotes
 *	key = a value that goes on \
 *	# behind a comment
 *	      in the next line
 *
 * Blanks around keys and values do not belong to them, nor does a byte order mark to the text.
 */
#ifndef VL_COMMON_INI_H
#define VL_COMMON_INI_H

#include <stddef.h>

struct ini_line {
	unsigned int number; /* from 1; of a value that goes on: its first */
	const char *section; /* "" before the first */
	const char *key; /* NULL: the line begins @section */
	const char *value;
};

struct ini_handler {
	/* A section or a setting. The strings live as long as the text. */
	void (*line)(void *context, const struct ini_line *line);
	/* A line that is neither. */
	void (*mistake)(void *context, unsigned int number, const char *what);
	void *context;
};

/**
 * ini_parse() - go through a text, to its end whatever is in it
 * @text:	is cut up in place
 * @size:	bytes, without the NUL that has to follow
 * @handler:	what is called for each line
 */
void ini_parse(char *text, size_t size, const struct ini_handler *handler);

#endif
