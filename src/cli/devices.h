/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which devices there are: what the kernel shows, and what adapters left in the state directory.
 * Neither needs an adapter that answers.
 */
#ifndef CLI_DEVICES_H
#define CLI_DEVICES_H

#include "cli/sysfs.h"
#include "common/state-dir.h"

struct device_entry {
	char name[STATE_NAME_MAX];
	int parent; /* -1: the kernel has none (its back-end is waited for, to plug it again) */
	int virtio_index;
	char transport[16]; /* "": not known */
	char state[16]; /* the kernel's word, or "waiting" for a back-end */
	char driver[64];
	uint32_t device_id;
	unsigned int queues;
	uint64_t pool;
	uid_t owner; /* of the record: who says which processes these are */
	pid_t adapter_pid; /* 0: it has none that lives */
	bool pid_of_kernel; /* that is the kernel's word */
	pid_t keeper_pid; /* as the adapter wrote it down; 0: it has none */
	char backend[PATH_MAX]; /* "socket PATH" or "exec CMD"; "": not known */
	struct nodes nodes;
};

/* devices_list() - all, by name; an allocated array, or a negative errno. Return: how many */
int devices_list(struct device_entry **entries);

/* devices_load() - what the kernel shows of it now; 0 or -ENOENT */
int devices_load(const struct device_entry *entry, struct loopback_device *device);

/* devices_find() - one; 0 or -ENOENT */
int devices_find(const char *name, struct device_entry *entry);

#endif
