/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A console device (virtio 1.x, 5.3): several ports, each with a pair of virtqueues and an
 * endpoint, and a pair of virtqueues for control messages.
 *
 * main.c	command line, configuration space, which virtqueue is whose
 * port.c	bytes, in both directions
 * control.c	messages about ports
 * endpoint.h	the host's side
 *
 * Nothing is buffered here: bytes go from the driver's buffers to the descriptor and back. What
 * does not fit waits in the virtqueue, or in the descriptor. Messages to the driver that wait for a
 * buffer are bits, one a kind and port: each carries the state at the time that it is sent.
 */
#ifndef CONSOLE_CONSOLE_H
#define CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_console.h>

#include "backends/common/backend.h"
#include "backends/console/endpoint.h"
#include "common/deadline.h"

#define CONSOLE_QUEUE_SIZE 1024
#define CONSOLE_PORTS_MAX (VU_MAX_QUEUES / 2 - 1)
#define CONSOLE_NAME_MAX 63

struct console;

struct console_port {
	struct console *console;
	uint32_t id;
	const char *name; /* NULL: none */
	bool terminal; /* the driver is to make it an hvc terminal */
	struct endpoint ep;

	struct vu_queue *rx; /* to the driver; NULL while it is stopped */
	struct vu_queue *tx; /* from the driver; NULL while it is stopped */
	size_t tx_done; /* bytes of the next request of @tx that are written */
	bool ready; /* the driver has it */
	bool open; /* somebody has it open at the driver's side */
	bool closing; /* nobody has any more, and the endpoint does not know yet */
	deadline_t close_at; /* it may get to know; 0: not now */
	bool moving; /* bytes are being moved, in either direction */
	bool runs_ahead; /* the driver makes output available before the last is taken */
	bool given_up; /* who is connected does not read, and is not waited for */
	uint64_t stuck_since; /* the last byte was taken, in ns; 0: none waits */
	deadline_t retry_at; /* output is tried again by itself; 0: not */
	unsigned int pending; /* bits of messages to send, by event */
};

struct console {
	struct vu_backend *backend;
	struct console_port ports[CONSOLE_PORTS_MAX];
	unsigned int num_ports;
	struct vu_queue *control_rx; /* to the driver; NULL while it is stopped */
	int timer_fd;
	struct loop_source *timer;
	bool hangup_ignored; /* by whoever started the program, as nohup does */
};

/* console_multiport() - does the driver know of more than one port? */
static inline bool console_multiport(const struct vu_queue *queue)
{
	return queue->features & (1ULL << VIRTIO_CONSOLE_F_MULTIPORT);
}

/* ---- main.c ---- */

/* console_resized() - the size of a port's terminal has changed */
void console_resized(struct console_port *port);

/* ---- port.c ---- */

/* console_port_open() - connect it. Return: 0, or a negative errno after a line that says why */
int console_port_open(struct console_port *port, struct console *console);

/* console_port_input(), console_port_output() - move what can be moved */
void console_port_input(struct console_port *port);
void console_port_output(struct console_port *port);

/* console_port_set_open() - somebody has opened it at the driver's side, or closed it */
void console_port_set_open(struct console_port *port, bool open);

/* console_port_reset() - the driver is gone */
void console_port_reset(struct console_port *port);

/* console_timer_ready() - ports that are closing, or whose output waits, are looked at */
void console_timer_ready(void *data, uint32_t events);

/* ---- control.c ---- */

/* console_tell() - send the driver a message about a port, by VIRTIO_CONSOLE_* event */
void console_tell(struct console_port *port, unsigned int event);

/* console_control_flush() - send what waits, as far as there are buffers */
void console_control_flush(struct console *console);

/* console_control_receive() - the driver has sent messages */
void console_control_receive(struct console *console, struct vu_queue *queue);

#endif
