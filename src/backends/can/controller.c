// SPDX-License-Identifier: BSD-3-Clause
/* The controller: started, stopped, off the bus; and what wakes it. */
#include <endian.h>
#include <errno.h>
#include <linux/can/error.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/can/can.h"
#include "backends/common/iov.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/log.h"
#include "common/util.h"

#define BATCH 32
/* Frames taken in before the queues get their turn again; what is left wakes us again. */
#define BURST 256
#define CTRL_IOVS 4
/* How long frames may still be on their way to the bus when the driver's memory goes */
#define STOP_MS 200
/*
 * Mainline's driver starts the controller before it looks at its queues: a call that comes in
 * between is lost on it, and no other is asked for. It gets some more after a start, unasked.
 */
#define NUDGE_MS 50
#define NUDGES 10

void can_set_timer(struct can_controller *can, unsigned int ms)
{
	struct itimerspec when = { .it_value.tv_nsec = (long)ms * 1000000L }, now;

	/* one that comes sooner looks after everything */
	if (timerfd_gettime(can->timer_fd, &now) == 0 && !now.it_value.tv_sec &&
	    now.it_value.tv_nsec && now.it_value.tv_nsec <= when.it_value.tv_nsec)
		return;
	if (timerfd_settime(can->timer_fd, 0, &when, NULL) < 0)
		log_error("the timer cannot be set: %m");
}

/* ---- status ---- */

static void set_bus_off(struct can_controller *can, bool bus_off)
{
	int ret;

	if (can->bus_off == bus_off)
		return;
	can->bus_off = bus_off;
	ret = vu_config_changed(can->backend);
	if (ret && ret != -ENOTCONN)
		log_ratelimited(LOG_LEVEL_WARNING,
				"the front-end cannot be told of the new status: %s",
				strerror(-ret));
}

static void stop(struct can_controller *can)
{
	if (!can->started)
		return;
	can->started = false;
	can->nudges = 0;
	loop_remove(vu_loop(can->backend), can->bus_source);
	can->bus_source = NULL;
	can->bus->ops->stop(can->bus);
	can_tx_cancel(can);
	can_rx_clear(can);
}

void can_leave(struct can_controller *can, const char *why)
{
	if (!can->started)
		return;
	log_ratelimited(LOG_LEVEL_NOTICE,
			"%s: off the bus: %s; the driver has to restart the controller",
			can->bus->name, why);
	set_bus_off(can, true);
	stop(can);
}

/* ---- the bus ---- */

static void error_frame(struct can_controller *can, const struct canfd_frame *frame)
{
	if (frame->can_id & CAN_ERR_BUSOFF)
		can_leave(can, "bus-off");
	else if (frame->can_id & CAN_ERR_CRTL && frame->data[1] & CAN_ERR_CRTL_RX_OVERFLOW)
		can->lost++; /* in the interface's own controller: one at least */
}

static int take_batch(struct can_controller *can)
{
	struct can_received received[BATCH];
	int i, n = can->bus->ops->receive(can->bus, received, BATCH);

	for (i = 0; i < n && can->started; i++) {
		const struct can_message *message = &received[i].message;

		if (message->frame.can_id & CAN_ERR_FLAG)
			error_frame(can, &message->frame);
		else if (received[i].own)
			can_tx_echo(can, message);
		else
			can_rx_take(can, message);
	}
	if (n < 0 && can_bus_gone(n))
		can_leave(can, strerror(-n));
	else if (n < 0)
		log_ratelimited(LOG_LEVEL_ERROR, "%s: nothing can be received: %s", can->bus->name,
				strerror(-n));
	return n;
}

static void count_dropped(struct can_controller *can)
{
	uint32_t dropped = can->bus->ops->dropped(can->bus);

	can_tx_overflow(can, dropped - can->dropped_seen);
	can->dropped_seen = dropped;
}

/*
 * The driver sees that its frames went out before it sees answers to them. Both queues together
 * know no order, so the one is shown first.
 */
static void hand_over(struct can_controller *can)
{
	if (can->txq)
		vq_flush(&can->txq->vq);
	can_rx_work(can);
}

