// SPDX-License-Identifier: BSD-3-Clause
/* From the bus to the driver. */
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "backends/can/can.h"
#include "backends/common/iov.h"
#include "common/log.h"
#include "common/util.h"

#define RX_IOVS 8
/* Under a flood the driver is told of losses after so many frames, not between any two. */
#define LOST_EVERY 32

void can_rx_clear(struct can_controller *can)
{
	can->waiting_head = 0;
	can->waiting_count = 0;
}

void can_rx_take(struct can_controller *can, const struct can_message *message)
{
	unsigned int slot = (can->waiting_head + can->waiting_count) % CAN_WAITING;

	if (!frame_wanted(message, can->features))
		return;
	if (can->waiting_count == CAN_WAITING) {
		can->lost++;
		return;
	}
	can->waiting[slot] = *message;
	can->waiting_count++;
}

static bool tells_lost(const struct can_controller *can)
{
	return can->features & BIT_ULL(VIRTIO_CAN_F_RX_LOST);
}

/* Return: true with the next message for the driver in @buf. */
static bool next_message(struct can_controller *can, uint8_t *buf, size_t *len)
{
	if (can->lost && tells_lost(can) && (!can->waiting_count || can->unlost >= LOST_EVERY)) {
		uint32_t count = (uint32_t)MIN(can->lost, (uint64_t)UINT32_MAX);
		struct virtio_can_rx_lost lost = {
			.msg_type = htole16(VIRTIO_CAN_RX_LOST),
			.count = htole32(count),
		};

		memcpy(buf, &lost, sizeof(lost));
		*len = sizeof(lost);
		can->lost -= count;
		can->unlost = 0;
		return true;
	}
	if (!can->waiting_count)
		return false;
	*len = frame_to_virtio(&can->waiting[can->waiting_head], buf);
	can->waiting_head = (can->waiting_head + 1) % CAN_WAITING;
	can->waiting_count--;
	can->unlost++;
	return true;
}

static bool something_to_tell(const struct can_controller *can)
{
	return can->waiting_count || (can->lost && tells_lost(can));
}

/* Return: false when the queue is broken. */
static bool answer(struct can_controller *can, struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[RX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = RX_IOVS };
	uint8_t buf[FRAME_MAX];
	size_t len;

	if (vq_chain(vq, id, &bufs))
		return false;
	/* The driver has to give room for any frame that it negotiated. */
	if (bufs.in_len < (can->features & BIT_ULL(VIRTIO_CAN_F_CAN_FD) ?
				   FRAME_MAX :
				   sizeof(struct virtio_can_frame) + CAN_MAX_DLEN) ||
	    !next_message(can, buf, &len)) {
		vq_push(vq, id, 0);
		return true;
	}
	iov_from_buf(bufs.iov + bufs.out_num, bufs.in_num, 0, buf, len);
	vq_push(vq, id, (uint32_t)len);
	return true;
}

static void warn_lost(struct can_controller *can)
{
	if (!can->lost || tells_lost(can))
		return;
	log_ratelimited(LOG_LEVEL_WARNING,
			"%s: %" PRIu64 " frames for the driver were lost: it was too slow",
			can->bus->name, can->lost);
	can->lost = 0;
}

void can_rx_work(struct can_controller *can)
{
	struct virtqueue *vq;
	uint16_t id;

	warn_lost(can);
	if (!can->rxq)
		return;
	vq = &can->rxq->vq;
	vq_suppress(vq);
	/* A kick is asked for only when buffers are short. */
	do {
		while (something_to_tell(can) && vq_pop(vq, &id) > 0) {
			if (!answer(can, vq, id))
				break;
		}
	} while (something_to_tell(can) && !vq->broken && vq_arm(vq));
	vq_flush(vq);
}
