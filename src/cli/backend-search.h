/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end of a device whose user names none: the first one that is installed for this type
 * and has what the user wants. Nothing but this command knows of descriptors: what comes out is
 * the command line that --exec takes.
 */
#ifndef CLI_BACKEND_SEARCH_H
#define CLI_BACKEND_SEARCH_H

#include "cli/backend-options.h"
#include "common/device-types.h"
#include "common/failure.h"

/**
 * backend_search() - look for it
 * @wanted:	what it is to have
 * @type:	of the device
 * @folders:	where, from general to specific; NULL: in the usual ones
 * @command:	on 0 its command line, for free()
 * @failure:	the reason in words
 *
 * What is passed over because something is wrong with it is logged.
 *
 * Return: 0, -ENOENT: there is none, or another negative errno.
 */
int backend_search(const struct backend_options *wanted, const struct device_type *type,
		   char *const *folders, char **command, struct failure *failure);

#endif
