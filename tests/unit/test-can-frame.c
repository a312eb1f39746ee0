// SPDX-License-Identifier: BSD-3-Clause
/* CAN frames: as virtio has them, and as SocketCAN has them. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "can-frames.h"
#include "check.h"
#include "common/util.h"

static void test_kinds(void **state)
{
	static const struct {
		uint32_t id;
		uint8_t len;
		bool fd;
	} kinds[] = {
		{ 0, 0, false },
		{ CAN_SFF_MASK, 8, false },
		{ CAN_EFF_FLAG, 1, false },
		{ CAN_EFF_FLAG | CAN_EFF_MASK, 8, false },
		{ CAN_EFF_FLAG | 5, 3, false }, /* small, and extended all the same */
		{ CAN_RTR_FLAG | 0x123, 0, false },
		{ CAN_RTR_FLAG | CAN_EFF_FLAG | 0x123, 8, false },
		{ 0x7f, 64, true },
		{ CAN_EFF_FLAG | 0x12345678, 12, true },
		{ 1, 0, true },
	};
	struct can_message back;
	uint8_t buf[FRAME_MAX];
	size_t i, len;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct can_message m = message(kinds[i].id, kinds[i].len, kinds[i].fd);

		len = as_tx(&m, buf);
		assert_int_equal(len, sizeof(struct virtio_can_frame) + kinds[i].len);
		assert_int_equal(frame_from_virtio(buf, len, ALL_FEATURES, &back), 0);
		assert_true(frame_equal(&m, &back));
		if (kinds[i].id & CAN_RTR_FLAG) /* its data may be left out */
			assert_int_equal(frame_from_virtio(buf, sizeof(struct virtio_can_frame),
							   ALL_FEATURES, &back),
					 0);
	}
}

/* The text's layout, byte by byte */
static void test_layout(void **state)
{
	static const uint8_t want[] = { 0x01, 0x01, 3, 0, 0, 0, 0, 0, 0x00, 0xc0, 0, 0,
					0x78, 0x56, 0x34, 0x12, 0x78, 0x79, 0x7a };
	struct can_message m = message(CAN_EFF_FLAG | 0x12345678, 3, true);
	uint8_t buf[FRAME_MAX];

	(void)state;
	assert_int_equal(sizeof(struct virtio_can_frame), 16);
	assert_int_equal(frame_to_virtio(&m, buf), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static int refused(uint16_t type, uint16_t length, uint32_t flags, uint32_t id, size_t len,
		   uint64_t features)
{
	struct virtio_can_frame head = {
		.msg_type = htole16(type),
		.length = htole16(length),
		.flags = htole32(flags),
		.can_id = htole32(id),
	};
	uint8_t buf[FRAME_MAX] = { 0 };
	struct can_message m;

	memcpy(buf, &head, sizeof(head));
	return frame_from_virtio(buf, len, features, &m);
}

static void test_refused(void **state)
{
	const uint64_t all = ALL_FEATURES;
	const uint32_t fd = VIRTIO_CAN_FLAGS_FD, rtr = VIRTIO_CAN_FLAGS_RTR;
	const uint32_t ext = VIRTIO_CAN_FLAGS_EXTENDED;
	size_t len;

	(void)state;
	assert_int_equal(refused(VIRTIO_CAN_TX, 8, 0, 1, 24, all), 0);
	for (len = 0; len < 16; len++)
		assert_int_equal(refused(VIRTIO_CAN_TX, 0, 0, 1, len, all), -EPROTO);
	for (len = 16; len < 24; len++)
		assert_int_equal(refused(VIRTIO_CAN_TX, 8, 0, 1, len, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_RX, 8, 0, 1, 24, all), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 9, 0, 1, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0xffff, 0, 1, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 64, fd, 1, 80, all), 0);
	assert_int_equal(refused(VIRTIO_CAN_TX, 65, fd, 1, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 64, fd, 1, 79, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 9, rtr, 1, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, 0, 0x800, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, ext, 0x20000000, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, ext, 0xffffffff, 80, all), -ERANGE);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, fd | rtr, 1, 80, all), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, 0x1000, 1, 80, all), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, 0x80000000, 1, 80, all), -EPROTO);
	/* what was not negotiated */
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, 0, 1, 80, 2), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, fd, 1, 80, 2), 0);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, fd, 1, 80, 1), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, rtr, 1, 80, 1 | 2), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, rtr, 1, 80, 2 | 4), -EPROTO);
	assert_int_equal(refused(VIRTIO_CAN_TX, 0, rtr, 1, 80, 1 | 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
