// SPDX-License-Identifier: BSD-3-Clause
/* The display for VNC, seen by libvncclient: what viewers are built on, in its encodings. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rfb/rfbclient.h>

#include "check.h"
#include "common/deadline.h"
#include "common/util.h"
#include "display-thread.h"

#define PORT 15998
#define WAIT_US 100000

static struct display_thread dt;

/* The libraries themselves lose an iterator (0.9.14), and what they are linked to keeps. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:rfbGetClientIterator\nleak:libgnutls\nleak:libp11-kit";
}

/* ---- the viewer ---- */

static rfbBool make_room(rfbClient *viewer)
{
	free(viewer->frameBuffer);
	viewer->frameBuffer = calloc((size_t)viewer->width * (size_t)viewer->height, 4);
	return viewer->frameBuffer != NULL;
}

static rfbClient *connect_viewer(const char *encodings)
{
	rfbClient *viewer = rfbGetClient(8, 3, 4);

	assert_non_null(viewer);
	free(viewer->serverHost);
	viewer->serverHost = strdup("127.0.0.1");
	viewer->serverPort = PORT;
	viewer->MallocFrameBuffer = make_room;
	viewer->canHandleNewFBSize = TRUE;
	viewer->appData.encodingsString = encodings;
	viewer->appData.enableJPEG = FALSE; /* which loses something */
	viewer->appData.compressLevel = 1;
	assert_true(rfbInitClient(viewer, NULL, NULL)); /* it is released where that fails */
	return viewer;
}

static void release(rfbClient *viewer)
{
	free(viewer->frameBuffer);
	viewer->frameBuffer = NULL;
	rfbClientCleanup(viewer);
}

/* In the format that the library asks for: red comes first in memory. */
static uint32_t seen_at(const rfbClient *viewer, uint32_t x, uint32_t y)
{
	const uint8_t *p = viewer->frameBuffer + 4 * ((size_t)y * (size_t)viewer->width + x);

	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

struct expected {
	uint32_t width;
	uint32_t height;
	struct vgpu_update part; /* of another seed than the rest */
	uint32_t part_seed;
	uint32_t seed;
};

static unsigned int count_wrong(const rfbClient *viewer, const struct expected *e)
{
	unsigned int wrong = 0;
	uint32_t x, y;

	if (viewer->width != (int)e->width || viewer->height != (int)e->height)
		return UINT32_MAX;
	for (y = 0; y < e->height; y++) {
		for (x = 0; x < e->width; x++) {
			bool within = x - e->part.x < e->part.width &&
				      y - e->part.y < e->part.height;

			wrong += seen_at(viewer, x, y) !=
				 dt_pattern(x, y, within ? e->part_seed : e->seed);
		}
	}
	return wrong;
}

/* The library asks for more by itself after each update. */
static void check_seen(rfbClient *viewer, const char *encoding, const struct expected *e)
{
	deadline_t end = deadline_after_ms(DT_TIMEOUT_MS);
	unsigned int wrong;

	while ((wrong = count_wrong(viewer, e)) != 0) {
		int ready = WaitForMessage(viewer, WAIT_US);

		if (deadline_passed(end))
			fail_msg("%s: expected %u x %u, saw %d x %d, %u pixels of it wrong", encoding,
				 e->width, e->height, viewer->width, viewer->height, wrong);
		assert_true(ready >= 0);
		if (ready && !HandleRFBServerMessage(viewer))
			fail_msg("%s: the viewer has hung up", encoding);
	}
}

/* ---- the test ---- */

/* A whole picture, a part of it that changes, and another size. */
static void look(int sock, const char *encodings)
{
	const struct vgpu_update whole = { 0, 0, 0, 320, 200 }, part = { 0, 37, 50, 101, 33 },
				 larger = { 0, 0, 0, 400, 300 };
	const struct expected first = { 320, 200, { 0 }, 0, 7 }, then = { 320, 200, part, 8, 7 },
			      last = { 400, 300, { 0 }, 0, 9 };
	rfbClient *viewer;

	dt_scanout(sock, 0, whole.width, whole.height);
	dt_update(sock, whole, 7);
	viewer = connect_viewer(encodings);
	assert_string_equal(viewer->desktopName, "virtio-loopback");
	check_seen(viewer, encodings, &first);
	dt_update(sock, part, 8);
	check_seen(viewer, encodings, &then);
	dt_scanout(sock, 0, larger.width, larger.height);
	dt_update(sock, larger, 9);
	check_seen(viewer, encodings, &last);
	release(viewer);
}

static void test_encodings(void **state)
{
	static const char *const encodings[] = { "raw", "hextile", "zlib", "zrle", "tight" };
	int sock;
	size_t i;

	(void)state;
	rfbEnableClientLogging = FALSE;
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 640, 480);
	sock = dt_hand_over(&dt);
	for (i = 0; i < ARRAY_SIZE(encodings); i++)
		look(sock, encodings[i]);
	close(sock);
	dt_stop(&dt);
}

/* ---- who may look ---- */

#define MOST_VIEWERS 16

