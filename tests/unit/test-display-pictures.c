// SPDX-License-Identifier: BSD-3-Clause
/* The display, from both of its sockets: what a back-end sends is what is seen, to the pixel. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "common/deadline.h"
#include "common/util.h"
#include "display-thread.h"
#include "vhost-user/edid.h"

static struct display_thread dt;
static char dir[64], mode[80], path[128];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test-display.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(mode, sizeof(mode), "png=%s/out", dir);
	return 0;
}

static int remove_dir(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static const char *file(const char *name)
{
	snprintf(path, sizeof(path), "%s/out/%s", dir, name);
	return path;
}

/* Waits until all that was sent before has been done. */
static void settle(int sock)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_DISPLAY_INFO);
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
}

static uint32_t rgb_at(const uint8_t *rgb, uint32_t width, uint32_t x, uint32_t y)
{
	const uint8_t *p = rgb + 3 * ((size_t)y * width + x);

	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static void check_picture(const char *name, uint32_t width, uint32_t height, struct vgpu_update in,
			  uint32_t seed, uint32_t outer)
{
	uint32_t w, h, x, y;
	uint8_t *rgb = dt_png(file(name), &w, &h);

	assert_int_equal(w, width);
	assert_int_equal(h, height);
	for (y = 0; y < h; y++) {
		for (x = 0; x < w; x++) {
			bool within = x - in.x < in.width && y - in.y < in.height;
			uint32_t expected = within ? dt_pattern(x, y, seed) :
						     dt_pattern(x, y, outer);

			if (rgb_at(rgb, w, x, y) != expected)
				fail_msg("%s at %u, %u: expected %06x, saw %06x", name, x, y,
					 expected, rgb_at(rgb, w, x, y));
		}
	}
	free(rgb);
}

/* ---- questions ---- */

static void test_questions(void **state)
{
	struct vgpu_message msg;
	uint32_t w, h;
	int sock;

	(void)state;
	dt_start(&dt, "none", 2, 1024, 768);
	sock = dt_hand_over(&dt);
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_PROTOCOL_FEATURES);
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
	assert_int_equal(msg.payload.u64, 3);
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_SET_PROTOCOL_FEATURES);
	msg.payload.u64 = 3;
	dt_send(sock, &msg);
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_DISPLAY_INFO);
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
	assert_int_equal(le32toh(msg.payload.display_info.hdr.type),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(le32toh(msg.payload.display_info.pmodes[1].enabled), 1);
	assert_int_equal(le32toh(msg.payload.display_info.pmodes[1].r.x), 1024);
	assert_int_equal(le32toh(msg.payload.display_info.pmodes[1].r.height), 768);
	assert_int_equal(le32toh(msg.payload.display_info.pmodes[2].enabled), 0);
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_EDID);
	msg.payload.edid_request.scanout_id = 1;
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
	assert_int_equal(le32toh(msg.payload.edid.size), EDID_SIZE);
	assert_int_equal(edid_preferred(msg.payload.edid.edid, &w, &h), 0);
	assert_int_equal(w, 1024);
	assert_int_equal(h, 768);
	/* a head that there is not has none, and an answer */
	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_EDID);
	msg.payload.edid_request.scanout_id = 2;
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
	assert_int_equal(le32toh(msg.payload.edid.size), 0);
	close(sock);
	dt_stop(&dt);
}

/* ---- pictures ---- */

static void test_png(void **state)
{
	const struct vgpu_update all = { 0, 0, 0, 300, 200 }, part = { 0, 10, 20, 100, 50 };
	int sock;

	(void)state;
	dt_start(&dt, mode, 1, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 300, 200);
	dt_update(sock, all, 1);
	check_picture("head0-000001.png", 300, 200, all, 1, 1);
	dt_update(sock, part, 2);
	check_picture("head0-000002.png", 300, 200, part, 2, 1);
	settle(sock); /* the newest gets its name after that */
	check_picture("head0.png", 300, 200, part, 2, 1);
	/* the same picture again is no new frame, and neither is one that is off */
	dt_update(sock, part, 2);
	dt_scanout(sock, 0, 0, 0);
	settle(sock);
	dt_stop(&dt);
	assert_int_equal(access(file("head0-000003.png"), F_OK), -1);
	assert_int_equal(access(file(".virtio-loopback-display.tmp"), F_OK), -1);
	close(sock);
}

