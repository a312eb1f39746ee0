/* SPDX-License-Identifier: BSD-3-Clause */
/* The control side's event loop: epoll, one thread. */
#ifndef VU_LOOP_H
#define VU_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_source;

/* loop_fn - called for a descriptor that is ready; @events as in epoll(7) */
typedef void (*loop_fn)(void *data, uint32_t events);

/* loop_create() - Return: the loop, or NULL with errno set */
struct loop *loop_create(void);

/* loop_destroy() - sources still there are released, their descriptors not; takes NULL */
void loop_destroy(struct loop *loop);

/**
 * loop_add() - watch a descriptor
 * @loop:	the loop
 * @fd:		the descriptor; stays the caller's, who removes the source before closing it
 * @events:	EPOLLIN, EPOLLOUT, ...
 * @fn:		called with @data when it is ready
 *
 * Return: the source, or NULL with errno set.
 */
struct loop_source *loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *data);

/* loop_change() - watch for other events. Return: 0 or a negative errno */
int loop_change(struct loop *loop, struct loop_source *source, uint32_t events);

/* loop_remove() - stop watching, also from within any callback; takes NULL */
void loop_remove(struct loop *loop, struct loop_source *source);

/*
 * loop_run() - call back until loop_quit(); Return: what loop_quit() was given, or a negative
 * errno
 */
int loop_run(struct loop *loop);

/* loop_quit() - let loop_run() return @status once the callbacks at hand are done */
void loop_quit(struct loop *loop, int status);

#endif
