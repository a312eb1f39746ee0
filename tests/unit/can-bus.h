/* SPDX-License-Identifier: BSD-3-Clause */
/* A bus that a test plays: what was sent is kept, what comes is put there. */
#ifndef TEST_CAN_BUS_H
#define TEST_CAN_BUS_H

#include <string.h>

#include "backends/can/can.h"
#include "check.h"
#include "common/util.h"

#define TEST_BUS_MOST 2048 /* frames */

struct test_bus {
	struct can_bus bus;
	int fd;
	bool started, echo;
	int start_error, send_error;
	struct can_message sent[TEST_BUS_MOST];
	unsigned int nsent;
	struct can_received coming[TEST_BUS_MOST];
	unsigned int ncoming, taken;
	uint32_t dropped;
};

static inline struct test_bus *to_test(struct can_bus *bus)
{
	return container_of(bus, struct test_bus, bus);
}

static inline int bus_start(struct can_bus *bus, bool echo)
{
	struct test_bus *test = to_test(bus);

	if (test->start_error)
		return test->start_error;
	test->started = true;
	test->echo = echo;
	return 0;
}

static inline void bus_stop(struct can_bus *bus)
{
	to_test(bus)->started = false;
}

static inline int bus_send(struct can_bus *bus, const struct can_message *message)
{
	struct test_bus *test = to_test(bus);

	assert_true(test->started);
	if (test->send_error)
		return test->send_error;
	test->sent[test->nsent++] = *message;
	return 0;
}

static inline int bus_receive(struct can_bus *bus, struct can_received *received, unsigned int max)
{
	struct test_bus *test = to_test(bus);
	unsigned int n = MIN(max, test->ncoming - test->taken);

	memcpy(received, test->coming + test->taken, n * sizeof(*received));
	test->taken += n;
	return (int)n;
}

static inline uint32_t bus_dropped(struct can_bus *bus)
{
	return to_test(bus)->dropped;
}

static inline int bus_fd(struct can_bus *bus)
{
	return to_test(bus)->fd;
}

static const struct can_bus_ops bus_ops = {
	.start = bus_start,
	.stop = bus_stop,
	.send = bus_send,
	.receive = bus_receive,
	.dropped = bus_dropped,
	.fd = bus_fd,
};

#endif
