/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the process gives up once it is set up, and what it makes sure of before.
 *
 * The adapter may sit under the disk that holds its own swap: it must not wait for memory that
 * only that disk could free. And it listens to back-ends that are not trusted: it keeps only what
 * it needs.
 */
#ifndef ADAPTER_SANDBOX_H
#define ADAPTER_SANDBOX_H

#include <stdbool.h>

#include "common/failure.h"

/*
 * sandbox_harden() - PR_SET_IO_FLUSHER, a low oom_score_adj; inherited by what is started later.
 * Without the privilege for one of them it goes without, with a line in the log.
 */
void sandbox_harden(void);

/* sandbox_lock_memory() - mlockall(), once everything is there; a child does it anew */
void sandbox_lock_memory(void);

/**
 * struct sandbox_needs - what the process goes on to need
 * @socket:	the back-end's path that this process connects to again, or NULL: it makes no
 *		connections, and no sockets to send from
 * @state_dir:	where its state is written
 * @node:	/dev/virtio-loopback, for a device that has to be made anew; or NULL: another
 *		process opens it
 * @epoll:	the device is several descriptors that are waited for as one
 */
struct sandbox_needs {
	const char *socket;
	const char *state_dir;
	const char *node;
	bool epoll;
};

/**
 * sandbox_enter() - give up capabilities, new privileges, files and most system calls
 * @needs:	what stays
 * @failure:	the reason in words
 */
int sandbox_enter(const struct sandbox_needs *needs, struct failure *failure);

#endif
