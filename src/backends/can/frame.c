// SPDX-License-Identifier: BSD-3-Clause
#include "backends/can/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/util.h"

#define FLAGS_KNOWN (VIRTIO_CAN_FLAGS_RTR | VIRTIO_CAN_FLAGS_FD | VIRTIO_CAN_FLAGS_EXTENDED)

bool frame_wanted(const struct can_message *message, uint64_t features)
{
	if (message->fd)
		return features & BIT_ULL(VIRTIO_CAN_F_CAN_FD);
	if (message->frame.can_id & CAN_RTR_FLAG && !(features & BIT_ULL(VIRTIO_CAN_F_RTR_FRAMES)))
		return false;
	return features & BIT_ULL(VIRTIO_CAN_F_CAN_CLASSIC);
}

int frame_from_virtio(const void *buf, size_t len, uint64_t features, struct can_message *message)
{
	struct canfd_frame *frame = &message->frame;
	struct virtio_can_frame head;
	uint32_t flags, id;
	size_t length;

	memset(message, 0, sizeof(*message));
	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, buf, sizeof(head));
	flags = le32toh(head.flags);
	if (le16toh(head.msg_type) != VIRTIO_CAN_TX || flags & ~(uint32_t)FLAGS_KNOWN)
		return -EPROTO;
	message->fd = flags & VIRTIO_CAN_FLAGS_FD;
	if (message->fd && flags & VIRTIO_CAN_FLAGS_RTR)
		return -EPROTO;
	id = le32toh(head.can_id);
	length = le16toh(head.length);
	if (id > (flags & VIRTIO_CAN_FLAGS_EXTENDED ? CAN_EFF_MASK : CAN_SFF_MASK) ||
	    length > (message->fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN))
		return -ERANGE;
	frame->can_id = id;
	frame->len = (uint8_t)length;
	if (flags & VIRTIO_CAN_FLAGS_EXTENDED)
		frame->can_id |= CAN_EFF_FLAG;
	if (flags & VIRTIO_CAN_FLAGS_RTR)
		frame->can_id |= CAN_RTR_FLAG;
	else if (length > len - sizeof(head))
		return -ERANGE;
	else
		memcpy(frame->data, (const uint8_t *)buf + sizeof(head), length);
	return frame_wanted(message, features) ? 0 : -EPROTO;
}

size_t frame_to_virtio(const struct can_message *message, uint8_t *buf)
{
	const struct canfd_frame *frame = &message->frame;
	bool extended = frame->can_id & CAN_EFF_FLAG, rtr = frame->can_id & CAN_RTR_FLAG;
	uint8_t length = MIN(frame->len, (uint8_t)(message->fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN));
	uint32_t flags = 0;
	struct virtio_can_frame head = {
		.msg_type = htole16(VIRTIO_CAN_RX),
		.length = htole16(length),
		.can_id = htole32(frame->can_id & (extended ? CAN_EFF_MASK : CAN_SFF_MASK)),
	};

	if (extended)
		flags |= VIRTIO_CAN_FLAGS_EXTENDED;
	if (message->fd)
		flags |= VIRTIO_CAN_FLAGS_FD;
	if (rtr)
		flags |= VIRTIO_CAN_FLAGS_RTR;
	head.flags = htole32(flags);
	memcpy(buf, &head, sizeof(head));
	/* Drivers want as many bytes as the length says, of a remote frame as well. */
	if (rtr)
		memset(buf + sizeof(head), 0, length);
	else
		memcpy(buf + sizeof(head), frame->data, length);
	return sizeof(head) + length;
}

bool frame_equal(const struct can_message *a, const struct can_message *b)
{
	if (a->fd != b->fd || a->frame.can_id != b->frame.can_id || a->frame.len != b->frame.len)
		return false;
	if (a->frame.can_id & CAN_RTR_FLAG)
		return true;
	return !memcmp(a->frame.data, b->frame.data, MIN(a->frame.len, (uint8_t)CANFD_MAX_DLEN));
}
