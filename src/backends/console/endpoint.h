/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a port is connected to on the host's side: a pseudo-terminal, a unix socket or standard
 * input and output.
 *
 * An endpoint is connected while somebody is at its other end. It never blocks and holds no data:
 * what cannot be written yet stays where it is, and so does what nobody wants to read. Descriptors
 * are watched only for what the port waits for, so an endpoint that has nothing to do costs
 * nothing.
 */
#ifndef CONSOLE_ENDPOINT_H
#define CONSOLE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "backends/common/loop.h"

struct endpoint;

/* What a kind of endpoint does by itself. 0, or a negative errno after a line that says why. */
struct endpoint_kind {
	const char *name;
	bool needs_target;
	bool sized; /* a terminal; where its size is not told it is looked at */

	int (*open)(struct endpoint *ep);
	void (*close)(struct endpoint *ep);

	/* somebody who was there has gone: get ready for the next */
	void (*left)(struct endpoint *ep);

	/* the driver's side has closed the port; NULL: there is no way to show it */
	void (*hangup)(struct endpoint *ep);

	/* the descriptor reports a hang-up: is there still something to read? */
	bool (*unread)(const struct endpoint *ep);
};

/* What an endpoint tells its port. */
struct endpoint_events {
	void (*readable)(void *data);
	void (*writable)(void *data);
	void (*changed)(void *data); /* ep->connected */
	void (*resized)(void *data); /* ep->cols, ep->rows */
};

struct endpoint_watch {
	int fd;
	struct loop_source *source;
	uint32_t events;
};

/* Fields are read by the port, and written by endpoint.c and the kinds. */
struct endpoint {
	const struct endpoint_kind *kind;
	const char *target; /* the path */
	struct loop *loop;
	const struct endpoint_events *events;
	void *data; /* for them */

	bool connected;
	uint16_t cols; /* 0: not known */
	uint16_t rows;

	bool want_in;
	bool want_out;
	bool in_ended; /* the other end has said that it sends no more */
	bool hung_up; /* the descriptor reports it, and something is left to read */
	bool full; /* nothing more could be written, and that has been told */
	struct endpoint_watch in; /* and out, when both are one descriptor */
	struct endpoint_watch out;
	void *priv; /* the kind's own */
};

extern const struct endpoint_kind endpoint_pty;
extern const struct endpoint_kind endpoint_unix;
extern const struct endpoint_kind endpoint_stdio;

/* endpoint_init() - not open yet */
void endpoint_init(struct endpoint *ep, const struct endpoint_kind *kind, const char *target);

/**
 * endpoint_open() - begin
 * @ep:		initialised
 * @loop:	the main loop
 * @events:	called from it
 * @data:	for them
 *
 * Return: 0, or a negative errno after a line that says why.
 */
int endpoint_open(struct endpoint *ep, struct loop *loop, const struct endpoint_events *events,
		  void *data);

/*
 * endpoint_close() - let go of everything; takes one that was never opened. The loop has ended, and
 * its sources are gone with it.
 */
void endpoint_close(struct endpoint *ep);

/* endpoint_want() - call back when it is readable, or writable */
void endpoint_want(struct endpoint *ep, bool in, bool out);

/*
 * endpoint_read() - Return: bytes; -EAGAIN: none now, and endpoint_want() tells when; -EPIPE:
 * nobody is there, or will send anything
 */
ssize_t endpoint_read(struct endpoint *ep, const struct iovec *iov, unsigned int n);

/*
 * endpoint_write() - Return: bytes, at least one; -EAGAIN; -ENOSPC: its file system is full, and
 * nobody tells when there is room; -EPIPE: nobody is there
 */
ssize_t endpoint_write(struct endpoint *ep, const struct iovec *iov, unsigned int n);

/* endpoint_hangup() - the driver's side has closed, and all that it sent is written */
void endpoint_hangup(struct endpoint *ep);

/* ---- for the kinds ---- */

/* endpoint_connected() - somebody is at the other end of these, which can be one */
void endpoint_connected(struct endpoint *ep, int in, int out);

/* endpoint_left() - nobody is any more; the descriptors stay the kind's to close */
void endpoint_left(struct endpoint *ep);

/* endpoint_look_at_size() - of the terminal at @fd, if it is one that knows it */
void endpoint_look_at_size(struct endpoint *ep, int fd);

/* endpoint_rewatch() - a descriptor that was hung up may be in use again */
void endpoint_rewatch(struct endpoint *ep);

#endif
