// SPDX-License-Identifier: BSD-3-Clause
/* Events to the driver (eventq), and back from it (statusq). */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "backends/common/iov.h"
#include "backends/input/input.h"
#include "common/log.h"
#include "common/util.h"

/* A device that makes events faster than they are read must not keep the loop for ever. */
#define READS_AT_MOST 64

/* ---- from evdev ---- */

void input_send(struct input_device *input, uint16_t type, uint16_t code, int32_t value)
{
	struct virtio_input_event *event = &input->pending[input->tail];

	if (input->tail == INPUT_PENDING)
		return;
	event->type = htole16(type);
	event->code = htole16(code);
	event->value = htole32((uint32_t)value);
	input->tail++;
	input->frame = type != EV_SYN || code != SYN_REPORT;
	input_follow(input, type, code, value);
}

static bool for_driver(const struct input_device *input, const struct input_event *event)
{
	switch (event->type) {
	case EV_SYN:
		return event->code == SYN_MT_REPORT ||
		       (event->code == SYN_REPORT && input->frame);
	case EV_KEY:
		/* The driver repeats keys by itself, at the rate that it is told. */
		return event->value != 2 || !input_test_bit(input->info.types, EV_REP);
	case EV_REL:
	case EV_ABS:
	case EV_MSC:
	case EV_SW:
		return true;
	default:
		return false;
	}
}

/* Return: true when evdev has no more to say than how it stands: the difference is to be told */
static bool take(struct input_device *input, const struct input_event *event)
{
	bool report = event->type == EV_SYN && event->code == SYN_REPORT;

	if (event->type == EV_SYN && event->code == SYN_DROPPED)
		input->dropped = true;
	else if (input->dropped)
		return report;
	else if (for_driver(input, event))
		input_send(input, event->type, event->code, event->value);
	return false;
}

/* Return: number of events, 0: none, or none any more */
static int read_events(struct input_device *input, struct input_event events[INPUT_READ])
{
	int n = input->ops->read(input->dev, events, INPUT_READ);

	if (n >= 0)
		return n;
	log_error("the input device cannot be read: %s", strerror(-n));
	input_gone(input);
	return 0;
}

static void pass_over(struct input_device *input)
{
	struct input_event events[INPUT_READ];
	unsigned int reads;

	for (reads = 0; reads < READS_AT_MOST && read_events(input, events); reads++)
		;
}

/*
 * What evdev still has is older than how it stands. Told after that, a key whose release it drops
 * as it is asked would stay down, and the axes of a touch would go to another one.
 */
static void recover(struct input_device *input)
{
	pass_over(input);
	input->dropped = false;
	input_catch_up(input, true);
}

/* Return: whether there is something to deliver now */
static bool refill(struct input_device *input)
{
	struct input_event events[INPUT_READ];
	int i, n;

	input->head = 0;
	input->tail = 0;
	n = read_events(input, events);
	for (i = 0; i < n; i++) {
		if (!take(input, &events[i]))
			continue;
		recover(input);
		break;
	}
	return n > 0;
}

/*
 * What came before the driver was there is not for it: it begins with how axes and switches stand.
 * A key that is held down was meant for somebody else.
 */
static void begin(struct input_device *input)
{
	struct input_state before = input->told;
	bool fresh = input->fresh;

	pass_over(input);
	input->head = 0;
	input->tail = 0;
	input->frame = false;
	input->dropped = false;
	input->fresh = false;
	input->delivered = false;
	memset(&input->told, 0, sizeof(input->told));
	/* no touch; a tracking id of 0 would be one */
	memset(input->told.mt[ABS_MT_TRACKING_ID - INPUT_MT_FIRST], 0xff,
	       sizeof(input->told.mt[0]));
	/* if it is the same driver, none of its keys stays down */
	if (!fresh)
		memcpy(input->told.keys, before.keys, sizeof(before.keys));
	input_catch_up(input, false);
}

/* ---- eventq ---- */

static void events_ready(void *data, uint32_t events)
{
	(void)events;
	input_eventq_work(data);
}

