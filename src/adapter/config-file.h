/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's configuration file, as virtio-loopback.conf(5) describes it: the options of attach
 * as settings, and the command line of a back-end that the service manager starts.
 */
#ifndef ADAPTER_CONFIG_FILE_H
#define ADAPTER_CONFIG_FILE_H

#include "adapter/options.h"
#include "common/failure.h"

#define CONFIG_DIR "/etc/virtio-loopback"
#define CONFIG_SUFFIX ".conf"

struct config_file {
	/* called for each mistake, with "FILE:LINE: what" */
	void (*mistake)(void *context, const char *text);
	void *context;

	/* filled in */
	char *text; /* what all strings point into */
	char *path;
	char name[32]; /* the file's, without folder and suffix */
	const char *backend; /* the command line in [backend], or NULL */
	unsigned int mistakes;
};

/**
 * config_load() - read a file to its end, and check it
 * @file:	with @mistake and @context; config_free() once @options are no longer used
 * @path:	of the file
 * @options:	options_init() came before; what the file says is set, and the name, unless it is
 *
 * Return: 0, -EINVAL when there was a mistake, or a negative errno: @mistake says why.
 */
int config_load(struct config_file *file, const char *path, struct adapter_options *options);

void config_free(struct config_file *file);

/*
 * config_read() - the same for a program that lives with these options: mistakes are logged, the
 * last one is left to @failure
 */
int config_read(struct adapter_options *options, const char *path, struct failure *failure);

#endif
