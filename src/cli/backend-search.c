// SPDX-License-Identifier: BSD-3-Clause
#include "cli/backend-search.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/capabilities.h"
#include "cli/descriptor.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/word-split.h"

struct search {
	const struct backend_options *wanted;
	const char *type; /* for people */
	uint32_t virtio_id;
	unsigned int useless; /* descriptors with something wrong that might have been taken */
	const char *lacking; /* what the last one did not have that could not be taken for that */
};

/* Return: 1: that one; 0: not that one; -ENOMEM. */
static int fits(struct search *s, const struct descriptor *d)
{
	_cleanup_(word_list_cleanup) char **features = NULL;
	char *none[] = { NULL };
	struct failure failure = { 0 };
	const char *lacking;
	int ret;

	if (d->type && d->virtio_id != s->virtio_id)
		return 0;
	if (d->problem.text[0]) {
		log_warning("attach: %s: %s", d->path, d->problem.text);
		s->useless++;
		return 0;
	}
	if (!backend_options_lacking(s->wanted, none))
		return 1; /* whatever it has */
	ret = capabilities_ask(d->binary, d->type, &features, &failure);
	if (ret) {
		log_warning("attach: %s: %s", d->path, failure_text(&failure, ret));
		s->useless++;
		return ret == -ENOMEM ? ret : 0;
	}
	lacking = backend_options_lacking(s->wanted, features);
	if (lacking)
		s->lacking = lacking;
	return !lacking;
}

static int none_found(const struct search *s, char *const *folders, struct failure *failure)
{
	static const char instead[] = "give --exec 'BACKEND ARG...' or --socket PATH";
	char where[160] = "";

	if (s->lacking)
		return failure_set(failure, -ENOENT,
				   "no back-end of type %s that is installed has %s (see "
				   "virtio-loopback backends): %s",
				   s->type, s->lacking, instead);
	if (s->useless)
		return failure_set(failure, -ENOENT,
				   "no back-end of type %s can be used: mend the above, or %s",
				   s->type, instead);
	for (; *folders; folders++)
		snprintf(where + strlen(where), sizeof(where) - strlen(where), "%s%s",
			 where[0] ? ", " : "", *folders);
	return failure_set(failure, -ENOENT,
			   "no back-end of type %s is installed with a descriptor in %s: install "
			   "one, or %s",
			   s->type, where, instead);
}

/* The user may say how it gets its socket, as with --exec. */
static bool has_socket(char *const *words)
{
	for (; words && *words; words++) {
		if (strstr(*words, "{socket}") || strstr(*words, "{fd}"))
			return true;
	}
	return false;
}

/*
 * It is told a path: what --fd means, a connection or a socket that listens, differs from one type
 * of back-end to another.
 */
static int make_command(const struct search *s, const struct descriptor *d, char **command,
			struct failure *failure)
{
	_cleanup_(word_list_cleanup) char **words = calloc(1, sizeof(*words));
	int ret;

	if (!words)
		return -ENOMEM;
	ret = word_list_append(&words, d->binary);
	if (!ret && !has_socket(s->wanted->more))
		ret = word_list_append(&words, "--socket-path={socket}");
	if (!ret)
		ret = backend_options_append(s->wanted, &words, failure);
	if (!ret)
		ret = word_join(words, command);
	return ret;
}

static int search(struct search *s, char *const *folders, char **command,
		  struct failure *failure)
{
	struct descriptor_list list;
	int ret = descriptor_list_read(folders, &list), found = 0;
	size_t i;

	if (ret)
		return ret;
	for (i = 0; i < list.count && !found; i++)
		found = fits(s, &list.entries[i]);
	if (found < 0)
		ret = found;
	else if (!found)
		ret = none_found(s, folders, failure);
	else
		ret = make_command(s, &list.entries[i - 1], command, failure);
	descriptor_list_free(&list);
	return ret;
}

int backend_search(const struct backend_options *wanted, const struct device_type *type,
		   char *const *folders, char **command, struct failure *failure)
{
	_cleanup_(word_list_cleanup) char **usual = NULL;
	char number[16];
	struct search s = {
		.wanted = wanted,
		.type = device_type_name(type->id, number, sizeof(number)),
		.virtio_id = type->id,
	};
	int ret;

	if (!descriptor_type_name(type->id))
		return failure_set(failure, -ENOENT,
				   "there are no descriptors for back-ends of type %s: give --exec "
				   "'BACKEND ARG...' or --socket PATH",
				   s.type);
	if (!folders) {
		ret = descriptor_folders(&usual);
		if (ret)
			return ret;
		folders = usual;
	}
	return search(&s, folders, command, failure);
}