void can_bus_work(struct can_controller *can)
{
	int n, taken = 0;

	while (can->started && taken < BURST) {
		n = take_batch(can);
		if (n <= 0)
			break;
		taken += n;
		hand_over(can);
	}
	if (can->started)
		count_dropped(can);
	hand_over(can);
	/* Echoes were answered, and made room. */
	can_tx_work(can);
}

static void bus_ready(void *data, uint32_t events)
{
	(void)events;
	can_bus_work(data);
}

void can_nudge(struct can_controller *can)
{
	if (!can->nudges || !can->txq)
		return;
	can->nudges--;
	vq_call(&can->txq->vq);
	if (can->rxq)
		vq_call(&can->rxq->vq);
	if (can->nudges)
		can_set_timer(can, NUDGE_MS);
}

static void timer_ready(void *data, uint32_t events)
{
	struct can_controller *can = data;
	uint64_t count;

	(void)events;
	if (read(can->timer_fd, &count, sizeof(count)) < 0 || !can->txq)
		return;
	can_tx_timer(can);
	can_rx_work(can);
	can_tx_work(can);
	can_nudge(can);
}

/* ---- control requests ---- */

static uint8_t start(struct can_controller *can)
{
	bool echo = can->features & BIT_ULL(VIRTIO_CAN_F_LATE_TX_ACK);

	if (can->started)
		return VIRTIO_CAN_RESULT_OK;
	if (can->bus->ops->start(can->bus, echo))
		return VIRTIO_CAN_RESULT_NOT_OK;
	can->bus_source = loop_add(vu_loop(can->backend), can->bus->ops->fd(can->bus), EPOLLIN,
				   bus_ready, can);
	if (!can->bus_source) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: cannot be watched: %m", can->bus->name);
		can->bus->ops->stop(can->bus);
		return VIRTIO_CAN_RESULT_NOT_OK;
	}
	can->dropped_seen = can->bus->ops->dropped(can->bus);
	can->started = true;
	/* our own driver does not need it, and is known by this */
	can->nudges = can->features & BIT_ULL(VIRTIO_CAN_F_RX_LOST) ? 0 : NUDGES;
	if (can->nudges)
		can_set_timer(can, NUDGE_MS);
	set_bus_off(can, false);
	return VIRTIO_CAN_RESULT_OK;
}

static uint8_t control(struct can_controller *can, uint16_t msg_type)
{
	switch (msg_type) {
	case VIRTIO_CAN_SET_CTRL_MODE_START:
		return start(can);
	case VIRTIO_CAN_SET_CTRL_MODE_STOP:
		/* what has gone out already is answered so */
		can_bus_work(can);
		stop(can);
		set_bus_off(can, false);
		return VIRTIO_CAN_RESULT_OK;
	default:
		return VIRTIO_CAN_RESULT_NOT_OK;
	}
}

static void control_request(struct can_controller *can, struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[CTRL_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = CTRL_IOVS };
	uint16_t msg_type = 0;
	uint8_t result;

	if (vq_chain(vq, id, &bufs))
		return;
	if (iov_to_buf(bufs.iov, bufs.out_num, 0, &msg_type, sizeof(msg_type)) < sizeof(msg_type))
		result = VIRTIO_CAN_RESULT_NOT_OK;
	else
		result = control(can, le16toh(msg_type));
	iov_from_buf(bufs.iov + bufs.out_num, bufs.in_num, 0, &result, sizeof(result));
	vq_push(vq, id, bufs.in_len ? sizeof(result) : 0);
}

static void control_work(struct can_controller *can)
{
	struct virtqueue *vq = &can->ctrlq->vq;
	uint16_t id;

	do {
		vq_suppress(vq);
		while (vq_pop(vq, &id) > 0)
			control_request(can, vq, id);
	} while (!vq->broken && vq_arm(vq));
	vq_flush(vq);
}

/* ---- the device ---- */

static uint64_t features(void *dev)
{
	const struct can_controller *can = dev;

	return can->offered;
}

static void get_config(void *dev, void *buf, uint32_t offset, uint32_t size)
{
	const struct can_controller *can = dev;
	struct virtio_can_config config = {
		.status = htole16(can->bus_off ? VIRTIO_CAN_S_CTRL_BUSOFF : 0),
	};

	memcpy(buf, (const char *)&config + offset, size);
}

