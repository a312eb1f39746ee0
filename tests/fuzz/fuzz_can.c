// SPDX-License-Identifier: BSD-3-Clause
/*
 * The CAN device's three queues: the input is the driver's memory, with the rings at its start, and
 * what the bus does on the way: it takes frames, is full, goes away; echoes come, and frames, and
 * errors.
 */
#include <errno.h>
#include <linux/can/error.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "backends/can/can.h"
#include "backends/common/internal.h"
#include "common/util.h"
#include "rig.h"

#define RING 1024 /* bytes between the rings */
#define SCRIPT 24

static struct rig rig = { .size = 16384, .avail = 256, .used = 512 };
static struct vu_backend backend;

/* The bus: each call takes a step of the script. */
static const uint8_t *script;
static unsigned int step;
static struct can_message last;
static int bus_event;

static uint8_t next(void)
{
	return script[step++ % SCRIPT];
}

static int bus_start(struct can_bus *bus, bool echo)
{
	(void)bus;
	(void)echo;
	return next() & 7 ? 0 : -ENETDOWN;
}

static void bus_stop(struct can_bus *bus)
{
	(void)bus;
}

/* What reaches the bus is a frame that can be sent. */
static int bus_send(struct can_bus *bus, const struct can_message *message)
{
	static const int errors[] = { -EAGAIN, -EAGAIN, -ENETDOWN, -EINVAL };
	uint8_t how = next();
	uint32_t id = message->frame.can_id;

	(void)bus;
	if (message->frame.len > (message->fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN) ||
	    id & CAN_ERR_FLAG || (id & CAN_RTR_FLAG && message->fd) ||
	    (!(id & CAN_EFF_FLAG) && (id & CAN_EFF_MASK) > CAN_SFF_MASK))
		abort();
	if ((how & 3) == 3)
		return errors[how >> 2 & 3];
	last = *message;
	return 0;
}

static int bus_receive(struct can_bus *bus, struct can_received *received, unsigned int max)
{
	unsigned int i, n = MIN(next() & 3, max);

	(void)bus;
	if (n == 3)
		return next() & 1 ? -ENODEV : 0;
	for (i = 0; i < n; i++) {
		uint8_t how = next();

		received[i] = (struct can_received){ .message = last, .own = how & 1 };
		if (how & 2)
			continue;
		received[i].message.fd = how & 4;
		received[i].message.frame.len = how & 4 ? how & 63 : how & 7;
		received[i].message.frame.can_id ^= (uint32_t)next() << 24;
		if (received[i].message.fd)
			received[i].message.frame.can_id &= ~CAN_RTR_FLAG;
	}
	return (int)n;
}

static uint32_t bus_dropped(struct can_bus *bus)
{
	(void)bus;
	return next() & 3 ? 0 : next();
}

static int bus_fd(struct can_bus *bus)
{
	(void)bus;
	return bus_event;
}

static const struct can_bus_ops bus_ops = {
	.start = bus_start,
	.stop = bus_stop,
	.send = bus_send,
	.receive = bus_receive,
	.dropped = bus_dropped,
	.fd = bus_fd,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	rig_init(&rig);
	bus_event = eventfd(0, EFD_NONBLOCK);
	if (bus_event < 0)
		abort();
	return 0;
}

static void start_queue(struct can_controller *can, struct vu_queue *queue, unsigned int index,
			uint64_t features, uint64_t layout)
{
	struct vq_setup setup =
		rig_setup(&rig, (uint64_t)index * RING,
			  features | layout | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC));

	setup.index = index;
	*queue = (struct vu_queue){ .index = index, .features = features };
	if (vq_start(&queue->vq, &setup) || can_ops.queue_start(can, queue))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct can_bus bus = { .ops = &bus_ops, .name = "fuzz" };
	struct vu_queue queues[CAN_QUEUES];
	struct can_controller can;
	uint64_t features;
	unsigned int i;

	if (size < SCRIPT + 1)
		return 0;
	features = (data[0] & 15) | (data[0] & 16 ? BIT_ULL(VIRTIO_CAN_F_RX_LOST) : 0);
	script = data + 1;
	step = 0;
	memset(&last, 0, sizeof(last));
	rig_fill(&rig, data + SCRIPT + 1, size - SCRIPT - 1);
	if (vu_backend_init(&backend) || can_init(&can, &backend, &bus, true))
		abort();
	for (i = 0; i < CAN_QUEUES; i++)
		start_queue(&can, &queues[i], i, features, rig_packed(data[0] & 32));
	for (i = 0; i < 4; i++) {
		can_ops.queue_kick(&can, &queues[CAN_CTRLQ]);
		can_ops.queue_kick(&can, &queues[CAN_TXQ]);
		can_bus_work(&can);
		can_ops.queue_kick(&can, &queues[CAN_RXQ]);
		if (next() & 1)
			can.overflow.since_ns = 0; /* echoes are waited for no longer */
		can_tx_timer(&can);
	}
	/* first, so that stopping does not wait for the bus */
	can_ops.reset(&can);
	for (i = 0; i < CAN_QUEUES; i++) {
		can_ops.queue_stop(&can, &queues[i]);
		/* whatever was taken has been answered, unless the driver broke the queue */
		if (queues[i].vq.taken && !queues[i].vq.broken)
			abort();
		vq_stop(&queues[i].vq);
	}
	can_finish(&can);
	vu_backend_finish(&backend);
	return 0;
}
