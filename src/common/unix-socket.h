/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening and connecting on AF_UNIX stream sockets. */
#ifndef VL_COMMON_UNIX_SOCKET_H
#define VL_COMMON_UNIX_SOCKET_H

#include "common/deadline.h"

/**
 * unix_listen() - listen at a path
 * @path:	the socket file to make
 *
 * A socket file that nobody listens on any more (its process died) is replaced. A live one is left
 * alone, and so is what is no socket. Of two processes that race for one path, one gets it.
 *
 * Return: the descriptor (close-on-exec, non-blocking), or
 *	-EADDRINUSE	somebody listens there,
 *	-ENOTSOCK	the path is something else than a socket,
 *	-ENAMETOOLONG	the path does not fit a socket address,
 *	or another negative errno.
 */
int unix_listen(const char *path);

/**
 * unix_connect() - connect to a path
 * @path:	the socket file
 * @deadline:	when to give up on a listener whose queue is full
 *
 * Whoever listens there cannot send descriptors, if the kernel knows how to refuse them, until
 * unwanted_refuse() says otherwise.
 *
 * Return: the descriptor (close-on-exec, blocking), -ETIMEDOUT, or a negative errno (-ENOENT:
 * nothing there; -ECONNREFUSED: nobody listens).
 */
int unix_connect(const char *path, deadline_t deadline);

/*
 * The same in two steps: unix_stream() makes the socket, or returns a negative errno;
 * unix_connect_to() returns 0 or a negative errno.
 */
int unix_stream(void);
int unix_connect_to(int fd, const char *path, deadline_t deadline);

/**
 * unix_accept() - take one connection
 * @listener:	what unix_listen() returned
 *
 * Return: the descriptor (close-on-exec, blocking), -EAGAIN when there is none, or a negative
 * errno.
 */
int unix_accept(int listener);

#endif
