// SPDX-License-Identifier: BSD-3-Clause
/* The codec of the display socket, and the monitor's description. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "raw-peer.h"
#include "vhost-user/edid.h"
#include "vhost-user/gpu-message.h"

static int pair[2];

static int open_pair(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	(void)state;
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return 0;
}

/* ---- the codec ---- */

static int receive(enum vgpu_kind kind, struct vgpu_message *msg)
{
	struct vgpu_reader reader;
	int ret;

	vgpu_reader_init(&reader);
	ret = vgpu_reader_read(&reader, pair[1], kind, msg);
	vgpu_reader_finish(&reader);
	return ret;
}

static void send_message(const struct vgpu_message *msg)
{
	struct vgpu_writer writer;

	vgpu_writer_init(&writer);
	vgpu_writer_start(&writer, msg);
	assert_int_equal(vgpu_writer_write(&writer, pair[0]), 0);
}

static void send_raw(uint32_t request, uint32_t flags, uint32_t size, const void *data, size_t len)
{
	struct vgpu_header header = { request, flags, size };

	assert_int_equal(send(pair[0], &header, sizeof(header), 0), sizeof(header));
	if (len)
		assert_int_equal(send(pair[0], data, len, 0), len);
}

/* Each message type comes out as it went in, requests and replies. */
static void test_round_trip(void **state)
{
	struct vgpu_message msg, back;
	uint32_t request;
	unsigned int kind;

	(void)state;
	for (request = 1; request < VGPU_REQUEST_COUNT; request++) {
		for (kind = VGPU_REQUEST; kind <= VGPU_REPLY; kind++) {
			if (request == VGPU_UPDATE ||
			    (kind == VGPU_REPLY && !vgpu_request_has_reply(request)))
				continue;
			vgpu_message_init(&msg, kind, request);
			memset(msg.payload.bytes, 0x5a, msg.header.size);
			send_message(&msg);
			assert_int_equal(receive(kind, &back), 0);
			assert_int_equal(back.header.request, request);
			assert_int_equal(back.header.size, msg.header.size);
			assert_memory_equal(back.payload.bytes, msg.payload.bytes, msg.header.size);
			assert_int_equal(back.fd, -1);
			vgpu_message_finish(&back);
		}
	}
}

static void test_pixels(void **state)
{
	const struct vgpu_update update = { .width = 300, .height = 41 };
	struct vgpu_message msg, back;
	unsigned int i;

	(void)state;
	assert_int_equal(vgpu_message_init_update(&msg, &update), 0);
	for (i = 0; i < 300 * 41; i++)
		msg.pixels[i] = i * 2654435761U;
	assert_int_equal(vgpu_pixels_size(&msg), 300 * 41 * 4);
	assert_true(vgpu_pixels_size(&msg) > 4096);
	send_message(&msg);
	assert_int_equal(receive(VGPU_REQUEST, &back), 0);
	for (i = 0; i < 300 * 41; i++)
		assert_int_equal(back.pixels[i], i * 2654435761U);
	vgpu_message_finish(&back);
}

/* A large one fills the socket: both sides go on where they were. */
static void test_pieces(void **state)
{
	const struct vgpu_update update = { .width = 1920, .height = 1080 };
	struct vgpu_writer writer;
	struct vgpu_reader reader;
	struct vgpu_message msg, back;
	unsigned int waits = 0;
	int ret, got = -EAGAIN;

	(void)state;
	assert_int_equal(vgpu_message_init_update(&msg, &update), 0);
	memset(msg.pixels, 0x33, vgpu_pixels_size(&msg));
	vgpu_writer_init(&writer);
	vgpu_reader_init(&reader);
	vgpu_writer_start(&writer, &msg);
	while (got) {
		ret = vgpu_writer_write(&writer, pair[0]);
		assert_true(ret == 0 || ret == -EAGAIN);
		waits += ret == -EAGAIN;
		got = vgpu_reader_read(&reader, pair[1], VGPU_REQUEST, &back);
		assert_true(got == 0 || got == -EAGAIN);
	}
	print_message("the writer had to wait %u times\n", waits);
	assert_true(waits > 0);
	assert_int_equal(back.pixels[1920 * 1080 - 1], 0x33333333);
	vgpu_message_finish(&back);
	vgpu_writer_finish(&writer);
	vgpu_reader_finish(&reader);
}

