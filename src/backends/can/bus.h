/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus behind the controller. Tests bring their own; the real one is socketcan.h. */
#ifndef CAN_BUS_H
#define CAN_BUS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/can/frame.h"

struct can_bus;

struct can_received {
	struct can_message message; /* CAN_ERR_FLAG in its identifier: an error frame */
	bool own; /* a frame of ours that went out */
};

/* Nothing in here waits. Errors are negative errnos; -ENETDOWN, -ENODEV: see can_bus_gone(). */
struct can_bus_ops {
	/*
	 * Take part, from now on: frames of before are forgotten. @echo: own frames come back once
	 * they went out. Errors are told of in one line.
	 */
	int (*start)(struct can_bus *bus, bool echo);

	/* Nothing comes any more. */
	void (*stop)(struct can_bus *bus);

	/* 0, or -EAGAIN: no room for now */
	int (*send)(struct can_bus *bus, const struct can_message *message);

	/* Number of frames, up to @max; 0: none for now */
	int (*receive)(struct can_bus *bus, struct can_received *received, unsigned int max);

	/* A counter of the frames, own ones as well, that came in and found no room; it wraps. */
	uint32_t (*dropped)(struct can_bus *bus);

	/* The descriptor that is ready when something can be received; start() may change it. */
	int (*fd)(struct can_bus *bus);
};

struct can_bus {
	const struct can_bus_ops *ops;
	const char *name;
};

/* can_bus_gone() - an error that means that the interface is down or has vanished */
static inline bool can_bus_gone(int error)
{
	return error == -ENETDOWN || error == -ENODEV || error == -ENXIO;
}

#endif
