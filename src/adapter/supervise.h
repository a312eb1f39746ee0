/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The adapter's side of the keeper (keeper.h): it starts, watches and ends the back-end of --exec,
 * and connects to it, and to one that somebody else has started: once the adapter is confined, it
 * has no way to any socket of its own.
 */
#ifndef ADAPTER_SUPERVISE_H
#define ADAPTER_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

#include "adapter/keeper.h"
#include "common/deadline.h"
#include "common/failure.h"

struct supervisor {
	int sock; /* to the keeper; -1: there is none */
	bool strange; /* what came there is not a keeper's: it is left open */
	pid_t keeper; /* 0: not known */
	bool child; /* it is ours to reap */
	pid_t backend; /* 0: not running */
	bool ending; /* it was asked to end */
	char **words; /* its command line, NULL: it is somebody else's to start */
	const char *path; /* of its listening socket, NULL: it inherits a connected one */
	uid_t user; /* who this process was in the beginning, and the keeper is */
	bool reaches; /* the keeper connects to it */
	int descriptor; /* that came with the last news, -1: none */
	int asked; /* number of the last descriptor that was asked for */
	int status; /* how the last one ended, as from wait() */
};

/* Of who has none: there is nothing to finish, and finishing it does no harm. */
#define SUPERVISOR_NONE ((struct supervisor){ .sock = -1, .descriptor = -1 })

/**
 * supervisor_init() - understand the command line and fork the keeper
 * @s:		filled in
 * @command:	of the back-end, NULL: none is started
 * @path:	with a command the listening socket's path, should it ask for one; without, that of
 *		who listens already, or NULL; kept, not copied
 * @device:	the device; what is in it is kept, too
 * @restart:	how to start another adapter, NULL: not at all
 * @failure:	the reason in words
 */
int supervisor_init(struct supervisor *s, const char *command, const char *path,
		    const struct keeper_device *device, const struct keeper_restart *restart,
		    struct failure *failure);

/**
 * supervisor_adopt() - go on with the keeper of another adapter
 * @s:		filled in; s->backend is what runs now
 * @sock:	the other one's socket; owned by @s from now on, on errors too
 * @command:	as it was given to supervisor_init()
 * @path:	as above
 * @sandbox:	this adapter gives up its privileges: so are those to do that follow it
 * @failure:	the reason in words
 *
 * Return: 0, or -ECONNRESET when the keeper is gone, and the back-end with it.
 */
int supervisor_adopt(struct supervisor *s, int sock, const char *command, const char *path,
		     bool sandbox, struct failure *failure);

/* supervisor_yield() - this adapter ends, and another one will adopt the keeper; 0 or an errno */
int supervisor_yield(struct supervisor *s);

/* supervisor_leave() - the adapter's end without the back-end's and the keeper's */
void supervisor_leave(struct supervisor *s);

/* supervisor_used() - true when it starts and ends the back-end */
static inline bool supervisor_used(const struct supervisor *s)
{
	return s->words != NULL;
}

/**
 * supervisor_start() - start the back-end and get connected to it
 * @s:		initialised, and no back-end running
 * @deadline:	for the connection
 * @failure:	the reason in words
 *
 * Return: a connected socket, or a negative errno.
 */
int supervisor_start(struct supervisor *s, deadline_t deadline, struct failure *failure);

/**
 * supervisor_connect() - get connected to a back-end that somebody else has started
 * @s:		s->reaches is set
 * @deadline:	for the connection
 *
 * Return: a connected socket, or a negative errno.
 */
int supervisor_connect(struct supervisor *s, deadline_t deadline);

/*
 * supervisor_open_node() - the module's node, freshly opened by whom this process was; -ENOTCONN:
 * there is no keeper, or another negative errno
 */
int supervisor_open_node(struct supervisor *s);

/*
 * supervisor_release_console() - have the keeper do console_release(). 0, -ENOTCONN: there is none,
 * or another negative errno
 */
int supervisor_release_console(struct supervisor *s, int parent);

/* supervisor_ready() - take news from the keeper; 0, or -ECONNRESET when it is gone */
int supervisor_ready(struct supervisor *s);

/* supervisor_end_backend() - ask for its end, without waiting. Return: true when there is none */
bool supervisor_end_backend(struct supervisor *s);

/* supervisor_stop() - end the back-end: asked first, then made to; 0 when it is gone, -ETIMEDOUT */
int supervisor_stop(struct supervisor *s, deadline_t deadline);

/* supervisor_finish() - end the back-end and the keeper */
void supervisor_finish(struct supervisor *s);

/* supervisor_describe() - "exited with status 1", "was killed by signal 9" */
const char *supervisor_describe(int status, char *buf, size_t size);

#endif