static int connect_to(uint16_t port, const char *first)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, first, strlen(first), MSG_NOSIGNAL), strlen(first));
	return fd;
}

static int connect_bytes(const char *first)
{
	return connect_to(PORT, first);
}

/* What the server says before it closes, or until there is @enough of it */
static size_t hear(int fd, size_t enough, bool *closed)
{
	char text[1024];
	size_t have = 0;
	ssize_t n = 1;

	while (have < enough && (n = recv(fd, text, sizeof(text), 0)) > 0)
		have += (size_t)n;
	/* a reset: it had not read all */
	*closed = have < enough && (n == 0 || errno == ECONNRESET);
	return have;
}

/* RFC 6143, 7.1.1: after the versions the server says which kinds of security it has. */
static bool is_taken(int fd)
{
	bool closed;

	return hear(fd, sizeof("RFB 003.008\n"), &closed) >= sizeof("RFB 003.008\n");
}

/* As many as there may be, and no descriptor that the library cannot wait for. */
static void test_many_viewers(void **state)
{
	int viewers[MOST_VIEWERS + 4];
	struct rlimit before, limit;
	unsigned int i, taken = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 640, 480);
	for (i = 0; i < ARRAY_SIZE(viewers); i++) {
		viewers[i] = connect_bytes("RFB 003.008\n");
		taken += is_taken(viewers[i]);
	}
	if (taken != MOST_VIEWERS)
		fail_msg("of %zu viewers: expected %u to be taken, saw %u", ARRAY_SIZE(viewers),
			 MOST_VIEWERS, taken);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur <= FD_SETSIZE);
	/* there is room again */
	for (i = 0; i < ARRAY_SIZE(viewers); i++)
		close(viewers[i]);
	for (i = 0; i < 100 && taken; i++) {
		int fd = connect_bytes("RFB 003.008\n");

		if (is_taken(fd))
			taken = 0;
		close(fd);
		usleep(10000);
	}
	assert_int_equal(taken, 0);
	dt_stop(&dt);
	setrlimit(RLIMIT_NOFILE, &before);
}

/* What a browser sends for a page of anybody's */
static void test_web_page(void **state)
{
	bool closed;
	int fd;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 640, 480);
	fd = connect_bytes("GET /websockify HTTP/1.1\r\n"
			   "Host: 127.0.0.1:15998\r\n"
			   "Upgrade: websocket\r\n"
			   "Connection: Upgrade\r\n"
			   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			   "Origin: http://page.example\r\n"
			   "Sec-WebSocket-Protocol: binary\r\n"
			   "Sec-WebSocket-Version: 13\r\n\r\n");
	hear(fd, SIZE_MAX, &closed);
	if (!closed)
		fail_msg("a web page's connection: expected it to be closed, saw it open");
	close(fd);
	dt_stop(&dt);
}

/* ---- viewers that are slow ---- */

/* However slow a viewer is, this is more than the display makes the back-end wait. */
#define ANSWER_MS 5000

static void get(int fd, void *buf, size_t len)
{
	assert_int_equal(recv(fd, buf, len, MSG_WAITALL), len);
}

/* RFC 6143, 7.1 to 7.3.2 */
static int raw_viewer(uint16_t port, uint32_t *width, uint32_t *height)
{
	int fd = connect_to(port, "RFB 003.008\n");
	uint8_t buf[256];

	get(fd, buf, 12);
	get(fd, buf, 1);
	get(fd, buf, buf[0]);
	assert_int_equal(send(fd, "\1", 1, MSG_NOSIGNAL), 1); /* no password */
	get(fd, buf, 4);
	assert_int_equal(send(fd, "\1", 1, MSG_NOSIGNAL), 1);
	get(fd, buf, 24);
	*width = (uint32_t)buf[0] << 8 | buf[1];
	*height = (uint32_t)buf[2] << 8 | buf[3];
	get(fd, buf, buf[23]); /* the name, which is short */
	return fd;
}

static void say_nothing(int viewer)
{
	(void)viewer;
}

static void say_a_byte(int viewer)
{
	send(viewer, "a", 1, MSG_NOSIGNAL);
}

static void take_some(int viewer)
{
	static char some[100000];

	recv(viewer, some, sizeof(some), MSG_DONTWAIT);
}

/* A question of the back-end is answered while the viewer does what it does. */
static void check_answered(int sock, int viewer, void (*go_on)(int viewer), const char *what)
{
	deadline_t end = deadline_after_ms(ANSWER_MS);
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_DISPLAY_INFO);
	dt_send(sock, &msg);
	while (poll_fd(sock, POLLIN, MIN(end, deadline_after_ms(500))) <= 0) {
		if (deadline_passed(end))
			fail_msg("%s: expected an answer within %d ms, saw none", what, ANSWER_MS);
		go_on(viewer);
	}
	assert_int_equal(dt_answer(sock, &msg), 0);
}

static void check_let_go(int viewer, const char *what)
{
	bool closed;

	hear(viewer, SIZE_MAX, &closed);
	if (!closed)
		fail_msg("%s: expected it to be let go of, saw it kept", what);
	close(viewer);
}

