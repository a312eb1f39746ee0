// SPDX-License-Identifier: BSD-3-Clause
#include "cli/backend-options.h"

#include <errno.h>
#include <limits.h>
#include <linux/virtio_ids.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "common/word-split.h"

/*
 * "Backend program conventions" of QEMU's vhost-user.rst: those that a back-end need not have. One
 * that has it names it, without the dashes, among its capabilities.
 */
static const struct {
	const char *name;
	uint32_t virtio_id;
	bool path; /* is its value */
} known[BACKEND_OPTIONS] = {
	{ "--blk-file", VIRTIO_ID_BLOCK, true },   { "--read-only", VIRTIO_ID_BLOCK, false },
	{ "--evdev-path", VIRTIO_ID_INPUT, true }, { "--no-grab", VIRTIO_ID_INPUT, false },
	{ "--render-node", VIRTIO_ID_GPU, true },  { "--virgl", VIRTIO_ID_GPU, false },
};

static int take(struct backend_options *options, size_t i, const char *value, const char *next,
		struct failure *failure)
{
	const char *name = known[i].name;

	if (!known[i].path) {
		options->given[i] = name;
		return value ? failure_set(failure, -EINVAL, "%s takes no value", name) : 1;
	}
	options->given[i] = value ? value : next;
	if (!options->given[i] || !options->given[i][0])
		return failure_set(failure, -EINVAL, "%s: its value is missing; see --help", name);
	return value ? 1 : 2;
}

int backend_options_take(struct backend_options *options, char *const *words,
			 struct failure *failure)
{
	size_t length = strcspn(words[0], "="), i;

	for (i = 0; i < BACKEND_OPTIONS; i++) {
		if (strlen(known[i].name) == length && !strncmp(known[i].name, words[0], length))
			return take(options, i, words[0][length] ? words[0] + length + 1 : NULL,
				    words[1], failure);
	}
	return 0;
}

const char *backend_options_first(const struct backend_options *options)
{
	size_t i;

	for (i = 0; i < BACKEND_OPTIONS; i++) {
		if (options->given[i])
			return known[i].name;
	}
	return options->more ? "--" : NULL;
}

int backend_options_check(const struct backend_options *options, const struct device_type *type,
			  struct failure *failure)
{
	size_t i;

	for (i = 0; i < BACKEND_OPTIONS; i++) {
		if (options->given[i] && known[i].virtio_id != type->id)
			return failure_set(failure, -EINVAL, "%s is for --type %s", known[i].name,
					   device_type_by_id(known[i].virtio_id)->name);
	}
	return 0;
}

static bool have(char *const *features, const char *feature)
{
	for (; *features; features++) {
		if (!strcmp(*features, feature))
			return true;
	}
	return false;
}

const char *backend_options_lacking(const struct backend_options *options,
				    char *const *features)
{
	size_t i;

	for (i = 0; i < BACKEND_OPTIONS; i++) {
		if (options->given[i] && !have(features, known[i].name + strlen("--")))
			return known[i].name;
	}
	return NULL;
}

/* A path that begins in this folder is completed. */
static int append_path(char ***words, const char *name, const char *path, struct failure *failure)
{
	char here[PATH_MAX] = "", whole[PATH_MAX + 32];

	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return failure_set(failure, -errno, "%s %.200s: %s", name, path, strerror(errno));
	if (snprintf(whole, sizeof(whole), "%s=%s%s%s", name, here, here[0] ? "/" : "", path) >=
	    (int)sizeof(whole))
		return failure_set(failure, -ENAMETOOLONG, "%s %.200s: too long", name, path);
	return word_list_append(words, whole);
}

int backend_options_append(const struct backend_options *options, char ***words,
			   struct failure *failure)
{
	char *const *more = options->more;
	int ret = 0;
	size_t i;

	for (i = 0; i < BACKEND_OPTIONS && !ret; i++) {
		if (!options->given[i])
			continue;
		ret = known[i].path ?
			      append_path(words, known[i].name, options->given[i], failure) :
			      word_list_append(words, known[i].name);
	}
	for (; more && *more && !ret; more++)
		ret = word_list_append(words, *more);
	return ret;
}
