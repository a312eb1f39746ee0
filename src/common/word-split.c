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

/* Those with none but these characters are as well unquoted, for a shell too. */
static int needs_quotes(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789%+,-./:=@_{}";

	return !word[0] || word[strspn(word, plain)];
}

/* Return: where it ends. */
static char *join_word(char *out, const char *word)
{
	if (!needs_quotes(word))
		return stpcpy(out, word);
	*out++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			out = stpcpy(out, "'\\''");
		else
			*out++ = *word;
	}
	*out++ = '\'';
	return out;
}

int word_join(char *const *words, char **text)
{
	size_t room = 1, i;
	char *out;

	for (i = 0; words[i]; i++)
		room += strlen("' '") + strlen("'\\''") * strlen(words[i]);
	*text = out = malloc(room);
	if (!out)
		return -ENOMEM;
	for (i = 0; words[i]; i++) {
		if (i)
			*out++ = ' ';
		out = join_word(out, words[i]);
	}
	*out = '\0';
	return 0;
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
