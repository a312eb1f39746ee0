/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: a small process beside the adapter, forked before the adapter gives up its
 * privileges. It starts and ends the back-end of --exec, connects to the back-end, opens the
 * module's node for a device that is made anew, and starts another adapter when this one was killed
 * and its device waits for a successor. What it starts is not sandboxed.
 *
 * It outlives the adapter: the adapter's end of the socket between them is kept with the device.
 * When that end is closed everywhere there is neither an adapter nor a device to come back to, and
 * the keeper ends its back-end and itself.
 *
 * What comes over that socket may come from an adapter that was taken over, and what is started
 * here is not confined: nothing in an order decides which program is executed, and how, or where it
 * is connected to. Services believe root, so it connects as the adapter's user; the node that it
 * opens is for the device of this name alone; and once there is another adapter, the one before is
 * not heard any more, and is ended. Descriptors go to the adapter only: to close one that it has
 * sent could take for ever (common/unwanted.h).
 *
 * This file is what is said over that socket, one note a packet; supervise.h is the adapter's side.
 */
#ifndef ADAPTER_KEEPER_H
#define ADAPTER_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/run-as.h"

#define KEEPER_NAME "vlb-keeper" /* of the process, as /proc/PID/comm shows it */
#define KEEPER_FD 3 /* in the keeper: the socket */
#define KEEPER_BACKEND_FD 3 /* in the back-end: the connection */

/* How long the keeper waits between its signals, and how often it repeats SIGKILL. */
#define KEEPER_ASKED_MS 2000
#define KEEPER_KILLS_MAX 4
/* How long what a back-end leaves in its process group may take to be gone, once it is killed. */
#define KEEPER_GROUP_MS 8000

/* An adapter that found nothing to take over: there is nothing to restart either. */
#define EXIT_NOTHING_TO_TAKE_OVER 3

enum keeper_order {
	ORDER_START = 'S', /* answered with STARTED or FAILED */
	ORDER_STOP = 'T',
	ORDER_CONNECT = 'C', /* value: a number of the sender's; answered with CONNECTED */
	ORDER_ADOPT = 'A', /* who sends it is the adapter now; value 1: it is confined, and so are
			    * those after it; answered with REACHES and STATUS */
	ORDER_NODE = 'N', /* value: as above; answered with NODE */
	ORDER_CONSOLE = 'K', /* value: the device's number, see console.h; answered with RELEASED */
	ORDER_YIELD = 'Y', /* the adapter ends for another one, which will say ADOPT */
	ORDER_END = 'E', /* the device is over */
};

enum keeper_news {
	NEWS_STARTED = 's', /* value: process id; with the connection, if it inherits one */
	NEWS_FAILED = 'f', /* value: errno */
	NEWS_ENDED = 'x', /* value: wait status; no process of its group is left */
	NEWS_CONNECTED = 'c', /* value: 0 and the connection comes with it, or an errno */
	NEWS_REACHES = 'r', /* value: whether it knows where the back-end listens */
	NEWS_STATUS = 'a', /* value: process id of the back-end, 0: it does not run */
	NEWS_NODE = 'n', /* value: 0 and the node comes with it, freshly opened, or an errno */
	NEWS_RELEASED = 'k',
};

struct keeper_note {
	int what;
	int value;
	int number; /* of the ORDER_CONNECT or ORDER_NODE that is answered */
};

/* struct keeper_device - what it does for an adapter that is confined, and how far */
struct keeper_device {
	const char *name;
	const char *state_dir;
	const char *node; /* of the module */
	struct run_as user; /* as whom it connects, see run_as_become() */
};

/*
 * struct keeper_restart - what another adapter is told on its command line, beside that
 *
 * It is from before the first adapter was confined. So an heir need not believe what is in the
 * snapshot of a predecessor that may have been taken over.
 */
struct keeper_restart {
	const char *socket; /* of the back-end, or */
	const char *exec; /* its command; both NULL: only the snapshot tells */
	const char *user; /* UID:GID that it becomes; NULL: it is to find out */
	bool sandbox;
	bool verbose;
};

/**
 * keeper_main() - be the keeper; in the child, with the socket as KEEPER_FD and no other descriptor
 * @words:	the back-end's command line, NULL: none is started
 * @path:	where the back-end listens, NULL: nowhere, or the adapter connects by itself
 * @device:	the device
 * @restart:	how to start another adapter, NULL: somebody else does
 * @adapter:	the present one
 */
_Noreturn void keeper_main(char **words, const char *path, const struct keeper_device *device,
			   const struct keeper_restart *restart, pid_t adapter);

#endif