static void test_descriptor(void **state)
{
	struct vgpu_message msg, back;
	int fd;

	(void)state;
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_DMABUF_SCANOUT2);
	msg.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	send_message(&msg);
	assert_int_equal(receive(VGPU_REQUEST, &back), 0);
	fd = vgpu_message_take_fd(&back);
	assert_true(fd >= 0);
	assert_int_equal(back.fd, -1);
	close(fd);
	/* not with a message that has none */
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_SCANOUT);
	msg.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	send_message(&msg);
	assert_int_equal(receive(VGPU_REQUEST, &back), -EPROTO);
}

/* Sends bytes with descriptors, as a hostile peer would. */
static void send_fds(const void *bytes, size_t len, unsigned int nfds)
{
	_cleanup_close_ int fd = memfd_create("unwanted", MFD_CLOEXEC);

	assert_int_equal(raw_peer_send(pair[0], bytes, len, fd, nfds), len);
}

/* One is kept. More are closed, however many, and whether they come at once or one by one. */
static void test_too_many_descriptors(void **state)
{
	static const unsigned int counts[] = { 2, 8, 9, 16, 17, 64 };
	struct vgpu_message msg;
	int fds = open_fds();
	unsigned int i;

	(void)state;
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_DMABUF_SCANOUT);
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		send_fds(&msg.header, sizeof(msg.header), counts[i]);
		assert_int_equal(receive(VGPU_REQUEST, &msg), -EPROTO);
		assert_int_equal(open_fds(), fds);
	}
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_DMABUF_SCANOUT);
	send_fds(&msg.header, sizeof(msg.header), 1);
	send_fds(&msg.payload, msg.header.size, 1);
	assert_int_equal(receive(VGPU_REQUEST, &msg), -EPROTO);
	assert_int_equal(open_fds(), fds);
}

/*
 * A pipe's end that is kept nowhere else goes with a header that has none, or with what is behind
 * one. Nobody closes it: that could take for ever.
 */
static void unwanted_pipe(bool behind)
{
	struct vgpu_message msg, back;
	struct pollfd pfd = { 0 };
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_CURSOR_POS);
	assert_int_equal(raw_peer_send(pair[0], &msg.header, sizeof(msg.header), ends[1], !behind),
			 sizeof(msg.header));
	assert_int_equal(raw_peer_send(pair[0], &msg.payload, msg.header.size, ends[1], behind),
			 msg.header.size);
	close(ends[1]);
	assert_int_equal(receive(VGPU_REQUEST, &back), -EPROTO);
	pfd.fd = ends[0];
	assert_int_equal(poll(&pfd, 1, 0), 0);
	close(ends[0]);
}

static void test_unwanted_descriptor(void **state)
{
	(void)state;
	unwanted_pipe(false);
	close_pair(NULL);
	assert_int_equal(open_pair(NULL), 0);
	unwanted_pipe(true);
}

static void test_wrong_sizes(void **state)
{
	struct vgpu_message msg;
	uint32_t request;

	(void)state;
	for (request = 1; request < VGPU_REQUEST_COUNT; request++) {
		static const uint32_t others[] = { 1, 7, 9, 4097, 0x7fffffff, 0xffffffff };
		unsigned int i;

		for (i = 0; i < ARRAY_SIZE(others); i++) {
			if (request == VGPU_UPDATE && others[i] == 4097)
				continue; /* its rectangle says */
			send_raw(request, 0, others[i], NULL, 0);
			assert_int_equal(receive(VGPU_REQUEST, &msg), -EPROTO);
		}
	}
	send_raw(0, 0, 0, NULL, 0);
	assert_int_equal(receive(VGPU_REQUEST, &msg), -EOPNOTSUPP);
	send_raw(VGPU_REQUEST_COUNT, 0, 0, NULL, 0);
	assert_int_equal(receive(VGPU_REQUEST, &msg), -EOPNOTSUPP);
	/* a reply where a request is due, and the other way round; one that there is not */
	send_raw(VGPU_DMABUF_UPDATE, VGPU_FLAG_REPLY, 0, NULL, 0);
	assert_int_equal(receive(VGPU_REQUEST, &msg), -EPROTO);
	send_raw(VGPU_GET_DISPLAY_INFO, 0, 0, NULL, 0);
	assert_int_equal(receive(VGPU_REPLY, &msg), -EPROTO);
	send_raw(VGPU_SCANOUT, VGPU_FLAG_REPLY, 0, NULL, 0);
	assert_int_equal(receive(VGPU_REPLY, &msg), -EPROTO);
}

