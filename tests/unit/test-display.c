// SPDX-License-Identifier: BSD-3-Clause
/* The display as the adapter has it: started, connected, heard, ended; display-probe stands in. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapter/display.h"
#include "common/cleanup.h"
#include "common/log.h"

#define WAIT_MS 10000

static const char *probe;

static struct adapter_options options(void)
{
	return (struct adapter_options){
		.display = "none",
		.display_program = probe,
		.heads = 2,
		.resolution = "800x600",
	};
}

/* A request of the back-end, and what comes back. */
static void ask(int fd, uint32_t request, uint32_t *reply_size, void *reply, size_t room)
{
	const uint32_t header[3] = { request, 0, 0 };
	uint32_t answer[3];

	assert_int_equal(send(fd, header, sizeof(header), MSG_NOSIGNAL), sizeof(header));
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
	assert_int_equal(answer[0], request);
	assert_int_equal(answer[1], 4);
	assert_true(answer[2] <= room);
	assert_int_equal(recv(fd, reply, answer[2], MSG_WAITALL), answer[2]);
	*reply_size = answer[2];
}

static void check_answers(int fd)
{
	uint8_t reply[512];
	uint32_t size;

	ask(fd, 1, &size, reply, sizeof(reply)); /* GET_PROTOCOL_FEATURES */
	assert_int_equal(size, 8);
	ask(fd, 3, &size, reply, sizeof(reply)); /* GET_DISPLAY_INFO */
	assert_int_equal(size, 408);
}

static const struct run_as same; /* it stays who it is */

/* Each socket is a new one; the old one is over, also for who still has its other end. */
static void test_sockets(void **state)
{
	struct adapter_options o = options();
	struct failure f = { 0 };
	struct display d;
	int first, second;
	char byte;

	(void)state;
	display_init(&d);
	assert_false(display_used(&d));
	assert_int_equal(display_start(&d, &o, &same, deadline_after_ms(WAIT_MS), &f), 0);
	assert_true(display_used(&d));
	first = display_connect(&d, &f);
	assert_true(first >= 0);
	check_answers(first);
	second = display_connect(&d, &f);
	assert_true(second >= 0);
	assert_int_equal(recv(first, &byte, 1, 0), 0);
	check_answers(second);
	display_disconnect(&d);
	assert_int_equal(recv(second, &byte, 1, 0), 0);
	assert_int_equal(display_ready(&d), 0);
	display_finish(&d);
	assert_false(display_used(&d));
	close(first);
	close(second);
}

static void test_gone(void **state)
{
	struct adapter_options o = options();
	struct failure f = { 0 };
	struct display d;

	(void)state;
	display_init(&d);
	assert_int_equal(display_start(&d, &o, &same, deadline_after_ms(WAIT_MS), &f), 0);
	kill(d.pid, SIGKILL);
	assert_true(poll_fd(d.sock, 1, deadline_after_ms(WAIT_MS)) >= 0);
	assert_int_equal(display_ready(&d), -ECONNRESET);
	display_finish(&d);
	/* twice does no harm */
	display_finish(&d);
}

static void try_program(const char *program, const char *words)
{
	struct adapter_options o = options();
	struct failure f = { 0 };
	struct display d;

	o.display_program = program;
	display_init(&d);
	assert_true(display_start(&d, &o, &same, deadline_after_ms(500), &f) < 0);
	if (!strstr(f.text, words))
		fail_msg("%s: expected '%s', saw '%s'", program, words, f.text);
	display_finish(&d);
}

static void test_bad_programs(void **state)
{
	(void)state;
	try_program("/no/such/program", "cannot be started");
	try_program("false", "ended before it could show anything");
}

/* What it says is heard, and nonsense is nothing. */
static void test_lines(void **state)
{
	static const struct {
		const char *line;
		bool changed;
	} lines[] = {
		{ "resize 0 800 600\n", true }, { "resize 1 32 32", true },
		{ "resize", false },		{ "resize 0 800", false },
		{ "resize 0 800 600 7", false }, { "hello\n", false },
		{ "ready\n", false },
	};
	struct display d;
	int pair[2];
	size_t i;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	display_init(&d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	d.sock = pair[0];
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		d.changed = false;
		assert_true(send(pair[1], lines[i].line, strlen(lines[i].line), 0) > 0);
		assert_int_equal(display_ready(&d), 0);
		if (d.changed != lines[i].changed)
			fail_msg("'%s': expected %d, saw %d", lines[i].line, lines[i].changed,
				 d.changed);
	}
	close(pair[1]);
	assert_int_equal(display_ready(&d), -ECONNRESET);
	display_finish(&d);
}

/* A script in the display's place: @path is filled in, and is to be removed */
static void write_script(char *path, const char *script)
{
	int fd = mkstemp(path);

	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	assert_int_equal(fchmod(fd, 0700), 0);
	close(fd); /* or it could not be executed */
}

#define STRAY_FD 9

/* What the adapter's caller left open: the display does not have it. */
static void test_stray_descriptor(void **state)
{
	char path[] = "/tmp/vlb-display-XXXXXX";
	struct adapter_options o = options();
	struct failure f = { 0 };
	struct display d;
	int pair[2], ret;

	(void)state;
	write_script(path, "#!/bin/sh\n[ -e /proc/$$/fd/9 ] || echo ready >&3\nread line <&3\n");
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(dup2(pair[1], STRAY_FD), STRAY_FD);
	o.display_program = path;
	display_init(&d);
	ret = display_start(&d, &o, &same, deadline_after_ms(WAIT_MS), &f);
	display_finish(&d);
	close(STRAY_FD);
	close(pair[0]);
	close(pair[1]);
	unlink(path);
	if (ret)
		fail_msg("expected no descriptor %d in the display, saw one: %s", STRAY_FD, f.text);
}

static bool slow; /* the one that waits: so there is always something to read */

/* In the place of the C library's. */
int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	const struct timespec limit = { timeout / 1000, timeout % 1000 * 1000000L };

	if (slow)
		usleep(1000);
	return ppoll(fds, count, timeout < 0 ? NULL : &limit, NULL);
}

/* A program that says something else than that it is ready, again and again. */
static void test_never_ready(void **state)
{
	char path[] = "/tmp/vlb-display-XXXXXX";

	(void)state;
	write_script(path, "#!/bin/sh\nwhile echo steady >&3; do :; done 2>/dev/null\n");
	alarm(30);
	slow = true;
	try_program(path, "does not come up");
	slow = false;
	alarm(0);
	unlink(path);
}

/* One that says more than is its turn. */
static void test_many_lines(void **state)
{
	struct display d;
	char byte;
	int pair[2];

	(void)state;
	display_init(&d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	d.sock = pair[0];
	while (send(pair[1], "resize 0 8 8", 12, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(display_ready(&d), 0);
	if (recv(d.sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0)
		fail_msg("expected some lines for the next turn, saw none");
	close(pair[1]);
	display_finish(&d);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_bad_programs),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_stray_descriptor),
		cmocka_unit_test(test_never_ready),
		cmocka_unit_test(test_many_lines),
	};

	if (argc != 2)
		return 2;
	probe = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
