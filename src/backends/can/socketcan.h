/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A raw SocketCAN socket on one interface. No privilege is needed for it. The interface may go
 * down, and away, and come back under the same name.
 *
 * The driver may be one of this very kernel, and holds the lock of all network devices while it
 * waits for the controller to start or stop. So nothing that the main thread does then may need
 * that lock: no binding, no closing, and no option of a CAN socket. There are two sockets, ready-
 * made: one that own frames come back to, and one without. What is not wanted while the
 * controller is stopped is dropped by a packet filter, and sockets for an interface that came
 * back are opened by a thread.
 */
#ifndef CAN_SOCKETCAN_H
#define CAN_SOCKETCAN_H

#include <pthread.h>

#include "backends/can/bus.h"

struct socketcan {
	struct can_bus bus;
	int socks[2]; /* without and with own frames */
	int sock; /* the one in use */
	bool fd_capable;
	bool gone; /* the interface that the sockets are bound to */

	/* While it is gone */
	bool searching;
	bool over; /* atomic: the thread ends */
	bool found; /* new sockets were made; the thread's until it ends */
	pthread_t thread;
	int stop_fd; /* an eventfd that ends the search */
};

/**
 * socketcan_open() - take the interface
 * @can:	filled in
 * @name:	of the interface
 *
 * Return: 0, or a negative errno after a line that says why.
 */
int socketcan_open(struct socketcan *can, const char *name);

/* socketcan_init() - not open yet */
void socketcan_init(struct socketcan *can);

/* socketcan_close() - takes one that is not open */
void socketcan_close(struct socketcan *can);

#endif
