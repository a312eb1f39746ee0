/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom a process becomes that root has started. Without a capability left user 0 is still who owns
 * the system's files, and whom the service manager, D-Bus and others believe.
 */
#ifndef VL_COMMON_RUN_AS_H
#define VL_COMMON_RUN_AS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/failure.h"

#define RUN_AS_DEFAULT "nobody"
#define RUN_AS_DEFAULT_ID 65534 /* where the system has no list of users */

/* All zero: RUN_AS_DEFAULT, if it can be had. */
struct run_as {
	bool given; /* then it is this one, or an error */
	uid_t uid;
	gid_t gid;
};

/**
 * run_as_parse() - understand USER or USER:GROUP, each a name or a number
 * @who:	filled in
 * @value:	what was given; "root" is who started it
 * @failure:	the reason in words
 *
 * Without a group it is the user's own. For a user and a group by their numbers nobody is asked.
 *
 * Return: 0, or -EINVAL.
 */
int run_as_parse(struct run_as *who, const char *value, struct failure *failure);

/* run_as_option() - the same, for a program's --user: the reason is a line of its log */
int run_as_option(struct run_as *who, const char *value);

/* run_as_find() - the user of that name, and its group; -ENOENT: the system knows none */
int run_as_find(struct run_as *who, const char *name);

/**
 * run_as_become() - become that user, all threads, if root is who started the process
 * @who:	whom
 * @groups:	others that it belongs to, for the devices that it opens later
 * @n:		how many
 * @failure:	the reason in words
 *
 * The capabilities stay permitted, and none of them is in effect: giving them up, or some of them,
 * is the caller's to do. A process that is to end with its parent does so still. The memory of the
 * process is nobody else's to read, though they are the same user.
 *
 * Return: 0, also where another user may not be taken and none was given, or a negative errno.
 */
int run_as_become(const struct run_as *who, const gid_t *groups, size_t n,
		  struct failure *failure);

/* run_as_removes() - whether files of others in @folder can be removed without a capability */
bool run_as_removes(const char *folder);

#endif
