// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/common/iov.h"
#include "backends/console/console.h"
#include "common/log.h"

/* A request of more parts breaks its queue. */
#define PORT_MAX_IOVS 256
/*
 * Bytes of a request that are moved before others have their turn. A driver can name the same
 * memory many times, and a file takes, or has, whatever it is asked for.
 */
#define PORT_MOST (256U << 10)
/*
 * The message that a port is closed can overtake what was written to it before, see
 * console_port_set_open().
 */
#define CLOSING_MS 100
/* How long a terminal's driver waits for somebody who does not read */
#define STUCK_MS 100
/* Until a file system that is full is tried again */
#define ROOM_MS 500

/* ---- time ---- */

static deadline_t sooner(deadline_t a, deadline_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* To what comes first, of all ports */
static void set_timer(const struct console *console)
{
	struct itimerspec when = { 0 };
	deadline_t first = 0;
	unsigned int i;

	for (i = 0; i < console->num_ports; i++)
		first = sooner(first, sooner(console->ports[i].close_at,
					     console->ports[i].retry_at));
	when.it_value.tv_sec = (time_t)(first / 1000000000U);
	when.it_value.tv_nsec = (long)(first % 1000000000U);
	if (timerfd_settime(console->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		log_error("the timer cannot be set: %m");
}

/* ---- from the driver ---- */

static void moved_on(struct console_port *port)
{
	port->stuck_since = 0;
	port->given_up = false;
}

/*
 * The driver of a terminal may wait for its output in a way that keeps its CPU: Linux' does, with
 * interrupts off, unless somebody takes the output over (the module does). So nobody there, or
 * somebody who does not read, is not waited for, and what is said meanwhile is lost. A driver that
 * has made more available than this one request does not wait for it, and nothing of its is.
 */
static bool not_waited_for(struct console_port *port, struct virtqueue *vq, ssize_t error)
{
	if (!port->terminal)
		return false;
	if (error == -EPIPE)
		return true;
	if (vq_has_work(vq))
		port->runs_ahead = true;
	if (port->runs_ahead)
		return false;
	if (!port->stuck_since)
		port->stuck_since = now_ns();
	if (now_ns() - port->stuck_since >= STUCK_MS * 1000000ULL)
		port->given_up = true;
	return port->given_up;
}

/* The endpoint tells when it has room again, if it can; nobody tells that it has none for long. */
static void wait_for_room(struct console_port *port, ssize_t error)
{
	if (port->terminal && !port->runs_ahead)
		port->retry_at = port->stuck_since + STUCK_MS * 1000000ULL;
	else if (error == -ENOSPC)
		port->retry_at = deadline_after_ms(ROOM_MS);
	if (port->retry_at)
		set_timer(port->console);
}

/*
 * Writes one request.
 *
 * Return: 1 when it is done with, 0 when it has to wait for the endpoint, -EAGAIN for its next
 * turn, -EPROTO when the queue is broken.
 */
static int write_request(struct console_port *port, struct virtqueue *vq, uint16_t id)
{
	struct iovec parts[PORT_MAX_IOVS], *iov = parts;
	struct vq_buffers bufs = { .iov = parts, .max = PORT_MAX_IOVS };
	unsigned int n;
	uint64_t left;
	ssize_t done;

	if (vq_chain(vq, id, &bufs))
		return -EPROTO;
	n = bufs.out_num;
	left = bufs.out_len - iov_drop_front(&iov, &n, port->tx_done);
	if (left > PORT_MOST)
		iov_drop_back(iov, &n, left - PORT_MOST);
	while (n) {
		done = endpoint_write(&port->ep, iov, n);
		if (done < 0 && not_waited_for(port, vq, done)) {
			left = 0;
			break;
		}
		if (done < 0) {
			wait_for_room(port, done);
			return 0;
		}
		moved_on(port);
		port->tx_done += (size_t)done;
		iov_drop_front(&iov, &n, (size_t)done);
	}
	if (left > PORT_MOST)
		return -EAGAIN;
	port->tx_done = 0;
	return 1;
}

/* @turn: requests that it may still take. Return: true when the queue is empty */
static bool output(struct console_port *port, struct virtqueue *vq, unsigned int *turn)
{
	uint16_t id;
	int ret;

	for (; *turn; --*turn) {
		if (vq_pop(vq, &id) <= 0)
			return true;
		ret = write_request(port, vq, id);
		if (ret == -EPROTO)
			return true;
		if (ret <= 0)
			vq_untake(vq, id);
		if (ret < 0)
			break;
		if (!ret) {
			endpoint_want(&port->ep, port->ep.want_in, true);
			return false;
		}
		vq_push(vq, id, 0);
	}
	vu_queue_again(port->tx);
	return false;
}

static void close_soon(struct console_port *port)
{
	port->close_at = deadline_after_ms(CLOSING_MS);
	set_timer(port->console);
}

void console_port_output(struct console_port *port)
{
	unsigned int turn = VU_TURN;
	struct virtqueue *vq;
	bool empty;

	if (!port->tx || port->tx->vq.broken)
		return;
	vq = &port->tx->vq;
	endpoint_want(&port->ep, port->ep.want_in, false);
	port->retry_at = 0;
	port->moving = true;
	do {
		vq_suppress(vq);
		empty = output(port, vq, &turn);
		vq_flush(vq);
	} while (empty && vq_arm(vq));
	port->moving = false;
	if (empty && port->closing)
		close_soon(port);
}

/* ---- to the driver ---- */

/* Return: 1 when a request was filled, 0 when there is nothing for it, -EPROTO. */
static int read_request(struct console_port *port, struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[PORT_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = PORT_MAX_IOVS };
	ssize_t done = 0;

	if (vq_chain(vq, id, &bufs))
		return -EPROTO;
	if (bufs.in_len > PORT_MOST)
		iov_drop_back(iov + bufs.out_num, &bufs.in_num, bufs.in_len - PORT_MOST);
	if (bufs.in_len)
		done = endpoint_read(&port->ep, iov + bufs.out_num, bufs.in_num);
	if (done < 0)
		return 0;
	vq_push(vq, id, (uint32_t)done);
	return 1;
}

/* @turn: requests that it may still take. Return: true when the queue is empty */
static bool input(struct console_port *port, struct virtqueue *vq, unsigned int *turn)
{
	uint16_t id;
	int ret;

	for (; *turn; --*turn) {
		if (vq_pop(vq, &id) <= 0)
			return true;
		ret = read_request(port, vq, id);
		if (ret < 0)
			return true;
		if (!ret) {
			vq_untake(vq, id);
			endpoint_want(&port->ep, true, port->ep.want_out);
			return false;
		}
	}
	vu_queue_again(port->rx);
	return false;
}

void console_port_input(struct console_port *port)
{
	unsigned int turn = VU_TURN;
	struct virtqueue *vq;
	bool empty;

	/* The driver drops what comes for a port that nobody has open. */
	if (!port->rx || port->rx->vq.broken || !port->open)
		return;
	vq = &port->rx->vq;
	endpoint_want(&port->ep, false, port->ep.want_out);
	port->moving = true;
	do {
		vq_suppress(vq);
		empty = input(port, vq, &turn);
		vq_flush(vq);
	} while (empty && vq_arm(vq));
	port->moving = false;
}

/* ---- opening and closing ---- */

/*
 * Data and messages travel in different queues, and a front-end may hold more data than the
 * virtqueue has room for. So the end is shown to the endpoint only after the queue has been empty
 * for a while.
 */
void console_port_set_open(struct console_port *port, bool open)
{
	log_info("port %u: %s at the driver's side", port->id, open ? "opened" : "closed");
	port->closing = port->open && !open;
	port->open = open;
	if (open) {
		console_port_input(port);
		return;
	}
	endpoint_want(&port->ep, false, port->ep.want_out);
	if (port->closing)
		close_soon(port);
}

static void look_at_end(struct console_port *port)
{
	port->close_at = 0;
	if (!port->closing || (port->tx && vq_has_work(&port->tx->vq)))
		return;
	port->closing = false;
	endpoint_hangup(&port->ep);
}

void console_timer_ready(void *data, uint32_t events)
{
	struct console *console = data;
	unsigned int i;
	uint64_t count;

	(void)events;
	if (read(console->timer_fd, &count, sizeof(count)) < 0)
		return;
	for (i = 0; i < console->num_ports; i++) {
		struct console_port *port = &console->ports[i];

		if (port->retry_at && deadline_passed(port->retry_at)) {
			port->retry_at = 0;
			console_port_output(port);
		}
		if (port->close_at && deadline_passed(port->close_at))
			look_at_end(port);
	}
	set_timer(console);
}

/*
 * The message that somebody has opened it may have gone with the driver, so whoever is connected
 * while the driver has the port sees the end.
 */
void console_port_reset(struct console_port *port)
{
	bool was_open = port->ready || port->open || port->closing;

	port->ready = false;
	port->open = false;
	port->closing = false;
	port->close_at = 0;
	port->retry_at = 0;
	port->pending = 0;
	port->tx_done = 0;
	port->runs_ahead = false;
	moved_on(port);
	endpoint_want(&port->ep, false, false);
	if (was_open)
		endpoint_hangup(&port->ep);
}

/* ---- the endpoint ---- */

static void readable(void *data)
{
	console_port_input(data);
}

static void writable(void *data)
{
	console_port_output(data);
}

/*
 * Reading and writing find out that the other end has left, and say so from inside: while a request
 * is taken that may have to be given back. Nothing else must be taken then.
 */
static void changed(void *data)
{
	struct console_port *port = data;

	log_info("port %u: %s at the host's side", port->id,
		 port->ep.connected ? "opened" : "closed");
	console_tell(port, VIRTIO_CONSOLE_PORT_OPEN);
	moved_on(port); /* somebody who comes is waited for as any other */
	if (port->moving) {
		vu_queue_again(port->rx);
		vu_queue_again(port->tx);
		return;
	}
	console_port_input(port);
	console_port_output(port);
}

static void resized(void *data)
{
	console_resized(data);
}

int console_port_open(struct console_port *port, struct console *console)
{
	static const struct endpoint_events events = {
		.readable = readable,
		.writable = writable,
		.changed = changed,
		.resized = resized,
	};

	port->console = console;
	return endpoint_open(&port->ep, vu_loop(console->backend), &events, port);
}