/* What was shown is written, also when it was there for a moment only. */
static void test_png_short(void **state)
{
	const struct vgpu_update all = { 1, 0, 0, 64, 48 };
	int sock;

	(void)state;
	dt_start(&dt, mode, 2, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 1, 64, 48);
	dt_update(sock, all, 5);
	dt_scanout(sock, 1, 0, 0);
	settle(sock);
	check_picture("head1-000001.png", 64, 48, all, 5, 5);
	assert_int_equal(access(file("head0.png"), F_OK), -1);
	close(sock);
	dt_stop(&dt);
}

static unsigned int count_files(unsigned int most)
{
	unsigned int i, files = 0;
	char name[40];

	for (i = 1; i <= most; i++) {
		snprintf(name, sizeof(name), "head0-%06u.png", i);
		files += access(file(name), F_OK) == 0;
	}
	return files;
}

/* A burst is one frame or a few, and the last one is the last. */
static void test_png_burst(void **state)
{
	const struct vgpu_update all = { 0, 0, 0, 320, 200 };
	unsigned int i, files;
	int sock;

	(void)state;
	dt_start(&dt, mode, 1, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 320, 200);
	for (i = 0; i < 100; i++)
		dt_update(sock, all, i);
	settle(sock);
	dt_stop(&dt);
	check_picture("head0.png", 320, 200, all, 99, 99);
	files = count_files(100);
	print_message("100 updates gave %u files\n", files);
	assert_in_range(files, 1, 50);
	close(sock);
}

/* Sizes that alternate give five files a second, and the last of them in the end. */
static void test_png_sizes(void **state)
{
	uint64_t began = now_ns(), seconds;
	unsigned int i, files;
	int sock;

	(void)state;
	dt_start(&dt, mode, 1, 640, 480);
	sock = dt_hand_over(&dt);
	for (i = 0; i < 1000; i++) {
		const struct vgpu_update all = { 0, 0, 0, 32 + i % 2, 24 };

		dt_scanout(sock, 0, all.width, all.height);
		dt_update(sock, all, i);
	}
	settle(sock);
	poll(NULL, 0, 1500); /* its turn is within a second */
	check_picture("head0.png", 33, 24, (struct vgpu_update){ 0 }, 0, 999);
	seconds = (now_ns() - began) / 1000000000U;
	dt_stop(&dt);
	files = count_files(1000);
	if (files < 1 || files > 5 * (seconds + 1))
		fail_msg("1000 sizes in %u s: expected 1 to %u files, saw %u",
			 (unsigned int)seconds, 5 * ((unsigned int)seconds + 1), files);
	close(sock);
}

static void send_cursor(int sock, uint32_t request, int32_t x, int32_t y, uint32_t colour)
{
	struct vgpu_message msg;
	unsigned int i;

	vgpu_message_init(&msg, VGPU_REQUEST, request);
	msg.payload.cursor_pos = (struct vgpu_cursor_pos){ 0, (uint32_t)x, (uint32_t)y };
	if (request == VGPU_CURSOR_UPDATE) {
		for (i = 0; i < 64 * 64; i++)
			msg.payload.cursor_update.data[i] = colour;
	}
	dt_send(sock, &msg);
}

static uint32_t shown(uint32_t x, uint32_t y)
{
	struct rect one = { x, y, 1, 1 };
	uint32_t pixel;

	head_compose(&dt.display.heads[0], &one, &pixel, 1);
	return pixel;
}

static void test_cursor(void **state)
{
	const struct vgpu_update all = { 0, 0, 0, 200, 100 };
	int sock;

	(void)state;
	dt_start(&dt, "none", 1, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 200, 100);
	dt_update(sock, all, 1);
	send_cursor(sock, VGPU_CURSOR_UPDATE, 50, 20, 0xff00ff00);
	settle(sock);
	assert_int_equal(shown(50, 20), 0x00ff00);
	assert_int_equal(shown(113, 83), 0x00ff00);
	assert_int_equal(shown(49, 20), dt_pattern(49, 20, 1));
	assert_int_equal(shown(114, 83), dt_pattern(114, 83, 1));
	/* over the left upper corner, and half transparent */
	send_cursor(sock, VGPU_CURSOR_UPDATE, -60, -61, 0x80800000);
	settle(sock);
	assert_int_equal(shown(50, 20), dt_pattern(50, 20, 1));
	assert_int_equal(shown(3, 2) >> 16, 0x80 + ((dt_pattern(3, 2, 1) >> 16) * 127 + 127) / 255);
	assert_int_equal(shown(4, 2), dt_pattern(4, 2, 1));
	send_cursor(sock, VGPU_CURSOR_POS, 190, 95, 0);
	settle(sock);
	assert_int_not_equal(shown(199, 99), dt_pattern(199, 99, 1));
	send_cursor(sock, VGPU_CURSOR_POS_HIDE, 190, 95, 0);
	settle(sock);
	assert_int_equal(shown(199, 99), dt_pattern(199, 99, 1));
	close(sock);
	dt_stop(&dt);
}

