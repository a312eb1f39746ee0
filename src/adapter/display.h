/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The display of a GPU: a process of its own, virtio-loopback-display, which talks to the back-end
 * by itself. The adapter starts it, hands it one end of a socket whose other end the back-end gets
 * (GPU_SET_SOCKET), and hears of windows that were resized.
 *
 * The two speak over a socket of packets. From the adapter:
 *
 *	'S' with a descriptor	the front-end's end of a fresh display socket; the old one is over
 *	'Q'			end
 *
 * From the display, lines of text:
 *
 *	ready			once, when it can show something
 *	resize HEAD WIDTH HEIGHT	a window has another size: the driver is to ask again
 *
 * The end of the socket is the end of both.
 */
#ifndef ADAPTER_DISPLAY_H
#define ADAPTER_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "adapter/options.h"
#include "common/deadline.h"
#include "common/failure.h"
#include "common/run-as.h"

#define DISPLAY_PROGRAM "virtio-loopback-display"

struct display {
	int sock; /* to the process, -1: there is none */
	pid_t pid;
	int link; /* our copy of what the display has of the back-end's socket, -1: none */
	bool changed; /* a head's size; gpu_display_changed() clears it */
};

void display_init(struct display *display);

/**
 * display_start() - start the process and wait until it is ready
 * @display:	initialised
 * @options:	what it is to show, and where
 * @user:	whom the adapter becomes, and it too as far as it can
 * @deadline:	for its readiness
 * @failure:	the reason in words
 */
int display_start(struct display *display, const struct adapter_options *options,
		  const struct run_as *user, deadline_t deadline, struct failure *failure);

static inline bool display_used(const struct display *display)
{
	return display->sock >= 0;
}

/**
 * display_connect() - make a display socket and give the display its end
 * @display:	started
 * @failure:	the reason in words
 *
 * Return: the back-end's end, or a negative errno.
 */
int display_connect(struct display *display, struct failure *failure);

/* display_disconnect() - end the display socket, whoever holds it */
void display_disconnect(struct display *display);

/* display_ready() - the process has something to say; 0, or -ECONNRESET when it is gone */
int display_ready(struct display *display);

/* display_finish() - end the process */
void display_finish(struct display *display);

#endif
