// SPDX-License-Identifier: BSD-3-Clause
/*
 * The console's queue handlers: the input is the driver's memory, with four rings in it. The port's
 * endpoint gives zeroes, and takes what a small pipe has room for.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/console/console.h"
#include "common/util.h"
#include "rig.h"

#define RING 1024 /* bytes between the rings */
#define PIPE 4096

enum { RX, TX, CONTROL_RX, CONTROL_TX, QUEUES };

static struct rig rig = { .size = 16384, .avail = 256, .used = 512 };
static struct vu_queue queues[QUEUES];
static struct console console;
static struct loop *loop;
static int zeroes, pipe_fds[2];

/* main.c's, which has no part in this */
void console_resized(struct console_port *port)
{
	(void)port;
}

struct loop *vu_loop(struct vu_backend *backend)
{
	(void)backend;
	return loop;
}

/* Nobody leaves for good. */
static int fake_open(struct endpoint *ep)
{
	endpoint_connected(ep, zeroes, pipe_fds[1]);
	return 0;
}

static void fake_close(struct endpoint *ep)
{
	(void)ep;
}

static const struct endpoint_kind fake = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.left = endpoint_left,
	.hangup = endpoint_left,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	unsigned int i;

	(void)argc;
	(void)argv;
	rig_init(&rig);
	loop = loop_create();
	zeroes = open("/dev/zero", O_RDONLY);
	console.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	if (!loop || zeroes < 0 || console.timer_fd < 0 || pipe2(pipe_fds, O_NONBLOCK) ||
	    fcntl(pipe_fds[1], F_SETPIPE_SZ, PIPE) < 0)
		abort();
	for (i = 0; i < QUEUES; i++) {
		queues[i].index = i;
		queues[i].kick_fd = eventfd(0, EFD_NONBLOCK);
		queues[i].features = 1U << VIRTIO_CONSOLE_F_MULTIPORT;
	}
	return 0;
}

static uint64_t layout; /* of the rings */

static int start(unsigned int i, uint64_t features)
{
	struct vq_setup setup = rig_setup(&rig, (uint64_t)i * RING, features);

	setup.index = i;
	return vq_start(&queues[i].vq, &setup);
}

static void one_step(struct console_port *port, uint8_t step)
{
	uint8_t drain[PIPE];

	switch (step & 7) {
	case 0:
		console_control_receive(&console, &queues[CONTROL_TX]);
		break;
	case 1:
		console_control_flush(&console);
		break;
	case 2:
		if (step & 8 && port->stuck_since) /* long enough */
			port->stuck_since = 1;
		console_port_output(port);
		break;
	case 3:
		console_port_input(port);
		break;
	case 4:
		if (read(pipe_fds[0], drain, 1U + (step >> 3) * 128U) < 0)
			break;
		console_port_output(port);
		break;
	case 5:
		console_port_set_open(port, step & 8);
		break;
	case 6:
		console_tell(port, step >> 3);
		break;
	default:
		/* the queue stops and goes on in mid-stream */
		vq_stop(&port->tx->vq);
		if (start(TX, layout))
			abort();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct console_port *port = &console.ports[0];
	uint8_t drain[PIPE];
	unsigned int i;

	if (size < 18)
		return 0;
	layout = rig_packed(data[0] & 8);
	rig_fill(&rig, data + 18, size - 18);
	for (i = 0; i < QUEUES; i++) {
		if (start(i, (data[0] & 1 ? BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) : 0) | layout))
			abort();
	}
	console.num_ports = 1;
	console.control_rx = &queues[CONTROL_RX];
	*port = (struct console_port){ .terminal = data[0] & 2, .name = data[0] & 4 ? "n" : NULL };
	endpoint_init(&port->ep, &fake, NULL);
	port->rx = &queues[RX];
	port->tx = &queues[TX];
	if (console_port_open(port, &console))
		abort();
	for (i = 1; i < 18; i++) {
		uint8_t step = data[i];

		/* what the driver cannot ask for: messages of other kinds, a port without a name */
		if ((step & 7) == 6 &&
		    ((step >> 3) > VIRTIO_CONSOLE_PORT_NAME || (step >> 3) == 0 || !port->name))
			step = 1;
		one_step(port, step);
	}
	console_port_reset(port);
	for (i = 0; i < QUEUES; i++)
		vq_stop(&queues[i].vq);
	while (read(pipe_fds[0], drain, sizeof(drain)) > 0)
		;
	/* sources that were removed are released by the loop alone */
	loop_destroy(loop);
	/* as in the program: the loop is gone before */
	endpoint_close(&port->ep);
	loop = loop_create();
	return loop ? 0 : (abort(), 0);
}