/* ---- buffers ---- */

#define XR24 0x34325258U
#define XB24 0x34324258U

static int make_buffer(size_t size, bool sealed)
{
	int fd = memfd_create("buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint32_t *p;
	size_t i;

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (i = 0; i < size / 4; i++)
		p[i] = (uint32_t)i;
	munmap(p, size);
	if (sealed)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static void send_buffer(int sock, struct vgpu_dmabuf_scanout s, uint32_t request, uint64_t modifier,
			int fd)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, request);
	msg.payload.dmabuf = s;
	if (request == VGPU_DMABUF_SCANOUT2)
		msg.payload.dmabuf2.modifier = modifier;
	msg.fd = fd;
	dt_send(sock, &msg);
}

/* It is answered in any case. */
static void flush_buffer(int sock, struct vgpu_update update)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_DMABUF_UPDATE);
	msg.payload.update = update;
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
	assert_int_equal(msg.header.request, VGPU_DMABUF_UPDATE);
	assert_int_equal(msg.header.size, 0);
}

static void test_buffers(void **state)
{
	struct vgpu_dmabuf_scanout s = { 0, 2, 1, 60, 40, 64, 48, 256, 0, XR24 };
	const struct vgpu_update all = { 0, 0, 0, 60, 40 };
	int sock;

	(void)state;
	dt_start(&dt, "none", 1, 640, 480);
	sock = dt_hand_over(&dt);
	/* without anything negotiated, as some back-ends do */
	send_buffer(sock, s, VGPU_DMABUF_SCANOUT2, 0, make_buffer(64 * 48 * 4, true));
	flush_buffer(sock, all);
	assert_int_equal(shown(0, 0), 64 + 2);
	assert_int_equal(shown(59, 39), 40 * 64 + 61);
	s.fd_drm_fourcc = XB24;
	send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, make_buffer(64 * 48 * 4, true));
	flush_buffer(sock, all);
	assert_int_equal(shown(0, 0), (64 + 2) << 16);
	s.fd_flags = VGPU_DMABUF_BOTTOM_UP;
	s.fd_drm_fourcc = XR24;
	send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, make_buffer(64 * 48 * 4, true));
	flush_buffer(sock, all);
	assert_int_equal(shown(0, 0), 46 * 64 + 2);
	/* off */
	send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, -1);
	flush_buffer(sock, all);
	assert_int_equal(dt.display.heads[0].width, 0);
	close(sock);
	dt_stop(&dt);
}

/* What cannot be shown is black; what could be cut short is not looked at. */
static void test_wrong_buffers(void **state)
{
	const struct vgpu_dmabuf_scanout good = { 0, 0, 0, 64, 48, 64, 48, 256, 0, XR24 };
	const struct vgpu_update all = { 0, 0, 0, 64, 48 };
	struct vgpu_dmabuf_scanout s;
	unsigned int i;
	int sock, null;

	(void)state;
	dt_start(&dt, "none", 1, 640, 480);
	sock = dt_hand_over(&dt);
	for (i = 0; i < 9; i++) {
		s = good;
		switch (i) {
		case 0:
			send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, make_buffer(16384, false));
			break;
		case 1: /* tiled */
			send_buffer(sock, s, VGPU_DMABUF_SCANOUT2, 0x100000000000001,
				    make_buffer(16384, true));
			break;
		case 2:
			send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, make_buffer(4096, true));
			break;
		case 3:
			null = open("/dev/null", O_RDWR | O_CLOEXEC);
			send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, null);
			break;
		case 4:
			s.fd_stride = 255;
			break;
		case 5:
			s.fd_stride = 0;
			break;
		case 6:
			s.x = 0xffffffff;
			break;
		case 7:
			s.fd_drm_fourcc = 0x36314752; /* RG16 */
			break;
		default:
			s.fd_height = 0;
		}
		if (i > 3)
			send_buffer(sock, s, VGPU_DMABUF_SCANOUT, 0, make_buffer(16384, true));
		flush_buffer(sock, all);
		if (dmabuf_is_open(&dt.display.heads[0].dmabuf))
			fail_msg("buffer %u: expected it refused, saw it shown", i);
	}
	flush_buffer(sock, (struct vgpu_update){ 7, 0, 0, 1, 1 });
	flush_buffer(sock, (struct vgpu_update){ 0, 0xffffffff, 0, 2, 0xffffffff });
	close(sock);
	dt_stop(&dt);
}

