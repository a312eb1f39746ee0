// SPDX-License-Identifier: BSD-3-Clause
#include "cli/console-ports.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"

#define TERMINALS_MAX 64

/* A mount of our own, which nobody sees and which ends with its descriptor. */
static int mount_debugfs(void)
{
	_cleanup_close_ int context = fsopen("debugfs", FSOPEN_CLOEXEC);

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return fsmount(context, FSMOUNT_CLOEXEC, 0);
}

int console_ports_open(void)
{
	_cleanup_close_ int root = mount_debugfs();
	int folder;

	if (root < 0)
		return root;
	folder = openat(root, "virtio-ports", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder < 0 ? -errno : folder;
}

/* The driver's own number of a port that is a terminal, from 1 on; 0: it is none */
static int driver_number(int folder, const char *port)
{
	_cleanup_close_ int fd = openat(folder, port, O_RDONLY | O_CLOEXEC);
	const char *number;
	char text[1024];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	number = strstr(text, "console_vtermno: ");
	if (!strstr(text, "is_console: yes") || !number)
		return 0;
	return atoi(number + strlen("console_vtermno: ")); /* NOLINT(cert-err34-c) */
}

/* How many terminals were made before this one, of those that are there */
static int rank(int folder, int number)
{
	_cleanup_close_ int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return 0;
	fd_steal(&fd); /* it is the stream's now */
	while ((entry = readdir(dir))) {
		int other = driver_number(folder, entry->d_name);

		if (other > 0 && other < number)
			count++;
	}
	closedir(dir);
	return count;
}

static bool terminal_is_there(int index)
{
	_cleanup_close_ int fd = -1;
	char path[32];

	snprintf(path, sizeof(path), "/dev/hvc%d", index);
	fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0;
}

/*
 * Before Linux 6.3 the driver never uses a number twice, and hvc does. Terminals that were all
 * there at the same time have indices in the order of their numbers.
 */
static bool numbers_are_indices(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	/* NOLINTNEXTLINE(cert-err34-c): what is no number is 0 */
	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 6 || (major == 6 && minor >= 3);
}

int console_port_terminal(int folder, const char *port)
{
	int number = driver_number(folder, port);
	int i, left;

	if (number <= 0)
		return -1;
	if (numbers_are_indices())
		return number - 1;
	left = rank(folder, number);
	for (i = 0; i < TERMINALS_MAX; i++) {
		if (terminal_is_there(i) && left-- == 0)
			return i;
	}
	return -1;
}
