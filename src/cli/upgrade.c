// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "adapter/transport.h"
#include "cli/adapter-client.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "common/log.h"
#include "common/state-dir.h"

#define READY_MS 30000

static void upgrade_usage(void)
{
	printf("Usage: virtio-loopback upgrade NAME\n"
	       "\n"
	       "Replaces the adapter of a device by the one that is installed now, also where it has lost its\n"
	       "adapter. The device stays, its I/O goes on, and neither driver nor back-end notice.\n");
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

static int upgrade(const char *name, struct failure *failure)
{
	static char name_option[] = "--name", replace_option[] = "--replace",
		    ready_option[] = "--ready-fd";
	char ready[16];
	char *args[] = { NULL, replace_option, name_option, (char *)name,
			 ready_option, ready, NULL };
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
	ret = adapter_spawn(args, ready, sizeof(ready), false, &started, failure);
	if (!ret) {
		ret = adapter_wait_ready(&started, deadline_after_ms(READY_MS), failure);
		if (ret) { /* the device is left to the old one, or to the next */
			kill(started.pid, SIGKILL);
			waitpid(started.pid, NULL, 0);
		}
	}
	if (!ret && !devices_find(name, &entry))
		print_line(&entry);
	return ret;
}

int command_upgrade(int argc, char **argv)
{
	struct failure failure = { 0 };
	const char *name;
	int ret = arguments_read(argc, argv, NULL, ARGUMENTS_ONE_NAME, &name, upgrade_usage);

	if (ret >= 0)
		return ret;
	ret = upgrade(name, &failure);
	if (ret)
		log_error("upgrade: %s", failure_text(&failure, ret));
	return ret ? 1 : 0;
}
