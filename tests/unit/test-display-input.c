// SPDX-License-Identifier: BSD-3-Clause
/* What is typed at the display, and what vhost-user-input has of it: both sides, in one process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/input/display.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/deadline.h"
#include "common/unix-socket.h"
#include "common/util.h"
#include "display/display.h"
#include "display/keys.h"

#define WIDTH 1000
#define HEIGHT 500
#define MANY 20000 /* changes, more than a socket holds */

static char dir[64], path[80];
static struct display display;
static int nudge = -1;

static void nudged(void *data, uint32_t events)
{
	uint64_t count;

	(void)data;
	(void)events;
	assert_int_equal(read(nudge, &count, sizeof(count)), sizeof(count));
	loop_quit(display.loop, 0);
}

/* Lets the display's loop see all that has happened: what one callback causes, another one has. */
static void settle(void)
{
	const uint64_t one = 1;
	int rounds;

	for (rounds = 0; rounds < 3; rounds++) {
		assert_int_equal(write(nudge, &one, sizeof(one)), sizeof(one));
		assert_int_equal(loop_run(display.loop), 0);
	}
}

static int setup(void **state)
{
	struct failure failure = { 0 };
	unsigned int i;

	(void)state;
	strcpy(dir, "/tmp/test-display-input.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/input", dir);
	assert_int_equal(display_init(&display, 2, WIDTH, HEIGHT), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(display_mode(&display, &display.heads[i], WIDTH, HEIGHT), 0);
	nudge = eventfd(0, EFD_CLOEXEC);
	assert_non_null(loop_add(display.loop, nudge, EPOLLIN, nudged, NULL));
	assert_int_equal(input_listen(&display.input, path, &failure), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	display_finish(&display);
	fd_close(&nudge);
	return rmdir(dir); /* with nothing left behind in it */
}

static struct display_source connect_kind(char kind, struct input_info *info)
{
	struct display_source source = { .fd = -1, .kind = kind };
	struct input_info other;

	assert_int_equal(display_open(&source, path, info ? info : &other), 0);
	settle();
	return source;
}

static void expect(struct display_source *source, uint16_t type, uint16_t code, int32_t value)
{
	struct input_event event = { 0 };

	assert_int_equal(display_ops.read(source, &event, 1), 1);
	if (event.type != type || event.code != code || event.value != value)
		fail_msg("expected %u/%u %d, saw %u/%u %d", type, code, value, event.type,
			 event.code, event.value);
}

static void expect_nothing(struct display_source *source)
{
	struct input_event event;

	assert_int_equal(display_ops.read(source, &event, 1), 0);
}

static void test_keyboard(void **state)
{
	struct input_info info;
	struct display_source keyboard;

	(void)state;
	input_key(&display.input, KEY_LEFTSHIFT, true);
	keyboard = connect_kind(DISPLAY_INPUT_KEYBOARD, &info);
	assert_true(input_test_bit(info.codes[EV_KEY], KEY_A));
	assert_false(input_test_bit(info.codes[EV_KEY], BTN_LEFT));
	assert_false(input_test_bit(info.types, EV_ABS));
	/* what was down before is not for it */
	expect_nothing(&keyboard);
	input_key(&display.input, KEY_A, true);
	expect(&keyboard, EV_KEY, KEY_A, 1);
	expect(&keyboard, EV_SYN, SYN_REPORT, 0);
	input_key(&display.input, KEY_A, true); /* again is no news */
	input_key(&display.input, 0, true);
	input_key(&display.input, KEY_CNT, true);
	input_key(&display.input, BTN_LEFT, true);
	input_point(&display.input, &display.heads[0], 5, 5);
	input_wheel(&display.input, 1, 0);
	expect_nothing(&keyboard);
	input_release(&display.input);
	expect(&keyboard, EV_KEY, KEY_A, 0);
	/* and the shift, which it was never told of, goes up as well: that does no harm */
	expect(&keyboard, EV_KEY, KEY_LEFTSHIFT, 0);
	expect(&keyboard, EV_SYN, SYN_REPORT, 0);
	expect_nothing(&keyboard);
	display_close(&keyboard);
}

static void test_pointer(void **state)
{
	struct input_info info;
	struct input_state now = { .slot = 0 };
	struct display_source pointer;

	(void)state;
	pointer = connect_kind(DISPLAY_INPUT_POINTER, &info);
	assert_true(input_test_bit(info.codes[EV_KEY], BTN_LEFT));
	assert_false(input_test_bit(info.codes[EV_KEY], KEY_A));
	assert_int_equal(info.abs[ABS_X].maximum, DISPLAY_INPUT_RANGE);
	expect(&pointer, EV_ABS, ABS_X, 0);
	expect(&pointer, EV_ABS, ABS_Y, 0);
	expect(&pointer, EV_SYN, SYN_REPORT, 0);
	/* the heads stand in a row */
	input_point(&display.input, &display.heads[1], WIDTH - 1, HEIGHT - 1);
	expect(&pointer, EV_ABS, ABS_X, DISPLAY_INPUT_RANGE);
	expect(&pointer, EV_ABS, ABS_Y, DISPLAY_INPUT_RANGE);
	expect(&pointer, EV_SYN, SYN_REPORT, 0);
	/* outside is at the edge */
	input_point(&display.input, &display.heads[0], -7, HEIGHT + 100);
	expect(&pointer, EV_ABS, ABS_X, 0);
	expect(&pointer, EV_SYN, SYN_REPORT, 0);
	input_point(&display.input, &display.heads[1], 0, 0);
	expect(&pointer, EV_ABS, ABS_X, WIDTH * DISPLAY_INPUT_RANGE / (2 * WIDTH - 1));
	expect(&pointer, EV_ABS, ABS_Y, 0);
	expect(&pointer, EV_SYN, SYN_REPORT, 0);
	input_key(&display.input, BTN_RIGHT, true);
	expect(&pointer, EV_KEY, BTN_RIGHT, 1);
	expect(&pointer, EV_SYN, SYN_REPORT, 0);
	input_wheel(&display.input, -2, 1);
	expect(&pointer, EV_REL, REL_WHEEL, -2);
	expect(&pointer, EV_REL, REL_HWHEEL, 1);
	expect(&pointer, EV_SYN, SYN_REPORT, 0);
	input_wheel(&display.input, 0, 0);
	expect_nothing(&pointer);
	/* a driver that begins is told where it is */
	display_ops.get_state(&pointer, &info, &now);
	assert_int_equal(now.abs[ABS_X], WIDTH * DISPLAY_INPUT_RANGE / (2 * WIDTH - 1));
	/* a head that is off has no places */
	assert_int_equal(display_mode(&display, &display.heads[0], 0, 0), 0);
	input_point(&display.input, &display.heads[0], 3, 3);
	expect_nothing(&pointer);
	display_close(&pointer);
}

/* One that takes nothing misses what came and went, and ends where things stand. */
static void test_behind(void **state)
{
	struct display_source keyboard = connect_kind(DISPLAY_INPUT_KEYBOARD, NULL);
	struct input_event event = { 0 };
	unsigned int i, frames = 0;
	bool down = false;
	int n;

	(void)state;
	for (i = 0; i < MANY; i++)
		input_key(&display.input, KEY_A, !(i & 1));
	input_key(&display.input, KEY_A, true);
	for (i = 0; i < MANY; i++) {
		n = display_ops.read(&keyboard, &event, 1);
		assert_in_range(n, 0, 1);
		if (!n) {
			settle();
			n = display_ops.read(&keyboard, &event, 1);
			if (!n)
				break;
		}
		if (event.type == EV_KEY) {
			assert_int_equal(event.code, KEY_A);
			assert_int_not_equal(event.value, down);
			down = event.value;
		} else {
			frames++;
		}
	}
	assert_true(down);
	assert_int_equal(event.type, EV_SYN);
	assert_in_range(frames, 10, MANY - 1);
	/* and it goes on as before */
	input_key(&display.input, KEY_A, false);
	expect(&keyboard, EV_KEY, KEY_A, 0);
	display_close(&keyboard);
}

static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void test_clients(void **state)
{
	struct display_source sources[INPUT_CLIENTS_MAX];
	int fd, i;

	(void)state;
	/* no kind that there is */
	fd = unix_connect(path, deadline_after_ms(1000));
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	settle();
	assert_true(is_closed(fd));
	fd_close(&fd);
	/* as many as there is room for, and one more */
	for (i = 0; i < INPUT_CLIENTS_MAX; i++)
		sources[i] = connect_kind(DISPLAY_INPUT_KEYBOARD, NULL);
	fd = unix_connect(path, deadline_after_ms(1000));
	settle();
	assert_true(is_closed(fd));
	fd_close(&fd);
	/* a place that became free; and one that says more than its kind has no business here */
	display_close(&sources[0]);
	assert_int_equal(send(sources[1].fd, "k", 1, MSG_NOSIGNAL), 1);
	settle();
	assert_true(is_closed(sources[1].fd));
	sources[0] = connect_kind(DISPLAY_INPUT_POINTER, NULL);
	expect(&sources[0], EV_ABS, ABS_X, 0);
	for (i = 0; i < INPUT_CLIENTS_MAX; i++)
		display_close(&sources[i]);
	settle();
}

static unsigned int count_lines(int fd)
{
	char text[4096];
	unsigned int lines = 0;
	ssize_t n, i;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while ((n = read(fd, text, sizeof(text))) > 0) {
		for (i = 0; i < n; i++)
			lines += text[i] == '\n';
	}
	return lines;
}

/* Whoever connects without end does not fill the journal. */
static void test_many_clients(void **state)
{
	struct display_source sources[INPUT_CLIENTS_MAX];
	int log = memfd_create("log", MFD_CLOEXEC), before = fcntl(2, F_DUPFD_CLOEXEC, 3);
	uint64_t began = now_ns(), seconds;
	unsigned int lines;
	int fd, i;

	(void)state;
	for (i = 0; i < INPUT_CLIENTS_MAX; i++)
		sources[i] = connect_kind(DISPLAY_INPUT_KEYBOARD, NULL);
	assert_int_equal(dup2(log, 2), 2);
	for (i = 0; i < 200; i++) {
		fd = unix_connect(path, deadline_after_ms(1000));
		settle();
		fd_close(&fd);
	}
	assert_int_equal(dup2(before, 2), 2);
	seconds = (now_ns() - began) / 1000000000U;
	lines = count_lines(log);
	if (lines < 1 || lines > 5 * (seconds + 2))
		fail_msg("200 too many in %u s: expected 1 to %u lines, saw %u",
			 (unsigned int)seconds, 5 * ((unsigned int)seconds + 2), lines);
	fd_close(&log);
	fd_close(&before);
	for (i = 0; i < INPUT_CLIENTS_MAX; i++)
		display_close(&sources[i]);
	settle();
}

/* A display is not believed either. */
static void test_hostile_display(void **state)
{
	static const struct display_input_event wrong[] = {
		{ EV_KEY, 0, 1 },	 { EV_KEY, BTN_LEFT, 1 }, { EV_ABS, ABS_X, 1 },
		{ EV_SYN, SYN_DROPPED, 0 }, { EV_LED, 0, 1 },	  { UINT16_MAX, UINT16_MAX, -1 },
		{ EV_KEY, KEY_B, 1 },
	};
	static const struct display_input_event outside = { EV_ABS, ABS_X, -1 };
	struct display_source source = { .kind = DISPLAY_INPUT_KEYBOARD };
	struct input_event events[16];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	source.fd = pair[0];
	assert_int_equal(send(pair[1], wrong, sizeof(wrong), 0), sizeof(wrong));
	assert_int_equal(display_ops.read(&source, events, 16), 1);
	assert_int_equal(events[0].code, KEY_B);
	source.kind = DISPLAY_INPUT_POINTER;
	assert_int_equal(send(pair[1], &outside, sizeof(outside), 0), sizeof(outside));
	assert_int_equal(display_ops.read(&source, events, 16), 0);
	assert_int_equal(send(pair[1], wrong, 5, 0), 5);
	assert_int_equal(display_ops.read(&source, events, 16), -EPROTO);
	fd_close(&pair[1]);
	assert_int_equal(display_ops.read(&source, events, 16), -ENODEV);
	fd_close(&pair[0]);
}

static void test_keys(void **state)
{
	static const struct {
		uint32_t symbol;
		unsigned int key;
	} symbols[] = {
		{ 'a', KEY_A },		{ 'Z', KEY_Z },		  { '!', KEY_1 },
		{ '~', KEY_GRAVE },	{ 0xff0d, KEY_ENTER },	  { 0xffbe, KEY_F1 },
		{ 0xffc9, KEY_F12 },	{ 0xff51, KEY_LEFT },	  { 0xff54, KEY_DOWN },
		{ 0xffe3, KEY_LEFTCTRL }, { 0xffeb, KEY_LEFTMETA }, { 0xffe9, KEY_LEFTALT },
		{ 0xffb5, KEY_KP5 },	{ 0xffff, KEY_DELETE },	  { 0xfe03, KEY_RIGHTALT },
		{ 0xe4, 0 },		{ 0x10000, 0 },		  { UINT32_MAX, 0 },
	};
	static const unsigned int usages[][2] = {
		{ 4, KEY_A },	     { 0x1d, KEY_Z },	    { 0x1e, KEY_1 },
		{ 0x27, KEY_0 },     { 0x28, KEY_ENTER },   { 0x39, KEY_CAPSLOCK },
		{ 0x45, KEY_F12 },   { 0x52, KEY_UP },	    { 0x63, KEY_KPDOT },
		{ 0x73, KEY_F24 },   { 0xe7, KEY_RIGHTMETA }, { 0, 0 },
		{ 0xe8, 0 },	     { UINT32_MAX, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(symbols); i++) {
		if (keys_of_symbol(symbols[i].symbol) != symbols[i].key)
			fail_msg("keysym %#x: expected %u, saw %u", symbols[i].symbol,
				 symbols[i].key, keys_of_symbol(symbols[i].symbol));
	}
	for (i = 0; i < ARRAY_SIZE(usages); i++) {
		if (keys_of_usage(usages[i][0]) != usages[i][1])
			fail_msg("usage %#x: expected %u, saw %u", usages[i][0], usages[i][1],
				 keys_of_usage(usages[i][0]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keyboard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pointer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_clients, setup, teardown),
		cmocka_unit_test(test_hostile_display),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
