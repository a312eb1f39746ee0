/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for the tests of the CAN device. */
#ifndef TEST_CAN_FRAMES_H
#define TEST_CAN_FRAMES_H

#include "backends/can/frame.h"

#define ALL_FEATURES 0x80000fULL

static inline struct can_message message(uint32_t id, uint8_t len, bool fd)
{
	struct can_message made = { .frame = { .can_id = id, .len = len }, .fd = fd };
	unsigned int i;

	for (i = 0; i < len && !(id & CAN_RTR_FLAG); i++)
		made.frame.data[i] = (uint8_t)(id + i);
	return made;
}

/* What a driver writes for this frame; Return: bytes */
static inline size_t as_tx(const struct can_message *m, uint8_t *buf)
{
	size_t len = frame_to_virtio(m, buf);

	buf[0] = VIRTIO_CAN_TX & 0xff;
	buf[1] = VIRTIO_CAN_TX >> 8;
	return len;
}

#endif