static void queue_kick(void *dev, struct vu_queue *queue)
{
	struct can_controller *can = dev;

	if (queue == can->txq)
		can_tx_work(can);
	else if (queue == can->rxq)
		can_rx_work(can);
	else if (queue == can->ctrlq)
		control_work(can);
}

static int start_txq(struct can_controller *can, struct vu_queue *queue)
{
	can->sent = calloc(queue->vq.num, sizeof(*can->sent));
	if (!can->sent)
		return -ENOMEM;
	can_tx_init(can);
	can->txq = queue;
	return 0;
}

/* Nobody is told: there is no driver that would want to know. */
static void reset(void *dev)
{
	struct can_controller *can = dev;

	stop(can);
	can->bus_off = false;
	can->features = 0;
	can->lost = 0;
	can->unlost = 0;
	can->stopped_behind = 0;
}

/*
 * Not every front-end says that its driver has reset the device (QEMU's vhost-user-device does
 * not). The next driver begins the rings anew; after a pause, or a change of the memory table, they
 * go on where they were, and so does the controller. The next driver may have looked at the status
 * already.
 */
static void look_for_next_driver(struct can_controller *can, const struct vu_queue *queue)
{
	if (!(can->stopped_behind & 1U << queue->index) || !vq_at_start(&queue->vq))
		return;
	set_bus_off(can, false);
	reset(can);
}

static int queue_start(void *dev, struct vu_queue *queue)
{
	struct can_controller *can = dev;

	look_for_next_driver(can, queue);
	can->features = queue->features;
	switch (queue->index) {
	case CAN_TXQ:
		return start_txq(can, queue);
	case CAN_RXQ:
		can->rxq = queue;
		return 0;
	default:
		can->ctrlq = queue;
		return 0;
	}
}

/*
 * Frames that are on their way to the bus get a moment; their answers need the driver's memory. On
 * a busy bus there is always something to receive, so that alone does not end the waiting.
 */
static void stop_txq(struct can_controller *can)
{
	deadline_t deadline = deadline_after_ms(STOP_MS);

	can->stopping = true;
	while (can->started && can->sent_first != CAN_NONE && !deadline_passed(deadline) &&
	       poll_fd(can->bus->ops->fd(can->bus), POLLIN, deadline) > 0)
		can_bus_work(can);
	can_tx_cancel(can);
	can->stopping = false;
	can->txq = NULL;
	free(can->sent);
	can->sent = NULL;
}

static void queue_stop(void *dev, struct vu_queue *queue)
{
	struct can_controller *can = dev;

	if (queue == can->txq)
		stop_txq(can);
	else if (queue == can->rxq)
		can->rxq = NULL;
	else
		can->ctrlq = NULL;
	/* after the last answers, by which a packed ring moves as well */
	if (vq_at_start(&queue->vq))
		can->stopped_behind &= ~(1U << queue->index);
	else
		can->stopped_behind |= 1U << queue->index;
}

const struct vu_device_ops can_ops = {
	.features = features,
	.get_config = get_config,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.queue_kick = queue_kick,
	.reset = reset,
};

int can_init(struct can_controller *can, struct vu_backend *backend, struct can_bus *bus, bool fd)
{
	*can = (struct can_controller){ .backend = backend, .bus = bus, .timer_fd = -1 };
	can->offered = BIT_ULL(VIRTIO_CAN_F_CAN_CLASSIC) | BIT_ULL(VIRTIO_CAN_F_RTR_FRAMES) |
		       BIT_ULL(VIRTIO_CAN_F_LATE_TX_ACK) | BIT_ULL(VIRTIO_CAN_F_RX_LOST);
	if (fd)
		can->offered |= BIT_ULL(VIRTIO_CAN_F_CAN_FD);
	can_tx_init(can);
	can->waiting = calloc(CAN_WAITING, sizeof(*can->waiting));
	if (!can->waiting)
		return -ENOMEM;
	can->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (can->timer_fd >= 0)
		can->timer = loop_add(vu_loop(backend), can->timer_fd, EPOLLIN, timer_ready, can);
	if (!can->timer) {
		int ret = -errno;

		can_finish(can);
		return ret;
	}
	return 0;
}

void can_finish(struct can_controller *can)
{
	fd_close(&can->timer_fd);
	free(can->waiting);
	can->waiting = NULL;
}
