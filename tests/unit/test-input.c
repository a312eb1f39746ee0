// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-input from inside: config selections, events both ways, on a device of our own. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/input/input.h"
#include "check.h"
#include "common/util.h"
#include "in-process.h"

#define NUM 64
#define EVENTS 4096

/* evdev's buffer, and how its device stands */
static struct mock {
	struct input_event events[EVENTS];
	unsigned int head, tail;
	int error; /* of the next read */
	struct input_state now;
	struct input_event written[16];
	unsigned int writes;
	int write_error;
} mock;

static struct world {
	struct ip_memory mem;
	struct ip_queue event, status;
	struct virtio_input_event *buffers; /* [NUM] */

} w;

static struct input_device input; /* too large for a stack */

static int mock_read(void *dev, struct input_event *events, unsigned int max)
{
	unsigned int n = 0;

	(void)dev;
	if (mock.error)
		return mock.error;
	while (n < max && mock.head < mock.tail)
		events[n++] = mock.events[mock.head++];
	return (int)n;
}

static int mock_write(void *dev, const struct input_event *events, unsigned int count)
{
	unsigned int i;

	(void)dev;
	if (mock.write_error)
		return mock.write_error;
	for (i = 0; i < count && mock.writes < ARRAY_SIZE(mock.written); i++)
		mock.written[mock.writes++] = events[i];
	return 0;
}

static void mock_get_state(void *dev, const struct input_info *info, struct input_state *state)
{
	(void)dev;
	(void)info;
	*state = mock.now;
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

static void happens(uint16_t type, uint16_t code, int32_t value)
{
	assert_true(mock.tail < EVENTS);
	mock.events[mock.tail++] =
		(struct input_event){ .type = type, .code = code, .value = value };
}

static void has(uint16_t type, uint16_t code)
{
	input_assign_bit(input.info.types, type, true);
	input_assign_bit(input.info.codes[type], code, true);
}

/* A keyboard and a touchscreen in one, for all there is to ask */
static void describe(void)
{
	struct input_info *info = &input.info;

	strcpy(info->name, "Keys and touches");
	strcpy(info->serial, "0042");
	info->id = (struct input_id){ BUS_USB, 0x1234, 0x5678, 0x0203 };
	input_assign_bit(info->props, INPUT_PROP_DIRECT, true);
	has(EV_KEY, KEY_A);
	has(EV_KEY, KEY_MICMUTE);
	has(EV_REL, REL_WHEEL);
	has(EV_MSC, MSC_SCAN);
	has(EV_SW, SW_LID);
	has(EV_LED, LED_CAPSL);
	has(EV_SND, SND_BELL);
	has(EV_REP, REP_DELAY);
	has(EV_REP, REP_PERIOD);
	has(EV_ABS, ABS_X);
	has(EV_ABS, ABS_MT_SLOT);
	has(EV_ABS, ABS_MT_POSITION_X);
	has(EV_ABS, ABS_MT_TRACKING_ID);
	info->abs[ABS_X] = (struct input_absinfo){ 7, -5, 4095, 2, 3, 40 };
	info->abs[ABS_MT_SLOT].maximum = 3;
}

static void give_buffers(unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct drv_buf buf = { NULL, sizeof(*w.buffers), true };
		/* the head that comes next is the first that is free */
		unsigned int next = w.event.ring.free_head;

		assert_true(w.event.ring.nfree > 0);
		buf.p = &w.buffers[next];
		assert_int_equal(drv_add(&w.event.ring, &buf, 1, false), next);
	}
}

