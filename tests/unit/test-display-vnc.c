// SPDX-License-Identifier: BSD-3-Clause
/* The display for VNC, seen by libvncclient: what viewers are built on, in its encodings. */
#include <arpa/inet.h>
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

static int connect_bytes(const char *first)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, first, strlen(first), MSG_NOSIGNAL), strlen(first));
	return fd;
}

/* What the server says before it closes, or until there is @enough of it */
static size_t hear(int fd, size_t enough, bool *closed)
{
	char text[1024];
	size_t have = 0;
	ssize_t n = 1;

	while (have < enough && (n = recv(fd, text, sizeof(text), 0)) > 0)
		have += (size_t)n;
	*closed = have < enough && n == 0;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_many_viewers),
		cmocka_unit_test(test_web_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
