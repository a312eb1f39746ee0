// SPDX-License-Identifier: BSD-3-Clause
/* The display in windows. No desktop: SDL's dummy driver has windows that nobody sees. */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <SDL.h>

#include "check.h"
#include "common/deadline.h"
#include "display-thread.h"

/* More than can be drawn in that time; SDL keeps 65535 */
#define MANY 20000
#define ANSWER_MS 5000

static struct display_thread dt;

static void ask(int sock)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_GET_DISPLAY_INFO);
	dt_send(sock, &msg);
}

static void take_answer(int sock)
{
	struct vgpu_message msg;

	assert_int_equal(dt_answer(sock, &msg), 0);
}

static void test_sdl(void **state)
{
	const struct vgpu_update all = { 0, 0, 0, 320, 200 };
	int sock;

	(void)state;
	dt_start(&dt, "sdl", 2, 640, 480);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 320, 200);
	dt_update(sock, all, 7);
	dt_scanout(sock, 0, 0, 0);
	dt_scanout(sock, 0, 160, 100);
	ask(sock);
	take_answer(sock);
	poll(NULL, 0, 100); /* some of its ticks */
	close(sock);
	dt_stop(&dt);
}

/* However much a desktop has to say, the back-end is heard; and the desktop, to the last of it. */
static void test_many_events(void **state)
{
	SDL_Event event = { .type = SDL_WINDOWEVENT };
	deadline_t end;
	unsigned int i;
	int sock;

	(void)state;
	dt_start(&dt, "sdl", 1, 1280, 800);
	sock = dt_hand_over(&dt);
	dt_scanout(sock, 0, 1280, 800);
	event.window.event = SDL_WINDOWEVENT_EXPOSED;
	for (i = 1; i < 100 && !event.window.windowID; i++)
		event.window.windowID = SDL_GetWindowFromID(i) ? i : 0;
	assert_int_not_equal(event.window.windowID, 0);
	for (i = 0; i < MANY; i++)
		assert_int_equal(SDL_PushEvent(&event), 1);
	ask(sock);
	if (poll_fd(sock, POLLIN, deadline_after_ms(ANSWER_MS)) <= 0)
		fail_msg("with %d events: expected an answer within %d ms, saw none", MANY,
			 ANSWER_MS);
	take_answer(sock);
	dt_scanout(sock, 0, 64, 48); /* which is drawn sooner */
	for (end = deadline_after_ms(3 * DT_TIMEOUT_MS); SDL_HasEvent(SDL_WINDOWEVENT);) {
		if (deadline_passed(end))
			fail_msg("%d events: expected them to be taken, saw some left", MANY);
		poll(NULL, 0, 10);
	}
	close(sock);
	dt_stop(&dt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sdl),
		cmocka_unit_test(test_many_events),
	};

	setenv("SDL_VIDEODRIVER", "dummy", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