static int begin(void **state)
{
	unsigned int slot;

	(void)state;
	memset(&w, 0, sizeof(w));
	memset(&mock, 0, sizeof(mock));
	memset(&input, 0, sizeof(input));
	for (slot = 0; slot < INPUT_SLOTS_MAX; slot++)
		mock.now.mt[ABS_MT_TRACKING_ID - INPUT_MT_FIRST][slot] = -1;
	input.ops = &mock_ops;
	describe();
	input_init(&input);
	assert_int_equal(ip_memory_init(&w.mem), 0);
	assert_int_equal(ip_queue_init(&w.event, &w.mem, NUM), 0);
	assert_int_equal(ip_queue_init(&w.status, &w.mem, 2 * VU_TURN), 0);
	w.buffers = drv_alloc(&w.mem.driver, NUM * sizeof(*w.buffers), 64);
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (input.eventq)
		input_eventq_stop(&input);
	ip_queue_finish(&w.event);
	ip_queue_finish(&w.status);
	ip_memory_finish(&w.mem);
	return 0;
}

static void start(void)
{
	input_eventq_start(&input, &w.event.vq);
	give_buffers(NUM);
	input_eventq_work(&input);
}

/* The next event that the driver gets */
static void expect(uint16_t type, uint16_t code, int32_t value)
{
	struct virtio_input_event *event;
	uint32_t len;
	int head = drv_get(&w.event.ring, &len);

	if (head < 0)
		fail_msg("expected event %u/%u %d, saw none", type, code, value);
	assert_int_equal(len, sizeof(*event));
	event = &w.buffers[head];
	if (le16toh(event->type) != type || le16toh(event->code) != code ||
	    (int32_t)le32toh(event->value) != value)
		fail_msg("expected event %u/%u %d, saw %u/%u %d", type, code, value,
			 le16toh(event->type), le16toh(event->code),
			 (int32_t)le32toh(event->value));
}

static void expect_none(void)
{
	assert_int_equal(drv_get(&w.event.ring, NULL), -1);
}

/* ---- config space ---- */

static void ask(uint8_t select, uint8_t subsel, struct virtio_input_config *config)
{
	/* one by one, as the driver writes them */
	assert_int_equal(input_ops.set_config(&input, &select, 0, 1), 0);
	assert_int_equal(input_ops.set_config(&input, &subsel, 1, 1), 0);
	input_ops.get_config(&input, config, 0, sizeof(*config));
	assert_int_equal(config->select, select);
	assert_int_equal(config->subsel, subsel);
}

static void check_size(uint8_t select, uint8_t subsel, unsigned int size)
{
	struct virtio_input_config config;
	unsigned int i;

	ask(select, subsel, &config);
	assert_int_equal(config.size, size);
	for (i = size; i < sizeof(config.u); i++)
		assert_int_equal(config.u.bitmap[i], 0);
}

