/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this adapter leaves for the next one, with the device in the module: descriptors in its
 * store, and a snapshot in a memfd that is one of them.
 *
 * This adapter may be killed at any moment. So whatever changes the device's state, or speaks to
 * its back-end, stands between handover_begin() and handover_end(). An adapter that finds the
 * predecessor killed in between knows that the connection may be in the middle of a command, and
 * that some of it may be done and some not: it drops the connection and goes the way of a back-end
 * that went away. Outside of such a section all that is left is true, and the back-end does not
 * notice a change of adapters.
 *
 * Where the back-end is only asked for something, and nothing changes, handover_ask() and
 * handover_asked() stand instead: the successor throws the late answer away and goes on.
 */
#ifndef ADAPTER_HANDOVER_H
#define ADAPTER_HANDOVER_H

#include <stdbool.h>

#include <linux/virtio_loopback.h>

#include "adapter/snapshot.h"
#include "common/failure.h"

struct adapter;
struct device;
struct handover_page;

/* Slots of the module's store */
enum handover_slot {
	HANDOVER_SNAPSHOT = VIRTIO_LOOPBACK_STORE_USER,
	HANDOVER_BACKEND, /* the connection */
	HANDOVER_CHANNEL, /* what the back-end asks on */
	HANDOVER_INFLIGHT,
	HANDOVER_KEEPER,
	HANDOVER_LOCK,
	HANDOVER_CONTROL, /* the listening socket */
	HANDOVER_PROCESS, /* the back-end's, a pidfd */
	HANDOVER_CLOSING, /* our end of a lost connection */
	HANDOVER_LOG, /* standard error, where that is a file */
	HANDOVER_QUEUES = 16, /* two each: kick, call */
};

/* What this adapter is in the middle of. */
enum handover_busy {
	HANDOVER_IDLE,
	HANDOVER_ASKING,
	HANDOVER_CHANGING,
};

struct handover {
	int fd; /* the memfd, -1: the device ends with its adapter */
	struct handover_page *page;
	unsigned int depth; /* of nested sections */
};

void handover_init(struct handover *h);
void handover_finish(struct handover *h);

/**
 * handover_open() - begin to leave something behind, if it is wanted
 * @a:		the adapter; its device has been created, or taken over
 * @busy:	what it is in the middle of from the start on
 */
int handover_open(struct adapter *a, enum handover_busy busy);

void handover_begin(struct adapter *a);

/* handover_end() - all of it is left anew; the end of the outermost section closes it */
void handover_end(struct adapter *a);

void handover_ask(struct adapter *a);

/* handover_asked() - the answer is there, and what it changed in the snapshot is left */
void handover_asked(struct adapter *a);

/* handover_is_whole() - outside of a section: all is left, and a successor can go on with it */
bool handover_is_whole(const struct adapter *a);

/* handover_put() - within a section: one descriptor at once, for what may not be lost */
void handover_put(struct adapter *a, enum handover_slot slot, int fd);

/**
 * handover_read() - what a predecessor left
 * @fd:		the memfd
 * @snapshot:	filled in
 * @busy:	what it was in the middle of when it was killed
 * @failure:	the reason in words
 */
int handover_read(int fd, struct snapshot *snapshot, enum handover_busy *busy,
		  struct failure *failure);

#endif
