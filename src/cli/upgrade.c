// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdio.h>

#include "adapter/config-file.h"
#include "adapter/transport.h"
#include "adapter/user.h"
#include "cli/adapter-client.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "common/child.h"
#include "common/log.h"
#include "common/state-dir.h"

#define READY_MS 30000

static void upgrade_usage(void)
{
	printf("Usage: virtio-loopback upgrade [OPTION...] NAME\n"
	       "\n"
	       "Replaces the adapter of a device by the one that is installed now, also where it has lost its\n"
	       "adapter. The device stays, its I/O goes on, and neither driver nor back-end notice.\n"
	       "\n"
	       "  --exec 'CMD ARG...'  the command that starts the back-end, as attach was told; needed where\n"
	       "                       the device has lost its keeper\n"
	       "  --config FILE        user, verbose and no-sandbox are FILE's; see virtio-loopback.conf(5)\n"
	       "  --user USER[:GROUP]  whom the new adapter becomes, where root starts it\n"
	       "  --no-sandbox         the new adapter keeps all privileges (for debugging)\n");
}

static void print_line(const struct device_entry *e)
{
	unsigned int i;

	printf("%s virtio%d", e->name, e->virtio_index);
	for (i = 0; i < e->nodes.count; i++)
		printf(" %s", e->nodes.name[i]);
	printf("\n");
	fflush(stdout);
}

struct upgrade {
	const char *name;
	/* NULL: not said */
	char *config;
	char *exec;
	char *user;
	bool no_sandbox;
	bool verbose;
};

/* What the device is, stays; the file says who serves it. */
static int read_config(struct upgrade *u, struct failure *failure)
{
	static char user[USER_WORD_SIZE];
	struct adapter_options options;
	int ret;

	options_init(&options);
	ret = config_read(&options, u->config, failure);
	if (ret)
		return ret;
	if (!u->user)
		u->user = (char *)user_word(&options.user, user);
	u->no_sandbox |= !options.sandbox;
	u->verbose = options.verbose;
	return 0;
}

static int upgrade(struct upgrade *u, struct failure *failure)
{
	static char name_option[] = "--name", replace_option[] = "--replace",
		    ready_option[] = "--ready-fd", exec_option[] = "--exec",
		    user_option[] = "--user", sandbox_option[] = "--no-sandbox",
		    verbose_option[] = "--verbose";
	const char *name = u->name;
	char ready[16];
	char *args[13] = { NULL, replace_option, name_option, (char *)name, ready_option, ready };
	size_t n = 6;
	struct adapter_started started;
	const struct transport *transport;
	struct device_entry entry;
	int ret;

	if (devices_find(name, &entry))
		return failure_set(failure, -ENOENT, "%s: there is no such device", name);
	transport = transport_find(entry.transport);
	if (transport && !transport->succession)
		return failure_set(failure, -EOPNOTSUPP,
				   "%s: a device of the transport %s ends with its adapter: detach "
				   "it, and attach it again",
				   name, transport->name);
	if (u->exec) {
		args[n++] = exec_option;
		args[n++] = u->exec;
	}
	if (u->user) {
		args[n++] = user_option;
		args[n++] = u->user;
	}
	if (u->no_sandbox)
		args[n++] = sandbox_option;
	if (u->verbose)
		args[n++] = verbose_option;
	ret = adapter_spawn(args, ready, sizeof(ready), false, &started, failure);
	if (!ret) {
		ret = adapter_wait_ready(&started, deadline_after_ms(READY_MS), failure);
		if (ret) /* the device is left to the old one, or to the next */
			child_kill(started.pid);
	}
	if (!ret && !devices_find(name, &entry))
		print_line(&entry);
	return ret;
}

int command_upgrade(int argc, char **argv)
{
	struct upgrade u = { 0 };
	const struct arguments_flag flags[] = {
		{ .name = "config", .value = &u.config },
		{ .name = "exec", .value = &u.exec },
		{ .name = "user", .value = &u.user },
		{ .name = "no-sandbox", .given = &u.no_sandbox },
		{ .name = NULL },
	};
	struct failure failure = { 0 };
	int ret = arguments_read(argc, argv, flags, ARGUMENTS_ONE_NAME, &u.name, upgrade_usage);

	if (ret >= 0)
		return ret;
	ret = u.config ? read_config(&u, &failure) : 0;
	if (ret) {
		log_error("upgrade: %s", failure_text(&failure, ret));
		return EXIT_USAGE;
	}
	ret = upgrade(&u, &failure);
	if (ret)
		log_error("upgrade: %s", failure_text(&failure, ret));
	return ret ? 1 : 0;
}
