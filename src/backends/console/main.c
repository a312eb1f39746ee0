// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-console: command line, configuration space, and which virtqueue is whose. */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/console/console.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

/* 5.3.2 */
#define QUEUE_CONTROL_RX 2
#define QUEUE_CONTROL_TX 3

enum {
	OPT_PTY = VU_OPTION_FIRST,
	OPT_UNIX,
	OPT_STDIO,
	OPT_PORT,
	OPT_CONSOLE,
};

static const struct option options[] = {
	{ "pty", required_argument, NULL, OPT_PTY },
	{ "unix", required_argument, NULL, OPT_UNIX },
	{ "stdio", no_argument, NULL, OPT_STDIO },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "console", no_argument, NULL, OPT_CONSOLE },
	{ 0 },
};

static const char usage[] =
	"A console device. Each of these makes a port, in their order:\n"
	"\n"
	"      --pty LINK             a pseudo-terminal; LINK becomes a symbolic link to it\n"
	"      --unix PATH            a unix socket that listens at PATH, for one client at a time\n"
	"      --stdio                standard input and output; on a terminal Ctrl-] ends it\n"
	"      --port NAME=pty:LINK, --port NAME=unix:PATH, --port NAME=stdio\n"
	"                             the same, with a name that programs on the driver's side find\n"
	"                             the port by\n"
	"\n"
	"      --console              the port before it is to be a terminal (/dev/hvcN) instead of\n"
	"                             /dev/vportNpM\n";

/* ---- command line ---- */

static int add_port(struct console *console, const struct endpoint_kind *kind, const char *target)
{
	struct console_port *port;

	if (console->num_ports == CONSOLE_PORTS_MAX) {
		log_error("more than %u ports", CONSOLE_PORTS_MAX);
		return -EINVAL;
	}
	if (kind->needs_target && (!target || !target[0])) {
		log_error("a port to %s needs a path", kind->name);
		return -EINVAL;
	}
	port = &console->ports[console->num_ports];
	port->id = console->num_ports++;
	endpoint_init(&port->ep, kind, target);
	return 0;
}

static bool name_is_valid(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (!isgraph((unsigned char)name[i]))
			return false;
	}
	return length && length <= CONSOLE_NAME_MAX;
}

/* The string is argv's: the '=' becomes the end of the name. */
static int add_named(struct console *console, const char *value)
{
	char *equals = strchr(value, '=');
	const char *what = equals ? equals + 1 : "";
	int ret;

	if (!equals || !name_is_valid(value, (size_t)(equals - value))) {
		log_error("--port %s: a name, '=', and what it is connected to are needed: "
			  "NAME=pty:LINK, NAME=unix:PATH or NAME=stdio; a name has at most %d "
			  "characters, and no blanks",
			  value, CONSOLE_NAME_MAX);
		return -EINVAL;
	}
	if (!strncmp(what, "pty:", 4)) {
		ret = add_port(console, &endpoint_pty, what + 4);
	} else if (!strncmp(what, "unix:", 5)) {
		ret = add_port(console, &endpoint_unix, what + 5);
	} else if (!strcmp(what, "stdio")) {
		ret = add_port(console, &endpoint_stdio, NULL);
	} else {
		log_error("--port %s: it can be connected to pty:LINK, unix:PATH or stdio", value);
		return -EINVAL;
	}
	if (ret)
		return ret;
	*equals = '\0';
	console->ports[console->num_ports - 1].name = value;
	return 0;
}

static int make_terminal(struct console *console)
{
	if (!console->num_ports) {
		log_error("--console: it is for the port before it, and there is none");
		return -EINVAL;
	}
	console->ports[console->num_ports - 1].terminal = true;
	return 0;
}

