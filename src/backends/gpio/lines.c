// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpio/lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"

/* N or N-M */
static int parse_range(const char *text, unsigned int chip_lines, unsigned int *first,
		       unsigned int *last)
{
	char number[16];
	const char *dash = strchr(text, '-');
	size_t len = dash ? (size_t)(dash - text) : strlen(text);

	if (len >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, len);
	number[len] = '\0';
	if (parse_uint(number, 0, UINT32_MAX, first) ||
	    parse_uint(dash ? dash + 1 : number, 0, UINT32_MAX, last))
		return -EINVAL;
	return *first > *last || *last >= chip_lines ? -ERANGE : 0;
}

static int add_range(struct lines *lines, bool *taken, unsigned int first, unsigned int last)
{
	unsigned int line;

	for (line = first; line <= last; line++) {
		if (taken[line]) {
			log_error("--lines: line %u is there twice", line);
			return -EINVAL;
		}
		taken[line] = true;
		lines->offsets[lines->count++] = line;
	}
	return 0;
}

static int parse_list(char *text, unsigned int chip_lines, struct lines *lines, bool *taken)
{
	unsigned int first, last;
	char *item;
	int ret;

	while ((item = strsep(&text, ","))) {
		ret = parse_range(item, chip_lines, &first, &last);
		if (ret == -ERANGE)
			log_error("--lines %s: the chip has the lines 0 to %u", item,
				  chip_lines - 1);
		else if (ret)
			log_error("--lines '%s': a list such as 0-7,12 is needed", item);
		else
			ret = add_range(lines, taken, first, last);
		if (ret)
			return -EINVAL;
	}
	return 0;
}

int lines_parse(const char *text, unsigned int chip_lines, struct lines *lines)
{
	unsigned int most = MIN(chip_lines, (unsigned int)LINES_MAX);
	bool *taken = calloc(most + 1, sizeof(*taken));
	char *copy = text ? strdup(text) : NULL;
	int ret;

	lines->count = 0;
	lines->offsets = calloc(most + 1, sizeof(*lines->offsets));
	if (!lines->offsets || !taken || (text && !copy)) {
		log_error("no memory for %u lines", most);
		ret = -ENOMEM;
	} else if (!most) {
		log_error("the chip has no lines");
		ret = -EINVAL;
	} else {
		ret = text ? parse_list(copy, most, lines, taken) :
			     add_range(lines, taken, 0, most - 1);
	}
	free(copy);
	free(taken);
	if (ret)
		lines_finish(lines);
	return ret;
}

void lines_finish(struct lines *lines)
{
	free(lines->offsets);
	lines->offsets = NULL;
	lines->count = 0;
}
