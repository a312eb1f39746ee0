// SPDX-License-Identifier: BSD-3-Clause
#include "common/ini.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct ini {
	char *next; /* what is left */
	unsigned int number; /* of the line at @next */
	const char *section;
	const struct ini_handler *handler;
};

static char *trim(char *text)
{
	size_t length;

	while (isblank((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* One line of the file, without its newline. */
static char *take_line(struct ini *ini)
{
	char *line = ini->next, *end = strchr(line, '\n');

	ini->number++;
	ini->next = end ? end + 1 : line + strlen(line);
	if (end)
		*end = '\0';
	return line;
}

static bool is_comment(const char *line)
{
	while (isblank((unsigned char)*line))
		line++;
	return *line == '#' || *line == ';';
}

/* Cuts a backslash at the end off; true: there was one, and there is a next line. */
static bool goes_on(const struct ini *ini, char *line)
{
	size_t length = strlen(line);

	while (length && isspace((unsigned char)line[length - 1]))
		length--;
	if (!length || line[length - 1] != '\\' || !*ini->next)
		return false;
	line[length - 1] = '\0';
	return true;
}

/* A value with the lines that it goes on in; they stand behind it, so there is room. */
static char *take_value(struct ini *ini, char *value)
{
	bool more = goes_on(ini, value);
	size_t used;

	value = trim(value);
	used = strlen(value);
	while (more) {
		char *line = take_line(ini), *part;
		size_t length;

		if (is_comment(line)) {
			more = *ini->next;
			continue;
		}
		more = goes_on(ini, line);
		part = trim(line);
		length = strlen(part);
		if (used && length)
			value[used++] = ' ';
		memmove(value + used, part, length + 1);
		used += length;
	}
	return value;
}

static void section(struct ini *ini, char *line)
{
	struct ini_line begins = { .number = ini->number };
	char *end = strchr(line, ']');

	/* it begins all the same: what follows is meant to be in it */
	if (!end || end[1])
		ini->handler->mistake(ini->handler->context, ini->number,
				      "a section is written [NAME], with nothing behind it");
	if (end)
		*end = '\0';
	ini->section = trim(line + 1);
	begins.section = ini->section;
	ini->handler->line(ini->handler->context, &begins);
}

static void setting(struct ini *ini, char *line)
{
	struct ini_line found = { .number = ini->number, .section = ini->section };
	char *equals = strchr(line, '=');

	if (!equals || equals == line) {
		ini->handler->mistake(ini->handler->context, ini->number,
				      "neither [SECTION] nor KEY = VALUE");
		return;
	}
	*equals = '\0';
	found.key = trim(line);
	found.value = take_value(ini, equals + 1);
	ini->handler->line(ini->handler->context, &found);
}

void ini_parse(char *text, size_t size, const struct ini_handler *handler)
{
	static const char mark[] = "\xef\xbb\xbf";
	struct ini ini = { .next = text, .section = "", .handler = handler };

	if (strlen(text) != size) {
		handler->mistake(handler->context, 1, "a NUL byte is in it: this is no text");
		return;
	}
	if (!strncmp(text, mark, strlen(mark)))
		ini.next += strlen(mark);
	while (*ini.next) {
		char *line = take_line(&ini);

		while (isblank((unsigned char)*line))
			line++;
		/* the end of a value may be a backslash: only blanks of other lines are cut here */
		if (!*line || *line == '\r' || is_comment(line))
			continue;
		if (*line == '[')
			section(&ini, trim(line));
		else
			setting(&ini, line);
	}
}