static int parse(void *dev, int option, const char *value)
{
	struct console *console = dev;

	switch (option) {
	case OPT_PTY:
		return add_port(console, &endpoint_pty, value);
	case OPT_UNIX:
		return add_port(console, &endpoint_unix, value);
	case OPT_STDIO:
		return add_port(console, &endpoint_stdio, NULL);
	case OPT_PORT:
		return add_named(console, value);
	default:
		return make_terminal(console);
	}
}

static bool same_name(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static int check_ports(const struct console *console)
{
	unsigned int i, j;

	if (!console->num_ports) {
		log_error("which ports? Give --pty LINK, --unix PATH, --stdio or --port "
			  "NAME=... (see --help)");
		return -EINVAL;
	}
	for (i = 0; i < console->num_ports; i++) {
		const struct console_port *a = &console->ports[i];

		for (j = 0; j < i; j++) {
			const struct console_port *b = &console->ports[j];

			if (same_name(a->name, b->name)) {
				log_error("two ports of the name %s", a->name);
				return -EINVAL;
			}
			if (a->ep.kind == b->ep.kind &&
			    (!a->ep.target || same_name(a->ep.target, b->ep.target))) {
				log_error("two ports to %s",
					  a->ep.target ? a->ep.target : a->ep.kind->name);
				return -EINVAL;
			}
		}
	}
	return 0;
}

/* ---- configuration space ---- */

static uint64_t features(void *dev)
{
	(void)dev;
	return BIT_ULL(VIRTIO_CONSOLE_F_SIZE) | BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT) |
	       BIT_ULL(VIRTIO_CONSOLE_F_EMERG_WRITE);
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	const struct console *console = dev;
	struct virtio_console_config config = {
		.cols = htole16(console->ports[0].ep.cols),
		.rows = htole16(console->ports[0].ep.rows),
		.max_nr_ports = htole32(console->num_ports),
	};

	memcpy(buf, (const uint8_t *)&config + offset, size);
}

/*
 * 5.3.5: a character that is to come out whatever the state of the device. Nothing waits for it:
 * what cannot be written at once is lost.
 *
 * A front-end may hand on all of the space at each write of its driver (QEMU's generic one does).
 * There is no other field to write, and it reads as zero: then that is no character. One that is
 * the same as the last counts.
 */
static int set_config(void *dev, const void *buf, uint32_t offset, uint32_t size)
{
	const uint32_t at = offsetof(struct virtio_console_config, emerg_wr);
	struct console *console = dev;
	struct iovec iov = { .iov_len = 1 };

	if (offset > at || size <= at - offset || size - (at - offset) > sizeof(uint32_t))
		return -EINVAL;
	/* the lowest byte, which comes first */
	iov.iov_base = (uint8_t *)(uintptr_t)buf + (at - offset);
	if (offset < at && !*(const uint8_t *)iov.iov_base)
		return 0;
	if (endpoint_write(&console->ports[0].ep, &iov, 1) < 0)
		log_ratelimited(LOG_LEVEL_WARNING, "an emergency write is lost: nobody takes it");
	return 0;
}

void console_resized(struct console_port *port)
{
	log_info("port %u: %u columns, %u rows", port->id, port->ep.cols, port->ep.rows);
	if (port->terminal)
		console_tell(port, VIRTIO_CONSOLE_RESIZE);
	if (!port->id)
		vu_config_changed(port->console->backend); /* -ENOTCONN: it is read later */
}

/* ---- virtqueues ---- */

static struct console_port *port_of(struct console *console, unsigned int queue)
{
	if (queue < QUEUE_CONTROL_RX)
		return &console->ports[0];
	return &console->ports[queue / 2 - 1];
}

