/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading JSON (RFC 8259) that others wrote, by json-c. */
#ifndef CLI_JSON_TEXT_H
#define CLI_JSON_TEXT_H

#include <stddef.h>

#include "common/failure.h"

#define JSON_TEXT_MAX (64U << 10) /* bytes: none that is read here comes near */

struct json_object;

/**
 * json_text_parse() - the object that a text is
 * @text:	nothing but one object, and blanks around it
 * @size:	bytes of it
 * @object:	on 0 for json_text_free()
 * @failure:	the reason in words
 *
 * Return: 0, -EINVAL: it is none, -EFBIG or -ENOMEM.
 */
int json_text_parse(const char *text, size_t size, struct json_object **object,
		    struct failure *failure);

/**
 * json_text_string() - a member that is a string
 * @object:	whose
 * @key:	its name
 * @value:	what it says, for as long as the object is there; NULL when there is no such member
 * @failure:	the reason in words
 *
 * Return: 0, or -EINVAL: it is something else, or has a zero byte in it.
 */
int json_text_string(struct json_object *object, const char *key, const char **value,
		     struct failure *failure);

/**
 * json_text_array() - how many elements a member has that is an array
 * @object:	whose
 * @key:	its name
 * @count:	0 also when there is no such member
 * @failure:	the reason in words
 *
 * Return: 0, or -EINVAL: it is something else.
 */
int json_text_array(struct json_object *object, const char *key, size_t *count,
		    struct failure *failure);

/* json_text_element() - the string at this place of such an array; NULL when it is none */
const char *json_text_element(struct json_object *object, const char *key, size_t place);

void json_text_free(struct json_object *object);

static inline void json_text_cleanup(struct json_object **object)
{
	json_text_free(*object);
}

#endif
