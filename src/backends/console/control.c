// SPDX-License-Identifier: BSD-3-Clause
/* Messages about ports (virtio 1.x, 5.3.6.2). */
#include <endian.h>
#include <string.h>

#include "backends/common/iov.h"
#include "backends/console/console.h"
#include "common/log.h"
#include "common/util.h"

#define CONTROL_MAX_IOVS 16

/* In this order: a name and a size are for a port that exists, and so on. */
static const uint8_t order[] = {
	VIRTIO_CONSOLE_PORT_ADD, VIRTIO_CONSOLE_PORT_NAME, VIRTIO_CONSOLE_CONSOLE_PORT,
	VIRTIO_CONSOLE_RESIZE,	 VIRTIO_CONSOLE_PORT_OPEN,
};

struct control_message {
	struct virtio_console_control header;
	uint8_t more[CONSOLE_NAME_MAX];
};

/* ---- to the driver ---- */

static void put16(uint8_t *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof(value));
}

/* Return: its bytes */
static size_t compose(const struct console_port *port, unsigned int event,
		      struct control_message *msg)
{
	size_t more = 0;

	msg->header.id = htole32(port->id);
	msg->header.event = htole16((uint16_t)event);
	msg->header.value = htole16(1);
	switch (event) {
	case VIRTIO_CONSOLE_PORT_NAME:
		more = strlen(port->name);
		memcpy(msg->more, port->name, more);
		break;
	case VIRTIO_CONSOLE_RESIZE:
		put16(msg->more, port->ep.cols);
		put16(msg->more + 2, port->ep.rows);
		more = 4;
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		msg->header.value = htole16(port->ep.connected);
		break;
	default:
		break;
	}
	return sizeof(msg->header) + more;
}

/* Return: true when it was sent, false when there is no buffer for it */
static bool send_message(struct virtqueue *vq, const struct console_port *port, unsigned int event)
{
	struct iovec iov[CONTROL_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = CONTROL_MAX_IOVS };
	struct control_message msg;
	uint16_t id;
	size_t len;

	if (vq_pop(vq, &id) <= 0 || vq_chain(vq, id, &bufs))
		return false;
	len = compose(port, event, &msg);
	if (bufs.in_len < len) {
		vq_refuse(vq, id, "a buffer that is too small for a message");
		return false;
	}
	iov_from_buf(iov + bufs.out_num, bufs.in_num, 0, &msg, len);
	vq_push(vq, id, (uint32_t)len);
	log_debug("port %u: event %u to the driver, value %u", port->id, event,
		  le16toh(msg.header.value));
	return true;
}

/* Return: true when nothing is left to send about this port */
static bool send_pending(struct virtqueue *vq, struct console_port *port)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(order) && port->pending; i++) {
		if (!(port->pending & 1U << order[i]))
			continue;
		if (!send_message(vq, port, order[i]))
			return false;
		port->pending &= ~(1U << order[i]);
	}
	return true;
}

void console_control_flush(struct console *console)
{
	struct virtqueue *vq;
	unsigned int i;
	bool sent;

	if (!console->control_rx || console->control_rx->vq.broken)
		return;
	vq = &console->control_rx->vq;
	do {
		vq_suppress(vq);
		for (i = 0, sent = true; i < console->num_ports && sent; i++)
			sent = send_pending(vq, &console->ports[i]);
		vq_flush(vq);
	} while (vq_arm(vq) && !sent); /* buffers that nothing is to be said in are left alone */
}

void console_tell(struct console_port *port, unsigned int event)
{
	if (!port->ready && event != VIRTIO_CONSOLE_PORT_ADD)
		return; /* it is told when the driver has the port */
	port->pending |= 1U << event;
	console_control_flush(port->console);
}

/* ---- from the driver ---- */

static void device_ready(struct console *console, uint16_t value)
{
	unsigned int i;

	if (!value) {
		log_ratelimited(LOG_LEVEL_WARNING, "the driver could not set the device up");
		return;
	}
	/* A driver that starts over does not always reset the device before. */
	for (i = 0; i < console->num_ports; i++) {
		console_port_reset(&console->ports[i]);
		console->ports[i].pending = 1U << VIRTIO_CONSOLE_PORT_ADD;
	}
}

static void port_ready(struct console_port *port, uint16_t value)
{
	if (!value) {
		log_ratelimited(LOG_LEVEL_WARNING, "the driver could not add port %u", port->id);
		return;
	}
	port->ready = true;
	if (port->name)
		port->pending |= 1U << VIRTIO_CONSOLE_PORT_NAME;
	if (port->terminal)
		port->pending |= 1U << VIRTIO_CONSOLE_CONSOLE_PORT;
	if (port->terminal && port->ep.cols)
		port->pending |= 1U << VIRTIO_CONSOLE_RESIZE;
	port->pending |= 1U << VIRTIO_CONSOLE_PORT_OPEN;
}

static void handle(struct console *console, const struct virtio_console_control *msg)
{
	uint32_t id = le32toh(msg->id);
	uint16_t event = le16toh(msg->event), value = le16toh(msg->value);

	log_debug("port %u: event %u from the driver, value %u", id, event, value);
	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		device_ready(console, value);
		return;
	}
	if (id >= console->num_ports) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"a message from the driver about port %u, which does not exist", id);
		return;
	}
	switch (event) {
	case VIRTIO_CONSOLE_PORT_READY:
		port_ready(&console->ports[id], value);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		console_port_set_open(&console->ports[id], value);
		break;
	default:
		log_ratelimited(LOG_LEVEL_WARNING,
				"a message from the driver about port %u of an unknown kind (%u)",
				id, event);
		break;
	}
}

/* Return: false when the queue is empty, or broken */
static bool receive_one(struct console *console, struct virtqueue *vq)
{
	struct iovec iov[CONTROL_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = CONTROL_MAX_IOVS };
	struct virtio_console_control msg;
	uint16_t id;

	if (vq_pop(vq, &id) <= 0 || vq_chain(vq, id, &bufs))
		return false;
	/* a longer one is of a later version of the document */
	if (iov_to_buf(iov, bufs.out_num, 0, &msg, sizeof(msg)) == sizeof(msg))
		handle(console, &msg);
	else
		log_ratelimited(LOG_LEVEL_WARNING, "a message from the driver that is too short");
	vq_push(vq, id, 0);
	return true;
}

void console_control_receive(struct console *console, struct vu_queue *queue)
{
	struct virtqueue *vq = &queue->vq;
	unsigned int turn = VU_TURN;

	do {
		vq_suppress(vq);
		while (turn && receive_one(console, vq))
			turn--;
		vq_flush(vq);
	} while (turn && vq_arm(vq));
	if (!turn)
		vu_queue_again(queue);
	console_control_flush(console);
}
