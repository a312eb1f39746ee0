/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a child process, which does not come by itself. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <sys/types.h>

#include "common/deadline.h"

/**
 * child_wait() - wait for a child's end
 * @child:	whose
 * @deadline:	it is killed then
 *
 * Return: its exit status, -EIO when a signal ended it, or another negative errno.
 */
int child_wait(pid_t child, deadline_t deadline);

#endif
