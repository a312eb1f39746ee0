/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The controller: what the driver sees of the bus. All of it runs in the main thread.
 *
 * Frames from the driver go to the bus at once, in their order. With LATE_TX_ACK a frame is
 * answered when its echo comes back from the bus; until then it is in @sent. A frame that the bus
 * has no room for is in @blocked, and none is taken from the ring before it is gone.
 *
 * Frames from the bus wait in a queue of our own for buffers of the driver. The bus is read also
 * when that is full: echoes must not get stuck behind. What finds no room, here or in the socket,
 * is counted, and the driver is told of it if it has negotiated that.
 */
#ifndef CAN_CAN_H
#define CAN_CAN_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/can/bus.h"
#include "backends/common/backend.h"

#define CAN_MAX_QUEUE_SIZE 1024
/* Frames from the bus that wait for buffers; a power of two */
#define CAN_WAITING 512

/* A frame of the driver, on its way */
struct can_sent {
	struct can_message message;
	uint8_t *result; /* in the driver's memory */
	uint64_t serial; /* in the order of sending */
	uint16_t before, after; /* in the list, CAN_NONE at its ends */
};

#define CAN_NONE UINT16_MAX

/* Frames that the socket had no room for, some of which may have been echoes */
struct can_overflow {
	uint64_t dropped;
	uint64_t echoes; /* of those presumed to be among them */
	uint64_t last; /* serial of the last frame sent before; 0: none is on its way */
	uint64_t later; /* dropped since */
	uint64_t since_ns;
};

struct can_controller {
	struct vu_backend *backend;
	struct can_bus *bus;
	struct loop_source *bus_source; /* while it is started */
	int timer_fd;
	struct loop_source *timer;

	uint64_t offered; /* features */
	uint64_t features; /* acknowledged */
	bool started;
	bool bus_off;
	unsigned int nudges; /* calls that the driver gets unasked */

	struct vu_queue *txq; /* NULL while stopped, as the next two */
	struct vu_queue *rxq;
	struct vu_queue *ctrlq;
	unsigned int stopped_behind; /* a bit for each whose ring had gone on from its start */

	struct can_sent *sent; /* by request id */
	uint16_t sent_first, sent_last;
	uint64_t serial;
	bool blocked;
	uint16_t blocked_id;
	bool stopping; /* the queue: nothing more is taken from it */

	struct can_message *waiting; /* [CAN_WAITING] */
	unsigned int waiting_head, waiting_count;

	uint32_t dropped_seen; /* the bus's counter when last looked at */
	struct can_overflow overflow;
	uint64_t presumed; /* echoes that frames in @overflow were taken for, in all */
	uint64_t lost; /* frames for the driver that got lost, and it was not told */
	unsigned int unlost; /* frames handed over since it was told last */
};

extern const struct vu_device_ops can_ops;

/**
 * can_init() - a controller that is stopped
 * @can:	filled in
 * @backend:	for its loop and the config interrupt
 * @bus:	what it is on
 * @fd:		it takes FD frames
 *
 * Return: 0 or a negative errno.
 */
int can_init(struct can_controller *can, struct vu_backend *backend, struct can_bus *bus,
	     bool fd);
void can_finish(struct can_controller *can);

/* ---- controller.c ---- */

/* can_leave() - it is off the bus, by an error there: the driver gets to know */
void can_leave(struct can_controller *can, const char *why);

/* can_bus_work() - take in what the bus has */
void can_bus_work(struct can_controller *can);

/* can_nudge() - a call that nobody asked for, as long as some are left after the start */
void can_nudge(struct can_controller *can);

/* can_set_timer() - look after the frames on their way in a while */
void can_set_timer(struct can_controller *can, unsigned int ms);

/* ---- tx.c ---- */

void can_tx_init(struct can_controller *can);
void can_tx_work(struct can_controller *can);

/* can_tx_echo() - a frame of ours went out */
void can_tx_echo(struct can_controller *can, const struct can_message *message);

/* can_tx_cancel() - answer all frames on their way with NOT_OK */
void can_tx_cancel(struct can_controller *can);

/* can_tx_overflow() - the socket had no room for @dropped frames */
void can_tx_overflow(struct can_controller *can, uint32_t dropped);

/* can_tx_timer() - echoes that do not come any more */
void can_tx_timer(struct can_controller *can);

/* ---- rx.c ---- */

/* can_rx_take() - a frame for the driver */
void can_rx_take(struct can_controller *can, const struct can_message *message);

/* can_rx_work() - hand frames to the driver as far as it has given buffers */
void can_rx_work(struct can_controller *can);

/* can_rx_clear() - forget what waits */
void can_rx_clear(struct can_controller *can);

#endif