static void test_wrong_rectangles(void **state)
{
	static const struct vgpu_update wrong[] = {
		{ .width = 2, .height = 1 },	      { .width = 0, .height = 0 },
		{ .width = 0x80000001, .height = 2 }, { .width = 0x10000, .height = 0x10000 },
		{ .width = 0x40000001, .height = 1 }, { .width = 1, .height = 0xffffffff },
	};
	struct vgpu_message msg;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		send_raw(VGPU_UPDATE, 0, 24, &wrong[i], sizeof(wrong[i]));
		assert_int_equal(receive(VGPU_REQUEST, &msg), -EPROTO);
		assert_int_equal(vgpu_message_init_update(&msg, &wrong[i]),
				 i == 0 ? 0 : -EINVAL);
		if (i == 0)
			vgpu_message_finish(&msg);
	}
}

static void test_end(void **state)
{
	struct vgpu_message msg;
	struct vgpu_writer writer;
	struct vgpu_header header = { VGPU_SCANOUT, 0, 12 };

	(void)state;
	assert_int_equal(receive(VGPU_REQUEST, &msg), -EAGAIN);
	assert_int_equal(send(pair[0], &header, sizeof(header), 0), sizeof(header));
	fd_close(&pair[0]);
	assert_int_equal(receive(VGPU_REQUEST, &msg), -ECONNRESET);
	/* the same for who sends */
	vgpu_writer_init(&writer);
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_SCANOUT);
	vgpu_writer_start(&writer, &msg);
	assert_int_equal(vgpu_writer_write(&writer, pair[1]), -ECONNRESET);
	vgpu_writer_finish(&writer);
}

/* ---- EDID ---- */

/* One block, taken apart by the document */
static void check_edid(uint32_t width, uint32_t height)
{
	struct edid_info info = { width, height, 7, "virtio-loop" };
	uint8_t edid[EDID_SIZE], sum = 0;
	uint32_t w, h, hblank, vblank, clock;
	unsigned int i, hz;

	edid_generate(&info, edid);
	for (i = 0; i < EDID_SIZE; i++)
		sum = (uint8_t)(sum + edid[i]);
	assert_int_equal(sum, 0);
	assert_int_equal(edid[18], 1);
	assert_int_equal(edid[19], 4);
	assert_int_equal(edid[126], 0);
	assert_int_equal(edid_preferred(edid, &w, &h), 0);
	assert_int_equal(w, width);
	assert_int_equal(h, height);
	clock = edid[54] | (uint32_t)edid[55] << 8;
	hblank = edid[57] | (edid[58] & 0xfU) << 8;
	vblank = edid[60] | (edid[61] & 0xfU) << 8;
	hz = (clock * 10000 + (w + hblank) * (h + vblank) / 2) / ((w + hblank) * (h + vblank));
	print_message("%u x %u: %u.%02u MHz, blank %u x %u, %u Hz\n", w, h, clock / 100,
		      clock % 100, hblank, vblank, hz);
	assert_in_range(hz, 20, 60);
	if (width <= 1920)
		assert_int_equal(hz, 60);
	assert_int_equal(edid[72 + 3], 0xfc);
	assert_memory_equal(edid + 72 + 5, "virtio-loop\n", 12);
	edid[70] ^= 1;
	assert_int_equal(edid_preferred(edid, &w, &h), -EINVAL);
}

static void test_edid(void **state)
{
	(void)state;
	check_edid(640, 480);
	check_edid(1280, 800);
	check_edid(1920, 1080);
	check_edid(3840, 2160);
	check_edid(EDID_MAX_SIDE, EDID_MAX_SIDE);
	check_edid(EDID_MIN_SIDE, EDID_MIN_SIDE);
}

/* No mode is offered that is larger than the preferred one. */
static void test_edid_smaller_modes(void **state)
{
	struct edid_info info = { 1280, 800, 1, "x" };
	uint8_t edid[EDID_SIZE];

	(void)state;
	edid_generate(&info, edid);
	assert_int_equal(edid[35], 0x21);
	assert_int_equal(edid[36], 0x08);
	assert_int_equal(edid[38], 1280 / 8 - 31);
	assert_int_equal(edid[39], 3 << 6); /* 1280 x 720 */
	assert_int_equal(edid[40], 1);
	info.width = 640;
	info.height = 400;
	edid_generate(&info, edid);
	assert_int_equal(edid[35], 0);
	assert_int_equal(edid[36], 0);
	assert_int_equal(edid[38], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_PAIR(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
		ON_PAIR(test_round_trip),
		ON_PAIR(test_pixels),
		ON_PAIR(test_pieces),
		ON_PAIR(test_descriptor),
		ON_PAIR(test_too_many_descriptors),
		ON_PAIR(test_unwanted_descriptor),
		ON_PAIR(test_wrong_sizes),
		ON_PAIR(test_wrong_rectangles),
		ON_PAIR(test_end),
		cmocka_unit_test(test_edid),
		cmocka_unit_test(test_edid_smaller_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
