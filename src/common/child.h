/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a child process, which does not come by itself. */
#ifndef VL_COMMON_CHILD_H
#define VL_COMMON_CHILD_H

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

/**
 * child_kill() - kill a child
 * @child:	whose end is waited for a moment only: what it has in hand in the kernel can hold
 *		it up for ever, a file for example whose file system does not answer
 *
 * Return: 0, or -ETIMEDOUT: it has not ended yet.
 */
int child_kill(pid_t child);

/**
 * child_capture() - what a program writes to its standard output
 * @words:	the program, sought in PATH where it has no slash, and its arguments; a NULL
 *		behind them
 * @text:	what it writes, without a NUL at its end
 * @size:	room there, in bytes
 * @deadline:	it is killed then
 * @status:	as child_wait() returns it; it says nothing where @text is full
 *
 * It reads nothing, and its errors go nowhere. One that writes more than there is room for is
 * killed.
 *
 * Return: how many bytes, @size when it may be more, or a negative errno: -ETIMEDOUT.
 */
ssize_t child_capture(const char *const *words, char *text, size_t size, deadline_t deadline,
		      int *status);

#endif