static void test_config(void **state)
{
	struct virtio_input_config config;
	unsigned int select, subsel;

	(void)state;
	ask(VIRTIO_INPUT_CFG_ID_NAME, 0, &config);
	assert_int_equal(config.size, 16);
	assert_memory_equal(config.u.string, "Keys and touches", 17);
	ask(VIRTIO_INPUT_CFG_ID_SERIAL, 0, &config);
	assert_int_equal(config.size, 4);
	assert_memory_equal(config.u.string, "0042", 5);
	ask(VIRTIO_INPUT_CFG_ID_DEVIDS, 0, &config);
	assert_int_equal(config.size, 8);
	assert_memory_equal(&config.u, "\x03\0\x34\x12\x78\x56\x03\x02", 8);
	ask(VIRTIO_INPUT_CFG_PROP_BITS, 0, &config);
	assert_int_equal(config.size, 1);
	assert_int_equal(config.u.bitmap[0], 1U << INPUT_PROP_DIRECT);
	ask(VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, &config);
	assert_int_equal(config.size, KEY_MICMUTE / 8 + 1);
	assert_int_equal(config.u.bitmap[KEY_A / 8], 1U << KEY_A % 8);
	assert_int_equal(config.u.bitmap[KEY_MICMUTE / 8], 1U << KEY_MICMUTE % 8);
	ask(VIRTIO_INPUT_CFG_EV_BITS, EV_REP, &config);
	assert_int_equal(config.size, 1);
	assert_int_equal(config.u.bitmap[0], 3);
	ask(VIRTIO_INPUT_CFG_ABS_INFO, ABS_X, &config);
	assert_int_equal(config.size, 20);
	assert_int_equal((int32_t)le32toh(config.u.abs.min), -5);
	assert_int_equal(le32toh(config.u.abs.max), 4095);
	assert_int_equal(le32toh(config.u.abs.fuzz), 2);
	assert_int_equal(le32toh(config.u.abs.flat), 3);
	assert_int_equal(le32toh(config.u.abs.res), 40);
	check_size(VIRTIO_INPUT_CFG_EV_BITS, EV_LED, 1);
	check_size(VIRTIO_INPUT_CFG_EV_BITS, EV_SND, 1);
	/* what there is not */
	check_size(VIRTIO_INPUT_CFG_UNSET, 0, 0);
	check_size(VIRTIO_INPUT_CFG_ID_NAME, 1, 0);
	check_size(VIRTIO_INPUT_CFG_EV_BITS, EV_SYN, 0);
	check_size(VIRTIO_INPUT_CFG_EV_BITS, EV_FF, 0);
	check_size(VIRTIO_INPUT_CFG_ABS_INFO, ABS_Y, 0);
	for (select = 0; select < 256; select++) {
		for (subsel = 0; subsel < 256; subsel++)
			ask((uint8_t)select, (uint8_t)subsel, &config);
	}
	/* a front-end that writes all of it, and one that reads a part */
	memset(&config, 0xff, sizeof(config));
	config.select = VIRTIO_INPUT_CFG_EV_BITS;
	config.subsel = EV_SW;
	assert_int_equal(input_ops.set_config(&input, &config, 0, sizeof(config)), 0);
	input_ops.get_config(&input, &config, 2, 10);
	assert_memory_equal(&config, "\1\0\0\0\0\0\1\0\0", 9);
	input_ops.reset(&input);
	input_ops.get_config(&input, &config, 0, 3);
	assert_memory_equal(&config, "\0\0\0", 3);
}

/* ---- to the driver ---- */

