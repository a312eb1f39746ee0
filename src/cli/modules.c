// SPDX-License-Identifier: BSD-3-Clause
#include "cli/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapter/vdpa.h"
#include "adapter/vduse-steward.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/deadline.h"

#define MODPROBE_MS 30000
#define NODE_MS 5000
#define NODE_POLL_MS 10

/*
 * @said: what modprobe wrote, its last line at least. Return: its exit status, or a negative errno
 */
static int modprobe(const char *module, char *said, size_t size)
{
	_cleanup_close_ int out = -1;
	int pair[2];
	ssize_t n;
	pid_t child;
	int ret;

	said[0] = '\0';
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	out = pair[0];
	child = fork();
	if (child == 0) {
		dup2(pair[1], STDOUT_FILENO);
		dup2(pair[1], STDERR_FILENO);
		execlp("modprobe", "modprobe", "--", module, (char *)NULL);
		execl("/sbin/modprobe", "modprobe", "--", module, (char *)NULL);
		execl("/usr/sbin/modprobe", "modprobe", "--", module, (char *)NULL);
		dprintf(STDERR_FILENO, "modprobe: %s\n", strerror(errno));
		_exit(127);
	}
	close(pair[1]);
	if (child < 0)
		return -errno;
	ret = child_wait(child, deadline_after_ms(MODPROBE_MS));
	fcntl(out, F_SETFL, O_NONBLOCK);
	n = read(out, said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return ret;
}

/* @there: a path that is there when it is loaded */
static int load(const char *module, const char *there, struct failure *failure)
{
	deadline_t deadline;
	char said[160];
	int ret;

	if (access(there, F_OK) == 0)
		return 0;
	ret = modprobe(module, said, sizeof(said));
	if (ret)
		return failure_set(failure, -ENODEV, "the kernel module %s cannot be loaded (%s)",
				   module, said[0] ? said : "modprobe failed");
	/* udev or devtmpfs makes a node in its own time */
	deadline = deadline_after_ms(NODE_MS);
	while (access(there, F_OK) < 0) {
		if (deadline_passed(deadline))
			return failure_set(failure, -ENODEV, "%s is loaded, and %s does not appear",
					   module, there);
		poll(NULL, 0, NODE_POLL_MS);
	}
	return 0;
}

int modules_load_transport(const struct adapter_options *options, struct failure *failure)
{
	int ret;

	if (options->transport == &transport_loopback)
		return load("virtio_loopback", options->node, failure);
	ret = load("vduse", VDUSE_CONTROL, failure);
	return ret ? ret : load(VDPA_DRIVER, VDPA_BUS "/drivers/" VDPA_DRIVER, failure);
}

static int module_loaded(const char *module)
{
	char path[PATH_MAX];
	char *p;

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	for (p = strrchr(path, '/'); *p; p++) {
		if (*p == '-')
			*p = '_';
	}
	return access(path, F_OK) == 0;
}

void modules_load_driver(const struct device_type *type)
{
	char alias[48], said[160];

	if (type->module && module_loaded(type->module))
		return;
	/*
	 * by the alias that the kernel itself would ask for: also a driver that this table does not
	 * know
	 */
	snprintf(alias, sizeof(alias), "virtio:d%08Xv%08X", type->id, 0xffffffffU);
	modprobe(alias, said, sizeof(said));
}
