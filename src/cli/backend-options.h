/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a user wants of a back-end that is looked for: options by which the conventions of
 * vhost-user programs name what one may have, and any words that its program understands.
 */
#ifndef CLI_BACKEND_OPTIONS_H
#define CLI_BACKEND_OPTIONS_H

#include "common/device-types.h"
#include "common/failure.h"

#define BACKEND_OPTIONS 6

struct backend_options {
	const char *given[BACKEND_OPTIONS]; /* its value, or any text; NULL: not given */
	char *const *more; /* what stands behind "--", to its NULL; or NULL */
};

/**
 * backend_options_take() - is this word one of them?
 * @options:	where it is noted
 * @words:	of the command line, from this one to their NULL
 * @failure:	the reason in words
 *
 * Return: how many words it is: 0 (none of them), 1, or 2 with its value; or -EINVAL.
 */
int backend_options_take(struct backend_options *options, char *const *words,
			 struct failure *failure);

/* backend_options_first() - one that was given, as it is written; NULL: nothing was */
const char *backend_options_first(const struct backend_options *options);

/* backend_options_check() - 0, or -EINVAL: one is not for back-ends of this type */
int backend_options_check(const struct backend_options *options, const struct device_type *type,
			  struct failure *failure);

/* backend_options_lacking() - one that is not among these capabilities; or NULL */
const char *backend_options_lacking(const struct backend_options *options,
				    char *const *features);

/* backend_options_append() - all, for a program that has another working directory */
int backend_options_append(const struct backend_options *options, char ***words,
			   struct failure *failure);

#endif