/* ---- hostile back-ends ---- */

static bool closed(int sock)
{
	char byte;

	assert_true(poll_fd(sock, POLLIN, deadline_after_ms(DT_TIMEOUT_MS)) > 0);
	return recv(sock, &byte, 1, 0) <= 0;
}

static void test_hostile(void **state)
{
	const struct vgpu_update outside[] = {
		{ 0, 60, 0, 10, 1 },
		{ 0, 0, 48, 1, 1 },
		{ 0, 0xffffffff, 0, 1, 1 },
		{ 9, 0, 0, 1, 1 },
	};
	struct vgpu_header header = { 99, 0, 0 };
	unsigned int i;
	int sock, next;

	(void)state;
	dt_start(&dt, "none", 1, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 64, 48);
	for (i = 0; i < ARRAY_SIZE(outside); i++)
		dt_update(sock, outside[i], 1);
	settle(sock);
	dt_scanout(sock, 0, 0x80000000, 0x80000000);
	assert_true(closed(sock));
	close(sock);

	sock = dt_hand_over(&dt);
	assert_int_equal(send(sock, &header, sizeof(header), 0), sizeof(header));
	assert_true(closed(sock));
	close(sock);

	/* one that is replaced in the middle of a message leaves nothing behind */
	sock = dt_hand_over(&dt);
	header = (struct vgpu_header){ VGPU_SCANOUT, 0, 12 };
	assert_int_equal(send(sock, &header, sizeof(header), 0), sizeof(header));
	next = dt_hand_over(&dt);
	assert_true(closed(sock));
	dt_scanout(next, 0, 64, 48);
	settle(next);
	assert_int_equal(dt.display.heads[0].width, 64);
	close(sock);
	close(next);
	dt_stop(&dt);
}

/* A back-end that asks and does not read what it is answered is let go of. */
static void test_deaf(void **state)
{
	struct vgpu_message msg;
	unsigned int i;
	int sock;

	(void)state;
	dt_start(&dt, "none", 1, 640, 480);
	sock = dt_hand_over(&dt);
	for (i = 0; i < 100000; i++) {
		struct vgpu_writer writer;
		int ret;

		vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_EDID);
		vgpu_writer_init(&writer);
		vgpu_writer_start(&writer, &msg);
		while ((ret = vgpu_writer_write(&writer, sock)) == -EAGAIN)
			assert_true(poll_fd(sock, POLLOUT, deadline_after_ms(DT_TIMEOUT_MS)) > 0);
		vgpu_writer_finish(&writer);
		if (ret == -ECONNRESET)
			break;
		assert_int_equal(ret, 0);
	}
	print_message("let go of after %u questions\n", i);
	assert_in_range(i, 1, 99999);
	close(sock);
	dt_stop(&dt);
}

/* ---- other outputs ---- */

#ifdef HAVE_VNC
/* The library itself loses an iterator (0.9.14). */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:rfbGetClientIterator";
}

static void get(int sock, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n;

		assert_true(poll_fd(sock, POLLIN, deadline_after_ms(DT_TIMEOUT_MS)) > 0);
		n = recv(sock, (char *)buf + got, len - got, 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
}

#define GET16(p) ((uint16_t)((p)[0] << 8 | (p)[1]))

/* RFC 6143, as far as a viewer without any encoding needs it; Return: its socket */
static int rfb_connect(uint16_t port, uint16_t *width, uint16_t *height)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	static const uint8_t format[20] = { [4] = 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8 };
	/* SetEncodings: raw, and the extended desktop size */
	static const uint8_t encodings[12] = { 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xcc };
	uint8_t buf[64], types;
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	get(sock, buf, 12);
	assert_memory_equal(buf, "RFB 003.008\n", 12);
	assert_int_equal(send(sock, buf, 12, 0), 12);
	get(sock, &types, 1);
	get(sock, buf, types);
	assert_non_null(memchr(buf, 1, types)); /* no password */
	assert_int_equal(send(sock, "\1", 1, 0), 1);
	get(sock, buf, 4);
	assert_int_equal(send(sock, "\1", 1, 0), 1);
	get(sock, buf, 24);
	*width = GET16(buf);
	*height = GET16(buf + 2);
	get(sock, buf, buf[23]); /* the name, which is short */
	assert_int_equal(send(sock, format, sizeof(format), 0), sizeof(format));
	assert_int_equal(send(sock, encodings, sizeof(encodings), 0), sizeof(encodings));
	return sock;
}

