/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket, NAME.ctl: one order a packet, one answer a packet, both text.
 *
 *	detach		end the device in good order; answered with "ok" at once, or with "error" when
 *			another adapter is to be asked, which goes on with the device
 *	stats		answered with lines "key value"
 *	yield N		end, and leave the device to another adapter, which understands snapshots of
 *			version N; answered with "ok", or with "error" and the reason
 *
 * Only root and the adapter's own user are listened to.
 */
#ifndef ADAPTER_CONTROL_H
#define ADAPTER_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/deadline.h"

#define CONTROL_CLIENTS_MAX 4
#define CONTROL_PACKET_MAX 4096

struct control {
	int listener; /* -1: none */
	int clients[CONTROL_CLIENTS_MAX]; /* -1: free */
};

/*
 * control_handler_t - carry out an order
 * @order:	NUL-terminated
 * @waits:	who gave it is still there
 * @answer:	text goes here
 * @size:	room there
 */
typedef void (*control_handler_t)(void *context, const char *order, bool waits, char *answer,
				  size_t size);

/* control_init() - listen; 0 or a negative errno */
int control_init(struct control *control, const char *path);
void control_finish(struct control *control);

/* control_accept() - the listener is readable */
void control_accept(struct control *control);

/* control_ready() - client @i is readable */
void control_ready(struct control *control, unsigned int i, control_handler_t handler,
		   void *context);

/**
 * control_order() - the other end: give an order and take the answer
 * @path:	of the socket
 * @order:	text
 * @answer:	NUL-terminated, without control characters but for ends of lines: it may be another
 *		user's who listens
 * @size:	room there
 * @deadline:	when to give up
 */
int control_order(const char *path, const char *order, char *answer, size_t size,
		  deadline_t deadline);

#endif