static void test_events(void **state)
{
	(void)state;
	happens(EV_KEY, KEY_A, 1); /* before the driver was there: not for it */
	happens(EV_SYN, SYN_REPORT, 0);
	start();
	expect_none();
	happens(EV_MSC, MSC_SCAN, 30);
	happens(EV_KEY, KEY_A, 1);
	happens(EV_SYN, SYN_REPORT, 0);
	happens(EV_KEY, KEY_A, 2); /* the driver repeats by itself */
	happens(EV_SYN, SYN_REPORT, 1);
	happens(EV_LED, LED_CAPSL, 1); /* the driver's own doing */
	happens(EV_SND, SND_BELL, 1);
	happens(EV_REP, REP_DELAY, 300);
	happens(EV_SYN, SYN_REPORT, 0);
	happens(EV_REL, REL_WHEEL, -3);
	happens(EV_KEY, KEY_A, 0);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	expect(EV_MSC, MSC_SCAN, 30);
	expect(EV_KEY, KEY_A, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect(EV_REL, REL_WHEEL, -3);
	expect(EV_KEY, KEY_A, 0);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
}

/* A device that does not repeat by itself: what it sends is for the driver. */
static void test_repeats(void **state)
{
	(void)state;
	input_assign_bit(input.info.types, EV_REP, false);
	start();
	happens(EV_KEY, KEY_A, 2);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	expect(EV_KEY, KEY_A, 2);
	expect(EV_SYN, SYN_REPORT, 0);
}

/* More than there are buffers: nothing is lost, nothing comes out of order. */
static void test_few_buffers(void **state)
{
	int32_t i, next = 0;

	(void)state;
	input_eventq_start(&input, &w.event.vq);
	input_eventq_work(&input);
	for (i = 0; i < 1000; i++)
		happens(EV_REL, REL_WHEEL, i);
	happens(EV_SYN, SYN_REPORT, 0);
	while (next < 1000) {
		int32_t given = next % 7 + 1;

		give_buffers((unsigned int)given);
		input_eventq_work(&input);
		for (i = 0; i < given && next < 1000; i++)
			expect(EV_REL, REL_WHEEL, next++);
	}
	give_buffers(1);
	input_eventq_work(&input);
	expect(EV_SYN, SYN_REPORT, 0);
}

/* The ring is stopped and started in between, as for a change of the memory table. */
static void test_restart(void **state)
{
	(void)state;
	start();
	happens(EV_KEY, KEY_A, 1);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_stop(&input);
	input_eventq_start(&input, &w.event.vq);
	input_eventq_work(&input);
	expect(EV_KEY, KEY_A, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
}

static void set_slot(int slot, int id, int x)
{
	mock.now.mt[ABS_MT_TRACKING_ID - INPUT_MT_FIRST][slot] = id;
	mock.now.mt[ABS_MT_POSITION_X - INPUT_MT_FIRST][slot] = x;
}

/* How the device stands when the driver comes: axes, switches, touches, but no keys. */
static void test_beginning(void **state)
{
	(void)state;
	mock.now.abs[ABS_X] = 77;
	input_assign_bit(mock.now.switches, SW_LID, true);
	input_assign_bit(mock.now.keys, KEY_A, true);
	set_slot(2, 0, 500);
	start();
	expect(EV_ABS, ABS_MT_SLOT, 2);
	expect(EV_ABS, ABS_MT_POSITION_X, 500);
	expect(EV_ABS, ABS_MT_TRACKING_ID, 0);
	expect(EV_ABS, ABS_MT_SLOT, 0);
	expect(EV_ABS, ABS_X, 77);
	expect(EV_SW, SW_LID, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
}

/*
 * Another driver, of which the front-end says nothing (QEMU before 8.2, as a guest boots again): it
 * knows nothing either. One that was only stopped does.
 */
static void test_another_driver(void **state)
{
	(void)state;
	mock.now.slot = 2;
	mock.now.abs[ABS_MT_SLOT] = 2;
	input_assign_bit(mock.now.switches, SW_LID, true);
	start();
	expect(EV_ABS, ABS_MT_SLOT, 2);
	expect(EV_SW, SW_LID, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	input_eventq_stop(&input);
	input_eventq_start(&input, &w.event.vq);
	happens(EV_KEY, KEY_MICMUTE, 1);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	expect(EV_KEY, KEY_MICMUTE, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
	input_eventq_stop(&input);
	ip_queue_finish(&w.event);
	assert_int_equal(ip_queue_init(&w.event, &w.mem, NUM), 0);
	happens(EV_KEY, KEY_A, 1); /* before it was there */
	happens(EV_SYN, SYN_REPORT, 0);
	start();
	expect(EV_ABS, ABS_MT_SLOT, 2);
	expect(EV_SW, SW_LID, 1);
	/* in case that it is the same driver after all */
	expect(EV_KEY, KEY_MICMUTE, 0);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
}

/* evdev's buffer overflowed: the driver is told the difference, and no torn frame. */
static void test_dropped(void **state)
{
	(void)state;
	start();
	happens(EV_KEY, KEY_A, 1);
	happens(EV_ABS, ABS_MT_SLOT, 1);
	happens(EV_ABS, ABS_MT_TRACKING_ID, 5);
	happens(EV_ABS, ABS_MT_POSITION_X, 10);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	expect(EV_KEY, KEY_A, 1);
	expect(EV_ABS, ABS_MT_SLOT, 1);
	expect(EV_ABS, ABS_MT_TRACKING_ID, 5);
	expect(EV_ABS, ABS_MT_POSITION_X, 10);
	expect(EV_SYN, SYN_REPORT, 0);
	happens(EV_SYN, SYN_DROPPED, 0);
	happens(EV_ABS, ABS_X, 1); /* the rest of a frame whose beginning is lost */
	input_eventq_work(&input);
	expect_none();
	mock.now.abs[ABS_X] = 20;
	mock.now.slot = 1;
	input_assign_bit(mock.now.keys, KEY_MICMUTE, true);
	set_slot(1, -1, 10);
	set_slot(3, 6, 30);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	happens(EV_KEY, KEY_MICMUTE, 0);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	expect(EV_ABS, ABS_MT_TRACKING_ID, -1);
	expect(EV_ABS, ABS_MT_SLOT, 3);
	expect(EV_ABS, ABS_MT_POSITION_X, 30);
	expect(EV_ABS, ABS_MT_TRACKING_ID, 6);
	expect(EV_ABS, ABS_MT_SLOT, 1);
	expect(EV_ABS, ABS_X, 20);
	expect(EV_KEY, KEY_A, 0);
	expect(EV_KEY, KEY_MICMUTE, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect(EV_KEY, KEY_MICMUTE, 0);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
}

/*
 * Events behind the overflow are older than how the device stands, and of those that it still has
 * when it is asked evdev drops the keys: none of them is told.
 */
static void test_stale_after_overflow(void **state)
{
	(void)state;
	start();
	happens(EV_SYN, SYN_DROPPED, 0);
	happens(EV_SYN, SYN_REPORT, 0);
	happens(EV_KEY, KEY_A, 1); /* its release is what evdev drops */
	happens(EV_ABS, ABS_MT_POSITION_X, 77); /* of slot 0 */
	happens(EV_SYN, SYN_REPORT, 0);
	mock.now.slot = 2;
	mock.now.abs[ABS_MT_SLOT] = 2;
	set_slot(2, 6, 30);
	input_eventq_work(&input);
	expect(EV_ABS, ABS_MT_SLOT, 2);
	expect(EV_ABS, ABS_MT_POSITION_X, 30);
	expect(EV_ABS, ABS_MT_TRACKING_ID, 6);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
	happens(EV_ABS, ABS_MT_POSITION_X, 31);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	expect(EV_ABS, ABS_MT_POSITION_X, 31);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_none();
}

/* Everything at once differs: it fits. */
static void test_most(void **state)
{
	unsigned int i, axis, events = 0;
	uint32_t len;

	(void)state;
	start();
	for (i = ABS_MT_SLOT; i < ABS_CNT; i++)
		has(EV_ABS, (uint16_t)i);
	input.info.abs[ABS_MT_SLOT].maximum = INT32_MAX;
	for (i = 0; i < INPUT_SLOTS_MAX; i++) {
		for (axis = 0; axis < INPUT_MT_AXES; axis++)
			mock.now.mt[axis][i] = 1000;
	}
	memset(mock.now.keys, 0xff, sizeof(mock.now.keys));
	memset(mock.now.switches, 0xff, sizeof(mock.now.switches));
	for (i = 0; i < ABS_MT_SLOT; i++)
		mock.now.abs[i] = 1;
	happens(EV_SYN, SYN_DROPPED, 0);
	happens(EV_SYN, SYN_REPORT, 0);
	do {
		input_eventq_work(&input);
		while (drv_get(&w.event.ring, &len) >= 0) {
			events++;
			give_buffers(1);
		}
	} while (input.head < input.tail);
	print_message("%u events\n", events);
	assert_in_range(events, INPUT_SLOTS_MAX * INPUT_MT_AXES + KEY_CNT, INPUT_PENDING - 1);
	assert_memory_equal(input.told.keys, mock.now.keys, sizeof(mock.now.keys));
	assert_memory_equal(input.told.mt, mock.now.mt, sizeof(mock.now.mt));
}

static void test_small_buffers(void **state)
{
	struct drv_buf small = { w.buffers, 7, true }, readable = { w.buffers, 8, false };
	uint32_t len;

	(void)state;
	input_eventq_start(&input, &w.event.vq);
	assert_true(drv_add(&w.event.ring, &small, 1, false) >= 0);
	assert_true(drv_add(&w.event.ring, &readable, 1, false) >= 0);
	give_buffers(2);
	happens(EV_KEY, KEY_A, 1);
	happens(EV_SYN, SYN_REPORT, 0);
	input_eventq_work(&input);
	assert_true(drv_get(&w.event.ring, &len) >= 0);
	assert_int_equal(len, 0);
	assert_true(drv_get(&w.event.ring, &len) >= 0);
	assert_int_equal(len, 0);
	expect(EV_KEY, KEY_A, 1);
	expect(EV_SYN, SYN_REPORT, 0);
}

static void test_gone(void **state)
{
	(void)state;
	start();
	mock.error = -ENODEV;
	input_eventq_work(&input);
	assert_true(input.gone);
	expect_none();
}

/* ---- back from the driver ---- */

static void send_status(uint16_t type, uint16_t code, int32_t value)
{
	struct virtio_input_event *event = w.buffers;
	struct drv_buf buf = { event, sizeof(*event), false };
	uint32_t len;

	event->type = htole16(type);
	event->code = htole16(code);
	event->value = htole32((uint32_t)value);
	assert_true(drv_add(&w.status.ring, &buf, 1, false) >= 0);
	input_statusq_work(&input, &w.status.vq);
	assert_true(drv_get(&w.status.ring, &len) >= 0);
	assert_int_equal(len, 0);
}

static void check_status(uint16_t type, uint16_t code, int32_t value)
{
	mock.writes = 0;
	send_status(type, code, value);
	assert_int_equal(mock.writes, 2);
	assert_int_equal(mock.written[0].type, type);
	assert_int_equal(mock.written[0].code, code);
	assert_int_equal(mock.written[0].value, value);
	assert_int_equal(mock.written[1].type, EV_SYN);
}

static void test_status(void **state)
{
	struct drv_buf small = { w.buffers, 7, false };

	(void)state;
	check_status(EV_LED, LED_CAPSL, 1);
	check_status(EV_LED, LED_CAPSL, 0);
	check_status(EV_SND, SND_BELL, 1);
	check_status(EV_REP, REP_PERIOD, 50);
	mock.writes = 0;
	send_status(EV_LED, LED_NUML, 1); /* it has no such LED */
	send_status(EV_LED, 0xffff, 1);
	send_status(EV_MSC, MSC_SCAN, 30); /* an echo */
	send_status(EV_KEY, KEY_A, 1); /* nobody may type by this way */
	send_status(EV_SYN, SYN_REPORT, 0);
	send_status(0xffff, 0xffff, -1);
	assert_true(drv_add(&w.status.ring, &small, 1, false) >= 0);
	input_statusq_work(&input, &w.status.vq);
	assert_true(drv_get(&w.status.ring, NULL) >= 0);
	assert_int_equal(mock.writes, 0);
	mock.write_error = -EBADF;
	send_status(EV_LED, LED_CAPSL, 1);
}

/* A driver that has always more gets answers turn by turn: there are others in the loop. */
static void test_turns(void **state)
{
	struct drv_buf buf = { w.buffers, sizeof(*w.buffers), false };
	unsigned int i, answers;

	(void)state;
	*w.buffers = (struct virtio_input_event){ htole16(EV_LED), htole16(LED_CAPSL), htole32(1) };
	for (i = 0; i < VU_TURN + 3; i++)
		assert_true(drv_add(&w.status.ring, &buf, 1, false) >= 0);
	assert_true(input_statusq_work(&input, &w.status.vq));
	for (answers = 0; drv_get(&w.status.ring, NULL) >= 0; answers++)
		;
	assert_int_equal(answers, VU_TURN);
	assert_false(input_statusq_work(&input, &w.status.vq));
	for (; drv_get(&w.status.ring, NULL) >= 0; answers++)
		;
	assert_int_equal(answers, VU_TURN + 3);
}

#define INPUT_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		INPUT_TEST(test_config),      INPUT_TEST(test_events),
		INPUT_TEST(test_repeats),     INPUT_TEST(test_few_buffers),
		INPUT_TEST(test_restart),     INPUT_TEST(test_beginning),
		INPUT_TEST(test_dropped),     INPUT_TEST(test_most),
		INPUT_TEST(test_stale_after_overflow), INPUT_TEST(test_another_driver),
		INPUT_TEST(test_small_buffers), INPUT_TEST(test_gone),
		INPUT_TEST(test_status),	INPUT_TEST(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