/*
 * Asks for the whole picture, which is answered by its size, then for what has changed, until a
 * rectangle of pixels has come.
 */
static uint32_t *rfb_picture(int sock, uint16_t *width, uint16_t *height)
{
	uint8_t ask[10] = { 3, 0, 0, 0, 0, 0, 0x7f, 0xff, 0x7f, 0xff }, head[12], screen[4];

	for (;; ask[1] = 1) {
		uint16_t n;

		assert_int_equal(send(sock, ask, sizeof(ask), 0), sizeof(ask));
		get(sock, head, 4);
		assert_int_equal(head[0], 0);
		for (n = GET16(head + 2); n; n--) {
			uint32_t *pixels;

			get(sock, head, 12);
			*width = GET16(head + 4);
			*height = GET16(head + 6);
			if (head[8] == 0xff) { /* the extended desktop size, with one screen */
				get(sock, screen, 4);
				while (screen[0]--) {
					uint8_t skip[16];

					get(sock, skip, sizeof(skip));
				}
				continue;
			}
			assert_int_equal(head[11], 0);
			pixels = malloc((size_t)*width * *height * 4);
			get(sock, pixels, (size_t)*width * *height * 4);
			assert_int_equal(n, 1);
			return pixels;
		}
	}
}

static void test_vnc(void **state)
{
	const struct vgpu_update all = { 0, 0, 0, 320, 200 };
	static const uint8_t resize[24] = { 251, 0, 800 >> 8, 800 & 255, 600 >> 8, 600 & 255, 1,
					    0,	 0, 0,	      0,	 0,	   0,	      0,
					    0,	 0, 800 >> 8, 800 & 255, 600 >> 8, 600 & 255 };
	uint16_t width, height;
	uint32_t x, y, *pixels;
	char text[64];
	int sock, viewer;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15999", 1, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 320, 200);
	dt_update(sock, all, 7);
	settle(sock);
	viewer = rfb_connect(15999, &width, &height);
	assert_int_equal(width, 320);
	assert_int_equal(height, 200);
	for (;;) { /* until the damage has come through */
		pixels = rfb_picture(viewer, &width, &height);
		if ((pixels[320 * 200 - 1] & 0xffffff) == dt_pattern(319, 199, 7))
			break;
		free(pixels);
	}
	for (y = 0; y < 200; y++)
		for (x = 0; x < 320; x++)
			assert_int_equal(pixels[y * 320 + x] & 0xffffff, dt_pattern(x, y, 7));
	free(pixels);
	assert_int_equal(send(viewer, resize, sizeof(resize), 0), sizeof(resize));
	dt_told(&dt, text, sizeof(text));
	assert_string_equal(text, "resize 0 800 600");
	close(viewer);
	dt_scanout(sock, 0, 800, 600);
	dt_scanout(sock, 0, 0, 0);
	settle(sock);
	close(sock);
	dt_stop(&dt);
}
#endif

static void test_mode_errors(void **state)
{
	static const char *const wrong[] = { "png",   "png=",		"none=x", "nothing",
					     "pngx=", "vnc=not.a.host", "vnc=:0", "png=/proc/x" };
	struct display display;
	unsigned int i;

	(void)state;
	assert_int_equal(display_init(&display, 1, 640, 480), 0);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct failure failure = { 0 };

		assert_true(output_open(&display, wrong[i], &failure) < 0);
		print_message("%s\n", failure.text);
		assert_true(strlen(failure.text) > 10);
	}
	display_finish(&display);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
		cmocka_unit_test(test_questions),
		IN_DIR(test_png),
		IN_DIR(test_png_short),
		IN_DIR(test_png_burst),
		IN_DIR(test_png_sizes),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_wrong_buffers),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_deaf),
#ifdef HAVE_VNC
		cmocka_unit_test(test_vnc),
#endif
		cmocka_unit_test(test_mode_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
