// SPDX-License-Identifier: BSD-3-Clause
#include "cli/end-servers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adapter/device.h"
#include "adapter/keeper.h"
#include "common/cleanup.h"
#include "common/run-as.h"

#define ADAPTER_NAME "virtio-loopback" /* as much of the program's as /proc/PID/comm shows */

static bool is_of(pid_t pid, uid_t uid)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return stat(path, &st) == 0 && st.st_uid == uid;
}

static bool is_called(pid_t pid, const char *name)
{
	char path[32], line[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
	return !strcmp(line, name);
}

/*
 * Somebody else may write what processes serve a device, but not have root end one that is not
 * their own. An adapter of root's has become another user, and its keeper has not.
 */
static bool owns(const struct device_entry *entry, pid_t pid)
{
	struct run_as service;

	if (entry->owner == 0 || is_of(pid, entry->owner))
		return true;
	return !run_as_find(&service, SERVICE_USER) && entry->owner == service.uid;
}

/* ---- what a process has open ---- */

static bool is_same(const struct statx *a, const struct statx *b)
{
	if (S_ISCHR(a->stx_mode))
		return S_ISCHR(b->stx_mode) && a->stx_rdev_major == b->stx_rdev_major &&
		       a->stx_rdev_minor == b->stx_rdev_minor;
	return a->stx_ino == b->stx_ino && a->stx_dev_major == b->stx_dev_major &&
	       a->stx_dev_minor == b->stx_dev_minor;
}

/*
 * 1, 0, or -EACCES: within a service root may not look. No file system is asked about the files of
 * others, see in-use.c.
 */
static int has_open(pid_t pid, const char *path)
{
	bool found = false, refused;
	struct statx wanted, st;
	struct dirent *file;
	char folder[32];
	DIR *dir;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO, &wanted) < 0)
		return 0;
	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
	dir = opendir(folder);
	refused = !dir && errno == EACCES;
	while (dir && !found && (file = readdir(dir))) {
		if (statx(dirfd(dir), file->d_name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO,
			  &st) < 0)
			refused = refused || errno == EACCES;
		else
			found = is_same(&wanted, &st);
	}
	if (dir)
		closedir(dir);
	return found ? 1 : refused ? -EACCES : 0;
}

/*
 * By the kernel's word it is the process that last became the adapter; it can have handed the file
 * on, and be gone. By the adapter's word it can be any, so it has to have the lock of the name.
 */
static bool is_adapter(const struct device_entry *entry)
{
	const pid_t pid = entry->adapter_pid;
	char lock[PATH_MAX];
	int ret;

	if (entry->pid_of_kernel) {
		ret = has_open(pid, DEVICE_NODE);
		return ret > 0 || (ret < 0 && is_called(pid, ADAPTER_NAME));
	}
	if (!owns(entry, pid) ||
	    state_path(lock, sizeof(lock), STATE_DIR, entry->name, "lock"))
		return false;
	ret = has_open(pid, lock);
	return ret > 0 || (ret < 0 && entry->owner != 0 && is_of(pid, entry->owner));
}

/* ---- their end ---- */

/* It would start another adapter. */
static void end_keeper(const struct device_entry *entry)
{
	_cleanup_close_ int pidfd = -1;

	if (entry->keeper_pid <= 0 || !owns(entry, entry->keeper_pid))
		return;
	pidfd = (int)syscall(SYS_pidfd_open, entry->keeper_pid, 0);
	/* is it still the process that was written down? */
	if (pidfd >= 0 && is_called(entry->keeper_pid, KEEPER_NAME))
		syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
}

void end_servers(const struct device_entry *entry)
{
	_cleanup_close_ int pidfd = -1;

	end_keeper(entry);
	if (entry->adapter_pid <= 0)
		return;
	pidfd = (int)syscall(SYS_pidfd_open, entry->adapter_pid, 0);
	if (pidfd >= 0 && is_adapter(entry))
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}
