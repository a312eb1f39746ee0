// SPDX-License-Identifier: BSD-3-Clause
#include <stdbool.h>
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/backend-list.h"
#include "cli/command.h"

static void backends_usage(void)
{
	printf("Usage: virtio-loopback backends [--json]\n"
	       "\n"
	       "Shows the back-ends that are installed with a descriptor, in the order in which attach\n"
	       "without --socket and --exec takes the first one of its type, and which options of attach\n"
	       "they have.\n");
}

int command_backends(int argc, char **argv)
{
	bool json = false;
	const struct arguments_flag flags[] = { { "json", &json, NULL }, { NULL, NULL, NULL } };
	int status = arguments_read(argc, argv, flags, ARGUMENTS_NO_NAME, NULL, backends_usage);

	return status < 0 ? backend_list_show(json) : status;
}
