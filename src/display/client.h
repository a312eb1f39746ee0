/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end's socket: its messages become pictures, its questions are answered. */
#ifndef DISPLAY_CLIENT_H
#define DISPLAY_CLIENT_H

#include "backends/common/loop.h"
#include "vhost-user/gpu-message.h"

struct display;

struct client {
	struct display *display;
	int sock; /* -1: no back-end */
	struct loop_source *source;
	struct vgpu_reader reader;
};

void client_init(struct client *client, struct display *display);

/**
 * client_start() - serve another back-end
 * @client:	the one of before, if any, is let go of
 * @sock:	a connected stream socket; taken over, also on errors
 *
 * Return: 0 or a negative errno.
 */
int client_start(struct client *client, int sock);

/* client_stop() - close the connection, if there is one; all heads are off then */
void client_stop(struct client *client);

#endif
