/* SPDX-License-Identifier: BSD-3-Clause */
/* One CAN frame: as virtio has it, and as SocketCAN has it. */
#ifndef CAN_FRAME_H
#define CAN_FRAME_H

#include <linux/can.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/can/protocol.h"

/* Header and data of the largest frame */
#define FRAME_MAX (sizeof(struct virtio_can_frame) + CANFD_MAX_DLEN)

/* A frame of either kind; classic ones use the same fields of struct canfd_frame. */
struct can_message {
	struct canfd_frame frame;
	bool fd;
};

/**
 * frame_from_virtio() - a frame that the driver sends
 * @buf:	what the driver wrote
 * @len:	bytes of it
 * @features:	acknowledged
 * @message:	filled in
 *
 * A remote frame has no data, and may leave them out of @buf or not.
 *
 * Return: 0, -EPROTO for a message that is no frame or of a kind that was not negotiated, -ERANGE
 * for an identifier or a length that is out of range.
 */
int frame_from_virtio(const void *buf, size_t len, uint64_t features, struct can_message *message);

/* frame_wanted() - whether the driver negotiated frames of this kind */
bool frame_wanted(const struct can_message *message, uint64_t features);

/**
 * frame_to_virtio() - a frame for the driver
 * @message:	no error frame
 * @buf:	room for FRAME_MAX bytes
 *
 * Return: bytes in @buf.
 */
size_t frame_to_virtio(const struct can_message *message, uint8_t *buf);

/* frame_equal() - the same kind, identifier, length and data */
bool frame_equal(const struct can_message *a, const struct can_message *b);

#endif
