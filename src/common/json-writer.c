// SPDX-License-Identifier: BSD-3-Clause
#include "common/json-writer.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>

void json_init(struct json_writer *w, FILE *out)
{
	*w = (struct json_writer){ .out = out };
}

static void json_indent(struct json_writer *w)
{
	unsigned int i;

	fputc('\n', w->out);
	for (i = 0; i < w->depth; i++)
		fputs("  ", w->out);
}

/*
 * Length of the UTF-8 sequence at @s, 0 when it is none (RFC 3629: no surrogates, no overlong
 * forms, nothing above U+10FFFF).
 */
static unsigned int utf8_length(const unsigned char *s)
{
	unsigned int length, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	for (i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

static void json_quote(struct json_writer *w, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', w->out);
	while (*s) {
		unsigned int length = utf8_length(s);

		if (!length) {
			fputs("\\ufffd", w->out);
			s++;
			continue;
		}
		if (*s == '"' || *s == '\\')
			fprintf(w->out, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", w->out);
		else if (*s == '\t')
			fputs("\\t", w->out);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(w->out, "\\u%04x", *s);
		else
			fwrite(s, 1, length, w->out);
		s += length;
	}
	fputc('"', w->out);
}

/* What stands before each value: a comma after the one before, and its key. */
static void json_begin_value(struct json_writer *w, const char *key)
{
	if (w->depth) {
		if (w->used[w->depth - 1])
			fputc(',', w->out);
		w->used[w->depth - 1] = true;
		json_indent(w);
	}
	if (key) {
		json_quote(w, key);
		fputs(": ", w->out);
	}
}

static void json_begin(struct json_writer *w, const char *key, char open, char close)
{
	assert(w->depth < JSON_DEPTH_MAX);
	json_begin_value(w, key);
	fputc(open, w->out);
	w->used[w->depth] = false;
	w->close[w->depth] = close;
	w->depth++;
}

void json_object_begin(struct json_writer *w, const char *key)
{
	json_begin(w, key, '{', '}');
}

void json_array_begin(struct json_writer *w, const char *key)
{
	json_begin(w, key, '[', ']');
}

void json_end(struct json_writer *w)
{
	assert(w->depth);
	w->depth--;
	if (w->used[w->depth])
		json_indent(w);
	fputc(w->close[w->depth], w->out);
	if (!w->depth)
		fputc('\n', w->out);
}

void json_string(struct json_writer *w, const char *key, const char *value)
{
	if (!value) {
		json_null(w, key);
		return;
	}
	json_begin_value(w, key);
	json_quote(w, value);
}

void json_u64(struct json_writer *w, const char *key, uint64_t value)
{
	json_begin_value(w, key);
	fprintf(w->out, "%" PRIu64, value);
}

void json_i64(struct json_writer *w, const char *key, int64_t value)
{
	json_begin_value(w, key);
	fprintf(w->out, "%" PRId64, value);
}

void json_bool(struct json_writer *w, const char *key, bool value)
{
	json_begin_value(w, key);
	fputs(value ? "true" : "false", w->out);
}

void json_null(struct json_writer *w, const char *key)
{
	json_begin_value(w, key);
	fputs("null", w->out);
}
