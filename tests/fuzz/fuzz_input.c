// SPDX-License-Identifier: BSD-3-Clause
/*
 * The input device: its two queues and its config space. The input is the driver's memory with
 * both rings, what is selected in the config space, and the events of the device behind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/input/input.h"
#include "common/util.h"
#include "rig.h"

#define STATUS_RING 1024
#define STEPS 8
#define EVENTS 24
#define EVENT_BYTES 4

static struct rig rig = { .size = 8192, .avail = 256, .used = 512 };
static struct input_device input;
static const uint8_t *events; /* [EVENTS][EVENT_BYTES] */
static unsigned int taken;

static int mock_read(void *dev, struct input_event *event, unsigned int max)
{
	unsigned int n = 0;

	(void)dev;
	while (n < max && taken < EVENTS) {
		const uint8_t *bytes = &events[EVENT_BYTES * taken++];

		if (bytes[0] == 0xff)
			return bytes[1] == 0xff ? -EIO : (int)n;
		event[n++] = (struct input_event){
			.type = bytes[0] & 0x3f,
			.code = (uint16_t)(bytes[1] | bytes[2] << 8),
			.value = (int8_t)bytes[3],
		};
	}
	return (int)n;
}

/* Only what the device has may come through. */
static int mock_write(void *dev, const struct input_event *event, unsigned int count)
{
	(void)dev;
	if (count != 2 || event[1].type != EV_SYN || event[0].type >= INPUT_TYPES ||
	    !input_test_bit(input.info.codes[event[0].type], event[0].code))
		abort();
	return event[0].value & 1 ? -EIO : 0;
}

static void mock_get_state(void *dev, const struct input_info *info, struct input_state *state)
{
	(void)dev;
	(void)info;
	memcpy(state, rig.memory, MIN(sizeof(*state), rig.size));
}

static int mock_event_fd(void *dev)
{
	(void)dev;
	return -1;
}

static const struct evdev_ops mock_ops = {
	.read = mock_read,
	.write = mock_write,
	.get_state = mock_get_state,
	.event_fd = mock_event_fd,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	rig_init(&rig);
	return 0;
}

static int start(struct virtqueue *vq, uint64_t at, uint64_t features)
{
	const struct vq_setup setup = rig_setup(&rig, at, features);

	return vq_start(vq, &setup);
}

static void select_config(const uint8_t *select)
{
	struct virtio_input_config config;

	if (input_ops.set_config(&input, select, 0, 2))
		abort();
	input_ops.get_config(&input, &config, 0, sizeof(config));
	if (config.size > sizeof(config.u))
		abort();
}

static void run(uint64_t features)
{
	struct virtqueue eventq, statusq;
	unsigned int i;

	if (start(&eventq, 0, features))
		return;
	if (start(&statusq, STATUS_RING, features)) {
		vq_stop(&eventq);
		return;
	}
	input_eventq_start(&input, &eventq);
	for (i = 0; i < STEPS; i++) {
		input_eventq_work(&input);
		input_statusq_work(&input, &statusq);
	}
	input_eventq_stop(&input);
	vq_stop(&eventq);
	vq_stop(&statusq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t head = 1 + 2 + EVENTS * EVENT_BYTES;

	if (size < head)
		return 0;
	memset(&input, 0, sizeof(input));
	input.ops = &mock_ops;
	memset(&input.info, data[0] & 2 ? 0xff : 0x5a, sizeof(input.info));
	input.info.abs[ABS_MT_SLOT].maximum = data[0] & 4 ? (int32_t)(data[0] >> 3) : INT32_MAX;
	input.info.name[sizeof(input.info.name) - 1] = '\0';
	input.info.serial[sizeof(input.info.serial) - 1] = '\0';
	input_init(&input);
	events = data + 3;
	taken = 0;
	rig_fill(&rig, data + head, size - head);
	select_config(data + 1);
	run((data[0] & 1 ? BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) : 0) | rig_packed(data[0] & 128));
	return 0;
}
