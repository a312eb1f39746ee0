/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process that listens to untrusted peers gives up once it is set up: capabilities, new
 * privileges, the file system, system calls; in this order. Without libseccomp in the build the
 * calls stay, and without Landlock in the kernel the file system does.
 */
#ifndef VL_COMMON_CONFINE_H
#define VL_COMMON_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"

/**
 * confine_privileges() - no new privileges, no capabilities
 * @keep:	but for these, as 1U << CAP_DAC_OVERRIDE, where the process may have them
 * @failure:	the reason in words
 *
 * Return: 0 or a negative errno.
 */
int confine_privileges(uint32_t keep, struct failure *failure);

/* confine_effective() - of those that it kept, the ones in effect; the others can be, later */
int confine_effective(uint32_t effective);

/* What stays possible with a file, or with all that is below a folder. */
#define CONFINE_READ	(1U << 0)
#define CONFINE_WRITE	(1U << 1) /* what is there; devices can be asked, too */
#define CONFINE_CHANGE	(1U << 2) /* a folder's entries are made, renamed and removed */
#define CONFINE_REMOVE	(1U << 3) /* they are removed */

struct confine_path {
	const char *path; /* what is not there is passed over, and so is NULL */
	unsigned int access; /* CONFINE_* */
};

#define CONFINE_KEEP_TCP	(1U << 0)
#define CONFINE_KEEP_ABSTRACT	(1U << 1) /* sockets that have a name and no path */
#define CONFINE_KEEP_SIGNALS	(1U << 2) /* also those that the kernel sends at its end */

/**
 * confine_files() - from now on only these files can be opened (Landlock)
 * @paths:	what stays
 * @n:		how many
 * @keep:	what stays beside them, CONFINE_KEEP_*
 * @failure:	the reason in words
 *
 * What is open stays open. Connecting to a socket by its path is not hindered, nor is asking
 * whether a file is there. Where the kernel knows to, no signals pass to others. To be
 * called after confine_privileges(), by the only thread.
 *
 * Return: 0, also where the kernel has no Landlock, or a negative errno.
 */
int confine_files(const struct confine_path *paths, size_t n, unsigned int keep,
		  struct failure *failure);

/*
 * What OpenGL's drivers write to below /dev: the cards, where vendors put them, and memory to share
 * with them. Not disks, terminals and what types.
 */
#define CONFINE_CARD_NODES 26
extern const char *const confine_card_nodes[CONFINE_CARD_NODES];

/* Kinds of system calls, for confine_kinds() */
#define CONFINE_LISTEN	(1U << 0) /* connections, shared memory, the removal of the socket */
#define CONFINE_THREADS	(1U << 1)
#define CONFINE_OPEN	(1U << 2) /* files: opening, linking, renaming */
#define CONFINE_DEVICES	(1U << 3) /* ioctl() */
#define CONFINE_DATA	(1U << 4) /* what is in open files, at any place */
#define CONFINE_URING	(1U << 5) /* io_uring: what it does is not looked at */
#define CONFINE_NETWORK	(1U << 6) /* sockets of its own: of CAN, and for news of links */
#define CONFINE_SCHED	(1U << 7) /* another scheduling policy, as far as privileges go */

/*
 * confine_never() - from now on no signals to other processes, no new namespaces, no typing into
 * terminals, and no children. The others below do this first; it is for who has a list of its own.
 */
int confine_never(struct failure *failure);

/* confine_kinds() - as confine_calls(), with CONFINE_LISTEN and so on for the list */
int confine_kinds(unsigned int kinds, struct failure *failure);

/**
 * confine_calls() - from now on only these system calls, and those of the C library's own
 * @calls:	numbers as SCMP_SYS() gives them; those that this machine lacks are passed over
 * @n:		how many
 *
 * A call that is not allowed fails with EPERM.
 */
int confine_calls(const int *calls, size_t n, struct failure *failure);

/**
 * confine_calls_wide() - all but those that no such process needs
 * @connects:	it connects to servers, of sound or windows; else it makes no connection, and no
 *		socket of this machine but pairs
 * @failure:	the reason in words
 *
 * Children, executing programs, tracing others, mounting, modules, the machine's settings. For
 * processes with libraries, such as OpenGL drivers, whose calls cannot be listed.
 */
int confine_calls_wide(bool connects, struct failure *failure);

#endif
