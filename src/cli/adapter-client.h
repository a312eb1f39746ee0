/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting an adapter, and talking to one that runs. */
#ifndef CLI_ADAPTER_CLIENT_H
#define CLI_ADAPTER_CLIENT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/deadline.h"
#include "common/failure.h"

struct adapter_started {
	pid_t pid;
	int ready_fd; /* its one line comes here */
	int parent; /* of the device */
	int virtio_index;
	bool bound;
};

/**
 * adapter_spawn() - start an adapter
 * @args:	its arguments, NULL-terminated; args[0] is filled in here
 * @ready:	room for a number, which is one of @args: the value of --ready-fd; filled in too
 * @foreground: keep its messages and its terminal
 * @started:	filled in
 * @failure:	the reason in words
 */
int adapter_spawn(char **args, char *ready, size_t ready_size, bool foreground,
		  struct adapter_started *started, struct failure *failure);

/* adapter_wait_ready() - its outcome; -EEXIST: the name is taken */
int adapter_wait_ready(struct adapter_started *started, deadline_t deadline,
		       struct failure *failure);

/**
 * adapter_order() - ask the adapter of this name
 * @state_dir:	where its socket is
 * @name:	the device's
 * @text:	an order, see adapter/control.h
 * @answer:	NUL-terminated
 * @size:	room there
 * @deadline:	when to give up
 */
int adapter_order(const char *state_dir, const char *name, const char *text, char *answer,
		  size_t size, deadline_t deadline);

/* adapter_may_not_ask() - is that why there is no answer: it is another user's? */
static inline bool adapter_may_not_ask(int error)
{
	return error == -EACCES || error == -EPERM;
}

#endif
