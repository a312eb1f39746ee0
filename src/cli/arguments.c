// SPDX-License-Identifier: BSD-3-Clause
#include <getopt.h>
#include <stddef.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "common/log.h"

static int take_name(int argc, char **argv, enum arguments_names names, const char **name)
{
	int count = argc - optind;

	if (count && names == ARGUMENTS_NO_NAME) {
		log_error("%s: %s: not understood", argv[0], argv[optind]);
		return EXIT_USAGE;
	}
	if (count > 1 || (!count && names == ARGUMENTS_ONE_NAME)) {
		log_error("%s: the name of one device, please", argv[0]);
		return EXIT_USAGE;
	}
	if (name)
		*name = argv[optind];
	return -1;
}

int arguments_read(int argc, char **argv, const struct arguments_flag *flags,
		   enum arguments_names names, const char **name, void (*usage)(void))
{
	static const struct arguments_flag none[] = { { NULL, NULL, NULL } };
	struct option options[ARGUMENTS_MAX_FLAGS + 2] = { 0 };
	size_t count = 0;
	int opt;

	if (!flags)
		flags = none;
	for (; flags[count].name; count++)
		options[count] =
			(struct option){ flags[count].name,
					 flags[count].value ? required_argument : no_argument,
					 NULL, (int)count };
	options[count] = (struct option){ "help", no_argument, NULL, 'h' };
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			usage();
			return 0;
		}
		if (opt == '?')
			return EXIT_USAGE;
		if (flags[opt].value)
			*flags[opt].value = optarg;
		else
			*flags[opt].given = true;
	}
	return take_name(argc, argv, names, name);
}
