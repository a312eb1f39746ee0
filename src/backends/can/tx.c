// SPDX-License-Identifier: BSD-3-Clause
/* From the driver to the bus. */
#include <errno.h>
#include <string.h>

#include "backends/can/can.h"
#include "backends/common/iov.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/util.h"

#define TX_IOVS 8
/* When the bus had no room: until it is asked again */
#define BLOCKED_MS 2
/* When echoes were lost: until those that have not come are taken for them */
#define ECHO_MS 100

void can_tx_init(struct can_controller *can)
{
	can->sent_first = CAN_NONE;
	can->sent_last = CAN_NONE;
	can->blocked = false;
	can->overflow = (struct can_overflow){ 0 };
	can->presumed = 0;
}

/* ---- the frames on their way ---- */

static void link_sent(struct can_controller *can, uint16_t id)
{
	struct can_sent *sent = &can->sent[id];

	sent->serial = ++can->serial;
	sent->before = can->sent_last;
	sent->after = CAN_NONE;
	if (can->sent_last == CAN_NONE)
		can->sent_first = id;
	else
		can->sent[can->sent_last].after = id;
	can->sent_last = id;
}

static void unlink_sent(struct can_controller *can, uint16_t id)
{
	struct can_sent *sent = &can->sent[id];

	if (sent->before == CAN_NONE)
		can->sent_first = sent->after;
	else
		can->sent[sent->before].after = sent->after;
	if (sent->after == CAN_NONE)
		can->sent_last = sent->before;
	else
		can->sent[sent->after].before = sent->before;
}

static void answer(struct can_controller *can, uint16_t id, uint8_t result)
{
	WRITE_ONCE(*can->sent[id].result, result);
	vq_push(&can->txq->vq, id, sizeof(result));
}

static void finish(struct can_controller *can, uint16_t id, uint8_t result)
{
	unlink_sent(can, id);
	answer(can, id, result);
}

/* ---- echoes that got lost ---- */

/*
 * The socket counts what it had no room for, echoes of ours as well as frames for the driver. The
 * echoes are told apart when all frames that were on their way then are accounted for.
 */
static void settle(struct can_controller *can)
{
	struct can_overflow *over = &can->overflow;

	if (can->sent_first != CAN_NONE && can->sent[can->sent_first].serial <= over->last)
		return;
	can->presumed += MIN(over->dropped, over->echoes);
	can->lost += over->dropped - MIN(over->dropped, over->echoes);
	*over = (struct can_overflow){
		.dropped = over->later,
		.last = can->serial,
		.since_ns = now_ns(),
	};
	/* those that came in later are looked at in a round of their own */
	if (over->dropped && can->sent_first == CAN_NONE) {
		can->lost += over->dropped;
		over->dropped = 0;
	}
	if (over->dropped)
		can_set_timer(can, ECHO_MS);
}

void can_tx_overflow(struct can_controller *can, uint32_t dropped)
{
	struct can_overflow *over = &can->overflow;

	if (!dropped)
		return;
	if (over->dropped) {
		over->later += dropped;
		return;
	}
	*over = (struct can_overflow){
		.dropped = dropped,
		.last = can->serial,
		.since_ns = now_ns(),
	};
	settle(can);
	if (over->dropped)
		can_set_timer(can, ECHO_MS);
}

/* The oldest frame's echo was lost. */
static void presume_sent(struct can_controller *can)
{
	can->overflow.echoes++;
	finish(can, can->sent_first, VIRTIO_CAN_RESULT_OK);
}

void can_tx_timer(struct can_controller *can)
{
	struct can_overflow *over = &can->overflow;

	if (!over->dropped)
		return;
	if (now_ns() - over->since_ns >= ECHO_MS * 1000000ULL) {
		while (can->sent_first != CAN_NONE &&
		       can->sent[can->sent_first].serial <= over->last)
			presume_sent(can);
		settle(can);
	}
	if (over->dropped)
		can_set_timer(can, ECHO_MS);
}

/* An echo was not lost but late, on a busy machine: what was lost in its place was the driver's. */
static void unpresume(struct can_controller *can)
{
	if (!can->presumed)
		return; /* of a frame that was cancelled */
	can->presumed--;
	can->lost++;
}