static bool is_control(const struct vu_queue *queue)
{
	return queue->index == QUEUE_CONTROL_RX || queue->index == QUEUE_CONTROL_TX;
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	struct console *console = dev;
	struct console_port *port;

	if (queue->index == QUEUE_CONTROL_RX)
		console->control_rx = queue;
	if (is_control(queue))
		return 0;
	port = port_of(console, queue->index);
	if (queue->index % 2) {
		port->tx = queue;
		/*
		 * With a message at its start a new driver tells of itself. Without, a request that
		 * is the first of its ring may be another one: once more is better than not at all.
		 */
		if (vq_at_start(&queue->vq) && !console_multiport(queue)) {
			port->tx_done = 0;
			port->runs_ahead = false;
		}
	} else {
		port->rx = queue;
	}
	/* A driver that has one port only says nothing about it: it is there. */
	if (!console_multiport(queue) && port == &console->ports[0])
		port->open = true;
	return 0;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct console *console = dev;
	struct console_port *port;

	if (queue->index == QUEUE_CONTROL_RX)
		console->control_rx = NULL;
	if (is_control(queue))
		return;
	port = port_of(console, queue->index);
	if (queue->index % 2)
		port->tx = NULL;
	else
		port->rx = NULL;
	endpoint_want(&port->ep, port->rx && port->ep.want_in, port->tx && port->ep.want_out);
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct console *console = dev;

	if (queue->index == QUEUE_CONTROL_RX)
		console_control_flush(console);
	else if (queue->index == QUEUE_CONTROL_TX)
		console_control_receive(console, queue);
	else if (queue->index % 2)
		console_port_output(port_of(console, queue->index));
	else
		console_port_input(port_of(console, queue->index));
}

static void reset(void *dev)
{
	struct console *console = dev;
	unsigned int i;

	for (i = 0; i < console->num_ports; i++)
		console_port_reset(&console->ports[i]);
}

/* The terminal that it was started on is gone, and standard input and output with it. */
static void hangup(void *dev)
{
	struct console *console = dev;
	unsigned int i;

	for (i = 0; i < console->num_ports && !console->hangup_ignored; i++)
		if (console->ports[i].ep.kind == &endpoint_stdio)
			loop_quit(vu_loop(console->backend), 0);
}

/* ---- the program ---- */

static const struct vu_device_ops ops = {
	.features = features,
	.get_config = get_config,
	.set_config = set_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.reset = reset,
	.hangup = hangup,
};

static int open_timer(struct console *console)
{
	console->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (console->timer_fd >= 0)
		console->timer = loop_add(vu_loop(console->backend), console->timer_fd, EPOLLIN,
					  console_timer_ready, console);
	if (console->timer)
		return 0;
	log_error("no timer: %m");
	return -errno;
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct console *console = dev;
	struct sigaction at_start;
	unsigned int i;
	int ret;

	ret = check_ports(console);
	if (ret)
		return ret;
	console->backend = backend;
	console->hangup_ignored = sigaction(SIGHUP, NULL, &at_start) == 0 &&
				  at_start.sa_handler == SIG_IGN;
	*device = (struct vu_device){
		.ops = &ops,
		.dev = dev,
		.num_queues = 2 * (console->num_ports + 1),
		.max_queue_size = CONSOLE_QUEUE_SIZE,
		.config_size = sizeof(struct virtio_console_config),
		.no_inflight = true, /* what was written once must not be written again */
	};
	ret = open_timer(console);
	for (i = 0; i < console->num_ports && !ret; i++)
		ret = console_port_open(&console->ports[i], console);
	return ret;
}

static void needs(void *dev, struct vu_needs *needs)
{
	struct console *console = dev;
	unsigned int i;

	needs->kinds |= CONFINE_DEVICES | CONFINE_OPEN;
	/* links and sockets */
	for (i = 0; i < console->num_ports; i++)
		vu_needs_removal(needs, console->ports[i].ep.target);
}

static void close_device(void *dev)
{
	struct console *console = dev;
	unsigned int i;

	for (i = 0; i < console->num_ports; i++)
		endpoint_close(&console->ports[i].ep);
	fd_close(&console->timer_fd);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-console",
		.capabilities = "{ \"type\": \"console\" }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	static struct console console = { .timer_fd = -1 };

	return vu_main(&program, &console, argc, argv);
}
