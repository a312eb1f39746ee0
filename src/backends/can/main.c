// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-can: a CAN device (virtio 1.4) on a SocketCAN interface. */
#include <errno.h>

#include "backends/can/can.h"
#include "backends/can/socketcan.h"
#include "common/log.h"

enum {
	OPT_INTERFACE = VU_OPTION_FIRST,
};

struct can_program {
	const char *interface;
	struct socketcan socketcan;
	struct can_controller controller;
};

static const struct option options[] = {
	{ "interface", required_argument, NULL, OPT_INTERFACE },
	{ 0 },
};

static const char usage[] = "A CAN controller.\n"
			    "\n"
			    "      --interface NAME       the CAN interface that it is on, e.g. can0 or "
			    "vcan0\n";

static int parse(void *dev, int option, const char *value)
{
	struct can_program *program = dev;

	(void)option;
	program->interface = value;
	return 0;
}

static int open_device(void *dev, struct vu_backend *backend, struct vu_device *device)
{
	struct can_program *program = dev;
	int ret;

	if (!program->interface) {
		log_error("which interface? Give --interface NAME (see --help)");
		return -EINVAL;
	}
	ret = socketcan_open(&program->socketcan, program->interface);
	if (ret)
		return ret;
	ret = can_init(&program->controller, backend, &program->socketcan.bus,
		       program->socketcan.fd_capable);
	if (ret) {
		log_error("cannot start: %m");
		return ret;
	}
	*device = (struct vu_device){
		.ops = &can_ops,
		.dev = &program->controller,
		.num_queues = CAN_QUEUES,
		.max_queue_size = CAN_MAX_QUEUE_SIZE,
		.config_size = sizeof(struct virtio_can_config),
		/* a frame that was on its way must not go out twice */
		.no_inflight = true,
	};
	return 0;
}

/*
 * The interface may go and come back. (Its new socket has a smaller buffer then, if the machine's
 * limit is lower: to exceed that is a privilege.)
 */
static void needs(void *dev, struct vu_needs *needs)
{
	(void)dev;
	needs->kinds |= CONFINE_THREADS | CONFINE_NETWORK | CONFINE_DEVICES;
}

static void close_device(void *dev)
{
	struct can_program *program = dev;

	can_finish(&program->controller);
	socketcan_close(&program->socketcan);
}

int main(int argc, char **argv)
{
	static const struct vu_program program = {
		.name = "vhost-user-can",
		.capabilities = "{ \"type\": \"can\" }",
		.usage = usage,
		.options = options,
		.parse = parse,
		.open = open_device,
		.needs = needs,
		.close = close_device,
	};
	struct can_program can = { .controller.timer_fd = -1 };

	socketcan_init(&can.socketcan);
	return vu_main(&program, &can, argc, argv);
}