/*
 * Controllers with several mailboxes may send in another order, so the frame is looked for. When
 * echoes were lost, those of the frames before it are taken to be among them.
 */
void can_tx_echo(struct can_controller *can, const struct can_message *message)
{
	struct can_overflow *over = &can->overflow;
	uint16_t id = can->sent_first;

	while (id != CAN_NONE && !frame_equal(&can->sent[id].message, message))
		id = can->sent[id].after;
	if (id == CAN_NONE) {
		unpresume(can);
		return;
	}
	while (over->dropped && can->sent_first != id &&
	       can->sent[can->sent_first].serial <= over->last)
		presume_sent(can);
	finish(can, id, VIRTIO_CAN_RESULT_OK);
	if (over->dropped)
		settle(can);
}

/* ---- requests ---- */

/*
 * Reads a request into its slot.
 *
 * Return: 0, -EPROTO when the queue is broken, -EINVAL when it has been answered.
 */
static int read_request(struct can_controller *can, struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[TX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = TX_IOVS };
	struct can_sent *sent = &can->sent[id];
	uint8_t buf[FRAME_MAX];
	size_t len;

	if (vq_chain(vq, id, &bufs))
		return -EPROTO;
	if (!bufs.in_len) {
		vq_push(vq, id, 0); /* nowhere to say how it went */
		return -EINVAL;
	}
	sent->result = bufs.iov[bufs.out_num].iov_base;
	len = iov_to_buf(bufs.iov, bufs.out_num, 0, buf, sizeof(buf));
	if (!can->started || frame_from_virtio(buf, len, can->features, &sent->message)) {
		answer(can, id, VIRTIO_CAN_RESULT_NOT_OK);
		return -EINVAL;
	}
	return 0;
}

/* Return: false when the bus has no room. */
static bool send_request(struct can_controller *can, uint16_t id)
{
	bool late = can->features & BIT_ULL(VIRTIO_CAN_F_LATE_TX_ACK);
	int ret = can->bus->ops->send(can->bus, &can->sent[id].message);

	if (ret == -EAGAIN)
		return false;
	if (ret) {
		answer(can, id, VIRTIO_CAN_RESULT_NOT_OK);
		if (can_bus_gone(ret))
			can_leave(can, strerror(-ret));
		else
			log_ratelimited(LOG_LEVEL_WARNING, "%s: a frame cannot be sent: %s",
					can->bus->name, strerror(-ret));
	} else if (late) {
		link_sent(can, id);
	} else {
		answer(can, id, VIRTIO_CAN_RESULT_OK);
	}
	return true;
}

static void block(struct can_controller *can, uint16_t id)
{
	can->blocked = true;
	can->blocked_id = id;
	can_set_timer(can, BLOCKED_MS);
}

void can_tx_work(struct can_controller *can)
{
	struct virtqueue *vq;
	uint16_t id;

	if (!can->txq)
		return;
	vq = &can->txq->vq;
	if (can->blocked) {
		can->blocked = false;
		if (!send_request(can, can->blocked_id))
			block(can, can->blocked_id);
	}
	if (can->stopping) {
		vq_flush(vq);
		return;
	}
	do {
		vq_suppress(vq);
		while (!can->blocked && vq_pop(vq, &id) > 0) {
			if (!read_request(can, vq, id) && !send_request(can, id))
				block(can, id);
		}
	} while (!can->blocked && !vq->broken && vq_arm(vq));
	vq_flush(vq);
}

void can_tx_cancel(struct can_controller *can)
{
	if (!can->txq)
		return;
	while (can->sent_first != CAN_NONE)
		finish(can, can->sent_first, VIRTIO_CAN_RESULT_NOT_OK);
	if (can->blocked)
		answer(can, can->blocked_id, VIRTIO_CAN_RESULT_NOT_OK);
	can->blocked = false;
	can->lost += can->overflow.dropped + can->overflow.later;
	can->overflow = (struct can_overflow){ 0 };
	can->presumed = 0; /* what comes of them now is of a frame that was cancelled */
	vq_flush(&can->txq->vq);
}
