// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "common/cleanup.h"
#include "common/state-dir.h"

#define NODE "/dev/virtio-loopback"
#define NOFILE_MIN 1024 /* a device with many queues has two eventfds for each */
#define GROUPS_MAX_BYTES (256 << 10)
#define RETRIGGER "udevadm control --reload && udevadm trigger /sys/class/misc/virtio-loopback"

/*
 * The group's number in the tree that is looked at; -1: there is none. @member: the user is named
 * in it
 */
static long find_group(const struct doctor *d, bool *member)
{
	_cleanup_free_ char *text = malloc(GROUPS_MAX_BYTES);
	char *line, *rest = NULL;

	*member = false;
	if (!text || doctor_read(d, "/etc/group", text, GROUPS_MAX_BYTES) <= 0)
		return -1;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *fields = line, *name = strsep(&fields, ":"), *number, *users, *user;

		if (strcmp(name, SERVICE_GROUP) != 0)
			continue;
		strsep(&fields, ":");
		number = strsep(&fields, ":");
		users = fields;
		while ((user = strsep(&users, ",")))
			*member |= !strcmp(user, d->user);
		return number ? strtol(number, NULL, 10) : -1;
	}
	return -1;
}

static bool has_service_user(const struct doctor *d)
{
	_cleanup_free_ char *text = malloc(GROUPS_MAX_BYTES);

	return text && doctor_read(d, "/etc/passwd", text, GROUPS_MAX_BYTES) > 0 &&
	       strstr(text, "\n" SERVICE_USER ":");
}

static void check_user(struct doctor *d, const struct stat *node, long group, bool member)
{
	char remedy[128];

	if (group < 0) {
		doctor_say(d, FINDING_BAD, "access",
			   "addgroup --system " SERVICE_GROUP " && " RETRIGGER,
			   "%s may not open %s, and there is no group %s that could", d->user, NODE,
			   SERVICE_GROUP);
	} else if ((long)node->st_gid != group || (node->st_mode & 0060) != 0060) {
		doctor_say(d, FINDING_BAD, "access", RETRIGGER,
			   "%s is not the group %s's (mode %04o, group %u)", NODE, SERVICE_GROUP,
			   node->st_mode & 07777, (unsigned int)node->st_gid);
	} else if (!member) {
		snprintf(remedy, sizeof(remedy), "adduser %s " SERVICE_GROUP ", and log in again",
			 d->user);
		doctor_say(d, FINDING_BAD, "access", remedy,
			   "%s may not open %s: it is for root and the group %s", d->user, NODE,
			   SERVICE_GROUP);
	} else {
		doctor_say(d, FINDING_BAD, "access", "log in again, or newgrp " SERVICE_GROUP,
			   "%s has joined the group %s since the last login", d->user,
			   SERVICE_GROUP);
	}
}

void doctor_check_node(struct doctor *d)
{
	char path[PATH_MAX];
	struct stat st;
	bool member;
	long group = find_group(d, &member);

	if (stat(doctor_path(d, path, "%s", NODE), &st) < 0) {
		if (d->loaded)
			doctor_say(d, FINDING_BAD, "access",
				   "udevadm trigger /sys/class/misc/virtio-loopback",
				   "the module is loaded, and %s is not there", NODE);
		return;
	}
	if (st.st_mode & 0006) {
		doctor_say(d, FINDING_BAD, "access", "chmod o= " NODE,
			   "everybody may open %s, and so make devices (mode %04o)", NODE,
			   st.st_mode & 07777);
		return;
	}
	if (d->uid && access(path, R_OK | W_OK) < 0) {
		check_user(d, &st, group, member);
		return;
	}
	doctor_say(d, FINDING_OK, "access", NULL, "%s may open %s", d->user, NODE);
	if (group < 0)
		doctor_say(d, FINDING_NOTE, "access",
			   "addgroup --system " SERVICE_GROUP " && " RETRIGGER,
			   "there is no group %s: only root can make devices", SERVICE_GROUP);
	else if (!has_service_user(d))
		doctor_say(d, FINDING_NOTE, "access",
			   "adduser --system --no-create-home --ingroup " SERVICE_GROUP
			   " " SERVICE_USER,
			   "there is no user %s: an adapter that root starts stays root",
			   SERVICE_USER);
}

void doctor_check_state_dir(struct doctor *d)
{
	char path[PATH_MAX], remedy[128];
	struct stat st;

	if (lstat(doctor_path(d, path, STATE_DIR), &st) < 0)
		return; /* it is made when it is needed */
	if (!S_ISDIR(st.st_mode)) {
		doctor_say(d, FINDING_BAD, "access", "rm " STATE_DIR, STATE_DIR " is no directory");
	} else if (st.st_uid && st.st_uid != getuid()) {
		doctor_say(d, FINDING_BAD, "access", "chown root " STATE_DIR,
			   STATE_DIR " is user %u's: no other one's adapter takes it",
			   (unsigned int)st.st_uid);
	} else if ((st.st_mode & 0002) ||
		   ((st.st_mode & 0020) && !(st.st_mode & S_ISVTX))) {
		snprintf(remedy, sizeof(remedy), "chmod %04o " STATE_DIR,
			 st.st_mode & 0020 ? STATE_DIR_MODE : 0700);
		doctor_say(d, FINDING_BAD, "access", remedy,
			   "others may change the state of devices in " STATE_DIR " (mode %04o)",
			   st.st_mode & 07777);
	} else if (d->uid && access(path, W_OK | X_OK) < 0) {
		doctor_say(d, FINDING_BAD, "access",
			   "systemd-tmpfiles --create virtio-loopback.conf",
			   "%s may not write to " STATE_DIR " (mode %04o, user %u, group %u)",
			   d->user, st.st_mode & 07777, (unsigned int)st.st_uid,
			   (unsigned int)st.st_gid);
	}
}

static void format_limit(uint64_t limit, char *buf, size_t size)
{
	if (limit == UINT64_MAX)
		snprintf(buf, size, "unlimited");
	else
		snprintf(buf, size, "%" PRIu64 " KiB", limit >> 10);
}

void doctor_check_limits(struct doctor *d)
{
	char limit[32], remedy[192];

	format_limit(d->memlock, limit, sizeof(limit));
	if (d->uid && d->memlock < d->pool) {
		snprintf(remedy, sizeof(remedy),
			 "echo '%s - memlock %" PRIu64
			 "' > /etc/security/limits.d/virtio-loopback.conf, and log in again",
			 d->user, 4 * d->pool >> 10);
		doctor_say(d, FINDING_BAD, "limits", remedy,
			   "%s may lock %s of memory, and one pool has %" PRIu64 " KiB", d->user,
			   limit, d->pool >> 10);
	} else {
		doctor_say(d, FINDING_OK, "limits", NULL, "memory that may be locked: %s",
			   d->uid ? limit : "root: no limit");
	}
	if (d->nofile < NOFILE_MIN)
		doctor_say(d, FINDING_BAD, "limits", "ulimit -n 1024",
			   "a process may have %" PRIu64 " files open: too few for many queues",
			   d->nofile);
}
