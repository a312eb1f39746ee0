// SPDX-License-Identifier: BSD-3-Clause
/* virtio-loopback: the command for people. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/log.h"
#include "common/standard-fds.h"
#include "common/util.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} verbs[] = {
	{ "attach", command_attach,
	  "attach (--config FILE | --type TYPE [--socket PATH | --exec 'BACKEND ARG...'])\n"
	  "         [--name NAME] [--queues N] [--queue-size N] [--pool SIZE]\n"
	  "         [--reconnect SECONDS|forever|off] [--foreground] [-- BACKEND-ARG...]" },
	{ "detach", command_detach, "detach NAME... | --all [--force]" },
	{ "list", command_list, "list [--json]" },
	{ "backends", command_backends, "backends [--json]" },
	{ "stats", command_stats, "stats NAME [--json] [--watch] | stats --prometheus [NAME]" },
	{ "upgrade", command_upgrade, "upgrade NAME [--exec 'BACKEND ARG...'] [--user USER[:GROUP]] [--config FILE] [--no-sandbox]" },
	{ "doctor", command_doctor, "doctor [--json] [--quiet]" },
	{ "prepare", command_prepare, "prepare NAME" },
	{ "backend", command_backend, "backend NAME" },
};

static void usage(FILE *out)
{
	size_t i;

	fprintf(out, "Usage:\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  virtio-loopback %s\n", verbs[i].usage);
	fprintf(out, "  virtio-loopback --help | --version\n");
	if (out == stdout)
		printf("\nvirtio-loopback COMMAND --help says more.\n");
}

static int unknown(const char *name)
{
	char known[128] = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i ? ", " : "", verbs[i].name);
	log_error("%s: no such command; there are %s", name, known);
	return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	size_t i;

	standard_fds_fill();
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("virtio-loopback %s\n", PACKAGE_VERSION);
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	}
	return unknown(argv[1]);
}

/* Who reads the output is to know when it is not all there. */
static int written(int status)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	/* of an earlier write that failed the reason is not known any more */
	log_error("standard output: %s: not all of it is written",
		  errno ? strerror(errno) : "a write failed");
	return status ? status : 1;
}

int main(int argc, char **argv)
{
	log_init("virtio-loopback", LOG_LEVEL_NOTICE);
	return written(run(argc, argv));
}
