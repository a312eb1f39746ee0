// SPDX-License-Identifier: BSD-3-Clause
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/backend-list.h"
#include "cli/command.h"
#include "common/log.h"

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
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 'h':
			backends_usage();
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		log_error("backends: %s: not understood", argv[optind]);
		return EXIT_USAGE;
	}
	return backend_list_show(json);
}
