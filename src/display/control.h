/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The adapter's socket, of type SOCK_SEQPACKET. From the adapter, one byte a message:
 *
 *	S	with one descriptor: the display socket of a back-end, which replaces the one before
 *	Q	end; as does the end of the connection
 *
 * To the adapter, text:
 *
 *	ready			pictures can be shown
 *	resize HEAD WIDTH HEIGHT	somebody changed the size of a head's window: the driver is
 *				to be told that there is another mode
 */
#ifndef DISPLAY_CONTROL_H
#define DISPLAY_CONTROL_H

#include "backends/common/loop.h"

struct display;
struct head;

struct control {
	struct display *display;
	int sock;
	struct loop_source *source;
};

void control_init(struct control *control, struct display *display);

/* control_start() - take over the socket; Return: 0, -EPROTOTYPE, or another negative errno */
int control_start(struct control *control, int sock);
void control_finish(struct control *control);

void control_ready(struct control *control);
void control_resize(struct control *control, const struct head *head);

#endif
