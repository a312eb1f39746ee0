/* SPDX-License-Identifier: BSD-3-Clause */
/* Splitting a command line into words as a POSIX shell quotes them, and expanding nothing. */
#ifndef VL_COMMON_WORD_SPLIT_H
#define VL_COMMON_WORD_SPLIT_H

/**
 * word_split() - split a command line
 * @text:	blanks separate words; '...', "..." and \ quote as in a shell (POSIX 2.2). $, `, *, ~, ; and
 *		the like are ordinary characters
 * @words:	on 0 a NULL-terminated array, for word_list_free()
 *
 * Return: the number of words, or -EINVAL (a quote is not closed, or the line ends in a backslash),
 * -ENOMEM.
 */
int word_split(const char *text, char ***words);

/**
 * word_list_replace() - put a text in the place of a token, in all words
 * @words:	from word_split()
 * @token:	e.g. "{fd}"
 * @value:	what stands there afterwards
 *
 * Return: how many times the token was found, or -ENOMEM.
 */
int word_list_replace(char **words, const char *token, const char *value);

/* word_list_append() - one more word at the end; 0 or -ENOMEM */
int word_list_append(char ***words, const char *word);

/**
 * word_join() - the command line that word_split() makes these words of
 * @words:	NULL-terminated
 * @text:	on 0 for free(); words are quoted where they have to be
 *
 * Return: 0 or -ENOMEM.
 */
int word_join(char *const *words, char **text);

void word_list_free(char **words);

static inline void word_list_cleanup(char ***words)
{
	word_list_free(*words);
}

#endif
