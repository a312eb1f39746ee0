/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing JSON (RFC 8259) to a stream: commas, escapes and indentation, in the order of the calls.
 */
#ifndef VL_COMMON_JSON_WRITER_H
#define VL_COMMON_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json_writer {
	FILE *out;
	unsigned int depth;
	bool used[JSON_DEPTH_MAX]; /* something stands at this depth already */
	char close[JSON_DEPTH_MAX];
};

void json_init(struct json_writer *w, FILE *out);

/* @key: NULL in an array and at the top */
void json_object_begin(struct json_writer *w, const char *key);
void json_array_begin(struct json_writer *w, const char *key);
void json_end(
	struct json_writer *w); /* of the innermost object or array; a newline after the last */

/* A NULL @value is null. Bytes that are no UTF-8 become U+FFFD. */
void json_string(struct json_writer *w, const char *key, const char *value);
void json_u64(struct json_writer *w, const char *key, uint64_t value);
void json_i64(struct json_writer *w, const char *key, int64_t value);
void json_bool(struct json_writer *w, const char *key, bool value);
void json_null(struct json_writer *w, const char *key);

#endif
