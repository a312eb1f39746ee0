// SPDX-License-Identifier: BSD-3-Clause
#include "cli/capabilities.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json-text.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/word-split.h"

#define OPTION "--print-capabilities"
#define ANSWER_MS 5000

/* Return: the size of its answer, @size when it is larger than that, or a negative errno. */
static ssize_t run(const char *binary, char *text, size_t size, struct failure *failure)
{
	const char *const words[] = { binary, OPTION, NULL };
	int status;
	ssize_t n = child_capture(words, text, size, deadline_after_ms(ANSWER_MS), &status);
	bool told = n >= 0 && (size_t)n < size;

	if (n == -ETIMEDOUT)
		return failure_set(failure, -ETIMEDOUT, "%.200s " OPTION ": no answer within %d s",
				   binary, ANSWER_MS / 1000);
	if (n < 0)
		return failure_set(failure, (int)n, "%.200s " OPTION ": %s", binary,
				   strerror((int)-n));
	if (told && status < 0)
		return failure_set(failure, -EIO, "%.200s " OPTION ": a signal ended it", binary);
	if (told && status)
		return failure_set(failure, -EIO, "%.200s " OPTION ": it exited with status %d",
				   binary, status);
	return n;
}

/* Features are names of options: nothing else is shown to anybody. */
static bool is_option(const char *word)
{
	const char *p;

	if (!word || !word[0])
		return false;
	for (p = word; *p; p++) {
		if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && *p != '-'))
			return false;
	}
	return true;
}

static int understand(struct json_object *object, const char *type, char ***features,
		      struct failure *failure)
{
	_cleanup_(word_list_cleanup) char **list = calloc(1, sizeof(*list));
	const char *told, *word;
	size_t count, i;
	int ret;

	if (!list)
		return -ENOMEM;
	ret = json_text_string(object, "type", &told, failure);
	if (!ret && (!told || strcmp(told, type) != 0))
		ret = failure_set(failure, -EINVAL, "it is not of type %s", type);
	if (!ret)
		ret = json_text_array(object, "features", &count, failure);
	for (i = 0; !ret && i < count; i++) {
		word = json_text_element(object, "features", i);
		ret = is_option(word) ? word_list_append(&list, word) :
					failure_set(failure, -EINVAL,
						    "\"features\": expected names of options");
	}
	if (!ret)
		*features = ptr_steal(list);
	return ret; /* NOLINT(clang-analyzer-unix.Malloc) */
}

int capabilities_ask(const char *binary, const char *type, char ***features,
		     struct failure *failure)
{
	_cleanup_(json_text_cleanup) struct json_object *object = NULL;
	_cleanup_free_ char *text = malloc(JSON_TEXT_MAX + 1);
	struct failure why = { 0 };
	ssize_t n;
	int ret;

	if (!text)
		return -ENOMEM;
	n = run(binary, text, JSON_TEXT_MAX + 1, failure);
	if (n < 0)
		return (int)n; /* NOLINT(clang-analyzer-unix.Malloc) */
	ret = json_text_parse(text, (size_t)n, &object, &why);
	if (!ret)
		ret = understand(object, type, features, &why);
	return ret ? failure_set(failure, ret, "%.100s " OPTION ": %s", binary,
				 failure_text(&why, ret)) :
		     0;
}
