// SPDX-License-Identifier: BSD-3-Clause
#include "cli/json-text.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#define DEPTH_MAX 8 /* what is read here has two levels */

/* Where the parser stopped, as an editor counts. */
static int not_understood(const char *text, size_t at, const char *why, struct failure *failure)
{
	unsigned int line = 1;
	size_t i;

	for (i = 0; i < at; i++)
		line += text[i] == '\n';
	return failure_set(failure, -EINVAL, "no JSON: line %u: %s", line, why);
}

static int parse(struct json_tokener *tok, const char *text, size_t size,
		 struct json_object **object, struct failure *failure)
{
	struct json_object *root;
	enum json_tokener_error error;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tok, text, (int)size);
	error = json_tokener_get_error(tok);
	if (error == json_tokener_continue)
		return not_understood(text, size, "it ends too early", failure);
	if (error != json_tokener_success)
		return not_understood(text, json_tokener_get_parse_end(tok),
				      json_tokener_error_desc(error), failure);
	if (!json_object_is_type(root, json_type_object)) {
		json_object_put(root);
		return failure_set(failure, -EINVAL, "expected an object, { ... }");
	}
	*object = root;
	return 0;
}

int json_text_parse(const char *text, size_t size, struct json_object **object,
		    struct failure *failure)
{
	struct json_tokener *tok;
	const char *zero = memchr(text, '\0', size);
	int ret;

	if (size > JSON_TEXT_MAX)
		return failure_set(failure, -EFBIG, "more than %u bytes", JSON_TEXT_MAX);
	if (zero) /* which the parser takes for the end */
		return not_understood(text, (size_t)(zero - text), "a zero byte", failure);
	tok = json_tokener_new_ex(DEPTH_MAX);
	if (!tok)
		return -ENOMEM;
	ret = parse(tok, text, size, object, failure);
	json_tokener_free(tok);
	return ret;
}

/* NULL also for a string that C would see an earlier end of. */
static const char *as_string(struct json_object *value)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string))
		return NULL;
	text = json_object_get_string(value);
	return text && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

int json_text_string(struct json_object *object, const char *key, const char **value,
		     struct failure *failure)
{
	struct json_object *member;

	*value = NULL;
	if (!json_object_object_get_ex(object, key, &member))
		return 0;
	*value = as_string(member);
	return *value ? 0 : failure_set(failure, -EINVAL, "\"%s\": expected a string", key);
}

int json_text_array(struct json_object *object, const char *key, size_t *count,
		    struct failure *failure)
{
	struct json_object *member;

	*count = 0;
	if (!json_object_object_get_ex(object, key, &member))
		return 0;
	if (!json_object_is_type(member, json_type_array))
		return failure_set(failure, -EINVAL, "\"%s\": expected an array", key);
	*count = json_object_array_length(member);
	return 0;
}

const char *json_text_element(struct json_object *object, const char *key, size_t place)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member))
		return NULL;
	return as_string(json_object_array_get_idx(member, place));
}

void json_text_free(struct json_object *object)
{
	json_object_put(object);
}
