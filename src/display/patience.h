/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A library that waits for a peer by itself, and begins its time-out anew with each byte: the wait
 * gets an end from outside. One at a time, in the thread that the display runs in.
 */
#ifndef DISPLAY_PATIENCE_H
#define DISPLAY_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* patience_init() - take SIGALRM, for threads that begin later, too; 0 or a negative errno */
int patience_init(void);

/**
 * patience_begin() - shut a socket down unless patience_end() comes first
 * @sock:	must stay open until then; whoever reads from it, or writes, under whatever number,
 *		is told that the peer has gone
 * @ms:		how long it may be waited for; work does not count
 *
 * Return: 0 or a negative errno.
 */
int patience_begin(int sock, unsigned int ms);

/* patience_end() - *@ns: how long was waited; Return: whether the socket had to be shut down */
bool patience_end(uint64_t *ns);

/* patience_finish() - give the timer back */
void patience_finish(void);

#endif
