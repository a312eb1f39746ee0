/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An input device (virtio 1.x, 5.8): config.c answers the selections in the config space, events.c
 * brings events to the driver and back, state.c knows what the driver has been told.
 *
 * No event is dropped between evdev and the driver. While the driver has no buffers nothing more
 * is read; when evdev's own buffer then overflows, it says so, and the driver is told the
 * difference between what it knows and how the device stands (virtio 1.x, 5.8.6.2: a frame is
 * never torn).
 *
 * Towards the driver go keys, axes and switches; LEDs, sounds and repeat rates only the other way:
 * evdev reports them to whoever set them, and sent back they would chase each other.
 */
#ifndef INPUT_INPUT_H
#define INPUT_INPUT_H

#include "backends/common/backend.h"
#include "backends/input/evdev.h"

#define INPUT_EVENTQ 0
#define INPUT_STATUSQ 1
#define INPUT_NUM_QUEUES 2
#define INPUT_QUEUE_SIZE 1024
#define INPUT_MAX_IOVS 8
/* Room for all that can differ, with as many slots as are followed */
#define INPUT_PENDING 2048
#define INPUT_READ 64

struct input_device {
	const struct evdev_ops *ops;
	void *dev;
	struct input_info info;
	struct loop *loop;

	uint8_t select, subsel; /* of the config space */

	struct virtqueue *eventq; /* NULL while it is stopped */
	struct loop_source *source; /* NULL: events are not waited for */
	struct virtio_input_event pending[INPUT_PENDING]; /* for the driver, first at @head */
	unsigned int head, tail;
	bool frame; /* something was sent since the last SYN_REPORT */
	bool dropped; /* evdev's buffer overflowed: nothing counts until the next SYN_REPORT */
	bool fresh; /* the driver knows nothing yet */
	bool delivered; /* something, so that its ring is not where it began */
	bool gone;
	struct input_state told; /* what the driver knows */
};

extern const struct vu_device_ops input_ops;

/* input_init() - @input has its @ops, @dev, @info and @loop */
void input_init(struct input_device *input);

/* input_gone() - the device was unplugged: the program ends */
void input_gone(struct input_device *input);

/* ---- config.c ---- */

/* input_config() - the config space for what is selected */
void input_config(const struct input_device *input, struct virtio_input_config *config);

/* ---- events.c ---- */

/* input_send() - one event is to go to the driver; there is room */
void input_send(struct input_device *input, uint16_t type, uint16_t code, int32_t value);

void input_eventq_start(struct input_device *input, struct virtqueue *vq);
void input_eventq_stop(struct input_device *input);

/* input_eventq_work() - deliver what there is, for as many buffers as there are */
void input_eventq_work(struct input_device *input);

/* input_statusq_work() - Return: true when there may be more than a turn's */
bool input_statusq_work(struct input_device *input, struct virtqueue *vq);

/* ---- state.c ---- */

/* input_follow() - the driver is told this */
void input_follow(struct input_device *input, uint16_t type, uint16_t code, int32_t value);

/**
 * input_catch_up() - send what the driver does not know yet
 * @input:	the device, with nothing pending
 * @keys:	also keys that are held down; without, those that are not any more
 */
void input_catch_up(struct input_device *input, bool keys);

#endif
