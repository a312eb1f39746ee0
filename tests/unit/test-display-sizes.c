// SPDX-License-Identifier: BSD-3-Clause
/* The display's heads have so many pixels together, and not more: what is shown, and offered. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "display-thread.h"

static struct display_thread dt;

/* Waits until all that was sent before has been done. */
static void settle(int sock)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_DISPLAY_INFO);
	dt_send(sock, &msg);
	assert_int_equal(dt_answer(sock, &msg), 0);
}

static void send_buffer(int sock, struct vgpu_dmabuf_scanout buffer)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_DMABUF_SCANOUT);
	msg.payload.dmabuf = buffer;
	msg.fd = memfd_create("buffer", MFD_CLOEXEC);
	dt_send(sock, &msg);
}

static void check_sizes(int sock, uint32_t first, uint32_t second)
{
	settle(sock); /* the connection is still there */
	if (dt.display.heads[0].width != first || dt.display.heads[1].width != second)
		fail_msg("expected heads %u and %u wide, saw %u and %u", first, second,
			 dt.display.heads[0].width, dt.display.heads[1].width);
}

/* All heads have 64 Mi pixels together: one that would have more is off, and the others are not. */
static void test_too_large(void **state)
{
	const struct vgpu_dmabuf_scanout buffer = { 1, 0, 0, 8192, 4097, 8192, 4097, 8192 * 4, 0,
						    VGPU_FOURCC_XR24 };
	int sock;

	(void)state;
	dt_start(&dt, "none", 2, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 8192, 4096);
	dt_scanout(sock, 1, 8192, 4096);
	check_sizes(sock, 8192, 8192);
	dt_scanout(sock, 1, 8192, 4097);
	dt_update(sock, (struct vgpu_update){ 1, 0, 0, 64, 64 }, 1);
	check_sizes(sock, 8192, 0);
	dt_scanout(sock, 1, 640, 480);
	check_sizes(sock, 8192, 640);
	send_buffer(sock, buffer);
	check_sizes(sock, 8192, 0);
	dt_scanout(sock, 0, 16384, 16384);
	check_sizes(sock, 0, 0);
	dt_scanout(sock, 1, 8192, 8192);
	check_sizes(sock, 0, 8192);
	close(sock);
	dt_stop(&dt);
}

/* Nor is more offered to the driver than can be shown. */
static void test_offers(void **state)
{
	struct display display;
	struct head *last;
	unsigned int i;

	(void)state;
	assert_int_equal(display_init(&display, 5, 640, 480), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(display_resized(&display, &display.heads[i], 5000, 5000), 0);
	last = &display.heads[3];
	assert_int_equal(display_resized(&display, last, 5000, 5000), -ENOSPC);
	assert_int_equal(last->wanted_width, 640);
	assert_int_equal(display_resized(&display, last, 5000, 4000), 0);
	assert_int_equal(last->wanted_height, 4000);
	display_finish(&display);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_offers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