static void test_one_byte(void **state)
{
	int sock, viewer;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 640, 480);
	sock = dt_hand_over(&dt);
	viewer = connect_bytes("");
	usleep(30000); /* the display has begun with it */
	say_a_byte(viewer);
	usleep(50000);
	check_answered(sock, viewer, say_nothing, "one byte");
	check_let_go(viewer, "one byte");
	close(sock);
	dt_stop(&dt);
}

/* ClientCutText (RFC 6143, 7.5.6), which the display does not even want */
static int begin_text(void)
{
	static const uint8_t head[8] = { 6, 0, 0, 0, 0, 0, 1000 >> 8, 1000 & 255 };
	uint32_t width, height;
	int viewer = raw_viewer(PORT, &width, &height);

	assert_int_equal(send(viewer, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	return viewer;
}

static void test_slow_text(void **state)
{
	int sock, viewer;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 640, 480);
	sock = dt_hand_over(&dt);
	viewer = begin_text();
	usleep(50000);
	check_answered(sock, viewer, say_a_byte, "a text byte by byte");
	check_let_go(viewer, "a text byte by byte");
	close(sock);
	dt_stop(&dt);
}

/* One that asks for a picture as it is, and takes little of it at a time */
static void test_slow_picture(void **state)
{
	static const uint8_t ask[] = { 2, 0, 0, 1, 0, 0, 0, 0, /* encodings: raw */
				       3, 0, 0, 0, 0, 0, 2400 >> 8, 2400 & 255, 2400 >> 8,
				       2400 & 255 };
	uint32_t width, height;
	int sock, viewer;
	char byte;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 2400, 2400);
	sock = dt_hand_over(&dt);
	viewer = raw_viewer(PORT, &width, &height);
	assert_int_equal(width, 2400);
	assert_int_equal(send(viewer, ask, sizeof(ask), MSG_NOSIGNAL), sizeof(ask));
	get(viewer, &byte, 1); /* it is on its way */
	check_answered(sock, viewer, take_some, "a picture that is taken slowly");
	check_let_go(viewer, "a picture that is taken slowly");
	close(sock);
	dt_stop(&dt);
}

/* Many of them, one after the other, leave the back-end its half of the time. */
static void test_slow_crowd(void **state)
{
	deadline_t end;
	int sock, viewers[4];
	unsigned int i, answers = 0;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15998", 1, 640, 480);
	sock = dt_hand_over(&dt);
	for (i = 0; i < ARRAY_SIZE(viewers); i++) {
		viewers[i] = connect_bytes("RFB 003.008\n");
		assert_true(is_taken(viewers[i]));
	}
	/* RFC 6143, 7.1.2: a kind of security is one byte, and then comes one that says who */
	for (i = 0; i < ARRAY_SIZE(viewers); i++)
		assert_int_equal(send(viewers[i], "\1\1\6", 3, MSG_NOSIGNAL), 3);
	usleep(50000);
	for (end = deadline_after_ms(6000); !deadline_passed(end); answers++)
		check_answered(sock, viewers[0], say_nothing, "a crowd");
	if (answers < 100)
		fail_msg("a crowd: expected 100 answers in 6 s, saw %u", answers);
	print_message("%u answers in 6 s\n", answers);
	for (i = 0; i < ARRAY_SIZE(viewers); i++)
		close(viewers[i]);
	close(sock);
	dt_stop(&dt);
}

/* ---- what it costs ---- */

static uint64_t pixels_on(uint16_t port)
{
	uint32_t width, height;

	close(raw_viewer(port, &width, &height));
	return (uint64_t)width * height;
}

/* Waits until all that was sent before has been done. */
static void settle(int sock)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_DISPLAY_INFO);
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
}

/* Heads that are large one after the other do not add up. */
static void test_large_heads(void **state)
{
	const uint64_t offered = 640 * 480, large = 4096 * 4096;
	uint64_t first, second;
	int sock;

	(void)state;
	dt_start(&dt, "vnc=127.0.0.1:15990", 2, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 4096, 4096);
	dt_scanout(sock, 0, 0, 0);
	dt_scanout(sock, 1, 4096, 4096);
	settle(sock);
	first = pixels_on(15990);
	second = pixels_on(15991);
	if (second != large || first > offered)
		fail_msg("expected one head of %u pixels and of the other %u at most, saw %u, %u",
			 (unsigned int)large, (unsigned int)offered, (unsigned int)second,
			 (unsigned int)first);
	/* one that is not large stays as it was */
	dt_scanout(sock, 1, 320, 200);
	dt_scanout(sock, 1, 0, 0);
	settle(sock);
	assert_int_equal(pixels_on(15991), 320 * 200);
	close(sock);
	dt_stop(&dt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_many_viewers),
		cmocka_unit_test(test_web_page),
		cmocka_unit_test(test_one_byte),
		cmocka_unit_test(test_slow_text),
		cmocka_unit_test(test_slow_picture),
		cmocka_unit_test(test_slow_crowd),
		cmocka_unit_test(test_large_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