static void set_waiting(struct input_device *input, bool waiting)
{
	int fd = input->ops->event_fd(input->dev);

	if (!waiting) {
		loop_remove(input->loop, input->source);
		input->source = NULL;
	} else if (!input->source && fd >= 0 && !input->gone) {
		input->source = loop_add(input->loop, fd, EPOLLIN, events_ready, input);
		if (!input->source)
			log_error("events cannot be waited for: %m");
	}
}

/* Return: whether there was a buffer for it */
static bool deliver(struct virtqueue *vq, const struct virtio_input_event *event)
{
	struct iovec iov[INPUT_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = INPUT_MAX_IOVS };
	uint16_t id;

	while (vq_pop(vq, &id) > 0) {
		size_t n;

		if (vq_chain(vq, id, &bufs))
			return false;
		n = bufs.in_len < sizeof(*event) ? 0 : sizeof(*event);
		iov_from_buf(bufs.iov + bufs.out_num, bufs.in_num, 0, event, n);
		vq_push(vq, id, (uint32_t)n);
		if (n)
			return true;
	}
	return false;
}

void input_eventq_work(struct input_device *input)
{
	struct virtqueue *vq = input->eventq;
	unsigned int reads = 0, useless = 0;
	bool buffers = true;

	do {
		useless++;
		vq_suppress(vq);
		do {
			while (buffers && input->head < input->tail) {
				buffers = deliver(vq, &input->pending[input->head]);
				input->head += buffers;
				input->delivered |= buffers;
				useless = buffers ? 0 : useless;
			}
		} while (buffers && reads++ < READS_AT_MOST && refill(input));
		vq_flush(vq);
		/* Without buffers wait for those, with buffers for events. */
		set_waiting(input, buffers);
		if (buffers)
			return;
		buffers = true;
		if (useless == VU_TURN)
			vq_break(vq, "again and again only buffers that are too small for an event");
	} while (vq_arm(vq));
}

/*
 * Not every front-end says that its driver has reset the device. A new one's ring is at its start;
 * one that only comes by there is told how the device stands as well.
 */
void input_eventq_start(struct input_device *input, struct virtqueue *vq)
{
	input->eventq = vq;
	if (input->fresh || (input->delivered && vq_at_start(vq)))
		begin(input);
}

/* No buffer is held for longer than it takes to fill it. */
void input_eventq_stop(struct input_device *input)
{
	struct virtqueue *vq = input->eventq;
	uint16_t id;

	set_waiting(input, false);
	while (vq_replay_pending(vq) && vq_pop(vq, &id) > 0)
		vq_push(vq, id, 0);
	input->eventq = NULL;
}

/* ---- statusq ---- */

static void do_status(struct input_device *input, const struct virtio_input_event *status)
{
	struct input_event events[2] = {
		{ .type = le16toh(status->type),
		  .code = le16toh(status->code),
		  .value = (int32_t)le32toh(status->value) },
		{ .type = EV_SYN, .code = SYN_REPORT },
	};
	uint16_t type = events[0].type, code = events[0].code;
	int ret;

	/* Drivers echo events of other types; written to evdev, those would come round again. */
	if (type != EV_LED && type != EV_SND && type != EV_REP)
		return;
	if (code >= 8 * sizeof(input->info.codes[type]) ||
	    !input_test_bit(input->info.codes[type], code))
		return;
	ret = input->ops->write(input->dev, events, ARRAY_SIZE(events));
	if (ret)
		log_ratelimited(LOG_LEVEL_WARNING, "event %u/%u of the driver is lost: %s", type,
				code, strerror(-ret));
}

bool input_statusq_work(struct input_device *input, struct virtqueue *vq)
{
	struct iovec iov[INPUT_MAX_IOVS];
	struct vq_buffers bufs = { .iov = iov, .max = INPUT_MAX_IOVS };
	struct virtio_input_event status;
	unsigned int taken = 0;
	uint16_t id;

	do {
		vq_suppress(vq);
		for (; taken < VU_TURN && vq_pop(vq, &id) > 0; taken++) {
			if (vq_chain(vq, id, &bufs))
				break;
			if (iov_to_buf(bufs.iov, bufs.out_num, 0, &status, sizeof(status)) ==
			    sizeof(status))
				do_status(input, &status);
			vq_push(vq, id, 0);
		}
		vq_flush(vq);
	} while (taken < VU_TURN && vq_arm(vq));
	return taken == VU_TURN;
}
