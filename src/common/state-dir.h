/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What adapters leave in the file system for the command and for people, one set of files a device:
 *
 *	NAME.lock	locked for as long as the adapter lives, or the device waits for another
 *	NAME.state	what it serves, lines of key=value
 *	NAME.ctl	the socket that takes orders
 *	NAME.log	its messages
 *	NAME.sock	the back-end's socket, where the adapter chose it
 *
 * A process that was killed leaves files, and never a lock: the lock says who is alive.
 */
#ifndef VL_COMMON_STATE_DIR_H
#define VL_COMMON_STATE_DIR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/deadline.h"
#include "common/failure.h"

#define STATE_DIR "/run/virtio-loopback"
/* Who is in this group may make devices without being root, and see the state of all. */
#define SERVICE_GROUP "virtio-loopback"
/* Who is in it, and is whom adapters become that root has started. */
#define SERVICE_USER "virtio-loopback"
#define STATE_DIR_MODE 03770
#define STATE_NAME_MAX 32

struct state_record {
	uid_t owner; /* whose words these are */
	pid_t adapter_pid;
	pid_t keeper_pid; /* 0: it has none */
	uint32_t device_id;
	int parent; /* of /sys/devices/platform/virtio-loopback.N, -1: not yet */
	unsigned int queues;
	unsigned int queue_size;
	uint64_t pool;
	bool waiting; /* for a back-end that went away */
	char transport[16]; /* "": of one that has not written it */
	char reconnect[24];
	char backend[PATH_MAX]; /* "socket PATH" or "exec CMD" */
};

/* state_path() - DIR/NAME.SUFFIX; 0 or -ENAMETOOLONG */
int state_path(char *path, size_t size, const char *dir, const char *name, const char *suffix);

/*
 * state_dir_make() - make the directory, if it is not there: for its owner alone, but for
 * STATE_DIR, which root shares with the group, if there is one by now
 */
int state_dir_make(const char *dir, struct failure *failure);

/**
 * state_lock() - become the adapter of this name
 *
 * Return: a descriptor to keep; -EEXIST when another process is; or another negative errno.
 */
int state_lock(const char *dir, const char *name);

/* state_alive() - somebody holds the lock */
bool state_alive(const char *dir, const char *name);

int state_write(const char *dir, const char *name, const struct state_record *record);
int state_read(const char *dir, const char *name, struct state_record *record);

/*
 * state_give() - make the files of this name another user's, who can write them anew, and remove
 * them in the end. 0 or a negative errno
 */
int state_give(const char *dir, const char *name, uid_t uid);

/* state_clean() - remove the files; @keep_log: all but the log */
void state_clean(const char *dir, const char *name, bool keep_log);

/*
 * state_clean_dead() - the same for what a killed adapter left; nothing when one lives, or somebody
 * else has the lock until @deadline
 */
void state_clean_dead(const char *dir, const char *name, bool keep_log, deadline_t deadline);

#endif
