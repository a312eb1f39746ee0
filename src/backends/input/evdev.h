/* SPDX-License-Identifier: BSD-3-Clause */
/* The input device behind the virtio device: an evdev node of this machine (linux/input.h). */
#ifndef INPUT_EVDEV_H
#define INPUT_EVDEV_H

#include <linux/input.h>
#include <linux/virtio_input.h>
#include <stdbool.h>
#include <stdint.h>

#define INPUT_BYTES(bits) (((bits) + 7) / 8)
/* The event types that a virtio input device can have: EV_SYN to EV_REP. */
#define INPUT_TYPES (EV_REP + 1)
#define INPUT_SLOTS_MAX 64
/* ABS_MT_TOUCH_MAJOR to the last: the axes that each slot has for itself */
#define INPUT_MT_FIRST ABS_MT_TOUCH_MAJOR
#define INPUT_MT_AXES (ABS_MAX - INPUT_MT_FIRST + 1)

static inline bool input_test_bit(const uint8_t *bits, unsigned int bit)
{
	return bits[bit / 8] >> (bit % 8) & 1;
}

static inline void input_assign_bit(uint8_t *bits, unsigned int bit, bool value)
{
	if (value)
		bits[bit / 8] |= (uint8_t)(1U << (bit % 8));
	else
		bits[bit / 8] &= (uint8_t) ~(1U << (bit % 8));
}

/* What never changes of a device. */
struct input_info {
	char name[sizeof(((struct virtio_input_config *)0)->u.string) + 1];
	char serial[sizeof(((struct virtio_input_config *)0)->u.string) + 1];
	struct input_id id;
	uint8_t props[INPUT_BYTES(INPUT_PROP_CNT)];
	uint8_t types[INPUT_BYTES(EV_CNT)];
	uint8_t codes[INPUT_TYPES][INPUT_BYTES(KEY_CNT)];
	struct input_absinfo abs[ABS_CNT];
};

/* How keys, switches and axes stand. */
struct input_state {
	uint8_t keys[INPUT_BYTES(KEY_CNT)];
	uint8_t switches[INPUT_BYTES(SW_CNT)];
	int32_t abs[ABS_CNT];
	int32_t slot; /* that events are for */
	int32_t mt[INPUT_MT_AXES][INPUT_SLOTS_MAX];
};

/* Errors are negative errnos. */
struct evdev_ops {
	/* Return: number of events, 0 when there are none for now */
	int (*read)(void *dev, struct input_event *events, unsigned int max);
	int (*write)(void *dev, const struct input_event *events, unsigned int count);

	/* How it stands now; @state holds values for what cannot be found out. */
	void (*get_state)(void *dev, const struct input_info *info, struct input_state *state);

	/* readable while there are events; -1: none to wait for */
	int (*event_fd)(void *dev);
};

struct evdev {
	const char *path;
	int fd;
};

extern const struct evdev_ops evdev_ops; /* of a struct evdev */

/**
 * evdev_open() - open the node and find out what it is
 * @dev:	filled in
 * @path:	/dev/input/eventN
 * @grab:	nobody else gets its events
 * @info:	filled in
 *
 * Return: 0, or a negative errno after a line that says why.
 */
int evdev_open(struct evdev *dev, const char *path, bool grab, struct input_info *info);
void evdev_close(struct evdev *dev);

/* input_slots() - how many touches at a time, 0: none are told apart */
unsigned int input_slots(const struct input_info *info);

#endif
