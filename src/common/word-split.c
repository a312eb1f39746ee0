// SPDX-License-Identifier: BSD-3-Clause
#include "common/word-split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* "...": a backslash quotes only these; before anything else it stands for itself. */
static int quoted_in_double(char c)
{
	return c == '$' || c == '`' || c == '"' || c == '\\';
}

/* Copies one word, without its quotes, and moves *@text past it. */
static int next_word(const char **text, char *out)
{
	const char *p = *text;
	char quote = 0;

	for (; *p && (quote || !is_blank(*p)); p++) {
		if (quote == '\'') {
			if (*p == '\'')
				quote = 0;
			else
				*out++ = *p;
		} else if (*p == '\\') {
			if (!p[1])
				return -EINVAL;
			if (quote && p[1] != '\n' && !quoted_in_double(p[1]))
				*out++ = *p;
			if (*++p != '\n') /* a line that goes on */
				*out++ = *p;
		} else if (quote) {
			if (*p == '"')
				quote = 0;
			else
				*out++ = *p;
		} else if (*p == '\'' || *p == '"') {
			quote = *p;
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	*text = p;
	return quote ? -EINVAL : 0;
}

static size_t word_list_length(char **words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

int word_list_append(char ***words, const char *word)
{
	size_t n = word_list_length(*words);
	char *copy = strdup(word);
	char **more;

	if (!copy)
		return -ENOMEM;
	more = reallocarray(*words, n + 2, sizeof(*more));
	if (!more) {
		free(copy);
		return -ENOMEM;
	}
	more[n] = copy;
	more[n + 1] = NULL;
	*words = more;
	return 0;
}

int word_split(const char *text, char ***words)
{
	_cleanup_(word_list_cleanup) char **list = NULL;
	_cleanup_free_ char *word = NULL;
	int ret, n = 0;

	list = calloc(1, sizeof(*list));
	word = malloc(strlen(text) + 1); /* no word is longer */
	if (!list || !word)
		return -ENOMEM; /* NOLINT(clang-analyzer-unix.Malloc) */
	for (;;) {
		while (is_blank(*text))
			text++;
		if (!*text)
			break;
		ret = next_word(&text, word);
		if (!ret)
			ret = word_list_append(&list, word);
		if (ret)
			return ret;
		n++;
	}
	*words = ptr_steal(list);
	return n;
}

/* A new string: @word with its first @token replaced; NULL without memory. */
static char *replace_at(const char *word, const char *at, const char *token, const char *value)
{
	size_t before = (size_t)(at - word);
	size_t after = strlen(at) - strlen(token);
	char *text = malloc(before + strlen(value) + after + 1);

	if (!text)
		return NULL;
	memcpy(text, word, before);
	strcpy(text + before, value);
	strcat(text + before, at + strlen(token));
	return text;
}

int word_list_replace(char **words, const char *token, const char *value)
{
	int found = 0;

	for (; *words; words++) {
		size_t from = 0;
		char *at;

		while ((at = strstr(*words + from, token))) {
			char *text = replace_at(*words, at, token, value);

			if (!text)
				return -ENOMEM;
			/* what was put in is not looked at again */
			from = (size_t)(at - *words) + strlen(value);
			free(*words);
			*words = text;
			found++;
		}
	}
	return found;
}

void word_list_free(char **words)
{
	char **p;

	if (!words)
		return;
	for (p = words; *p; p++)
		free(*p);
	free(words);
}
