// SPDX-License-Identifier: BSD-3-Clause
/* Who follows an adapter that was killed: what its keeper starts, and whom it believes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/supervise.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "socket-folder.h"
#include "vhost-user/socket.h"


#define SOON_MS 10000

/* What the keeper starts in this test: this program, which writes its command line down. */
static int be_heir(int argc, char **argv)
{
	char part[96], whole[96];
	FILE *f;
	int i;

	for (i = 1; i < argc - 2 && strcmp(argv[i], "--state-dir") != 0; i++)
		;
	snprintf(part, sizeof(part), "%s/part", argv[i + 1]);
	snprintf(whole, sizeof(whole), "%s/heir", argv[i + 1]);
	f = fopen(part, "we");
	if (!f)
		return 2;
	for (i = 0; i < argc; i++)
		fprintf(f, "%s ", argv[i]);
	fclose(f);
	if (rename(part, whole) < 0)
		return 2;
	return EXIT_NOTHING_TO_TAKE_OVER;
}

static const struct keeper_device device = { "unit", dir, "/nonexistent", { 0 } };

static const struct keeper_restart restart_words = {
	.exec = "sleep 100 {socket}",
	.user = "7:8",
	.sandbox = false,
};

/* Says that it is the adapter, and that another program is to follow it. */
static _Noreturn void adopt_with(int sock, const char *script, bool confined)
{
	struct keeper_note note = { .what = ORDER_ADOPT, .value = confined };
	struct iovec iov[2] = {
		{ .iov_base = &note, .iov_len = sizeof(note) },
		{ .iov_base = (char *)script, .iov_len = strlen(script) + 1 },
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
	if (socket_send(sock, iov, 2, NULL, 0) != (ssize_t)(iov[0].iov_len + iov[1].iov_len))
		_exit(1);
	for (;;)
		pause();
}

static bool is_answered(int sock)
{
	struct keeper_note note = { 0 };

	while (note.what != NEWS_STATUS)
		if (poll_fd(sock, POLLIN, deadline_after_ms(SOON_MS)) <= 0 ||
		    recv(sock, &note, sizeof(note), MSG_DONTWAIT) != sizeof(note))
			return false;
	return true;
}

/* Whoever is to follow comes by itself, or is it not there at all? */
static void read_heir(char *text, size_t size, unsigned int ms)
{
	deadline_t deadline = deadline_after_ms(ms);
	char file[96];
	FILE *f = NULL;

	snprintf(file, sizeof(file), "%s/heir", dir);
	text[0] = '\0';
	while (!(f = fopen(file, "re")) && !deadline_passed(deadline))
		poll(NULL, 0, 20);
	if (!f)
		return;
	if (!fgets(text, (int)size, f))
		text[0] = '\0';
	fclose(f);
	unlink(file);
}

static void write_script(char *script, size_t size)
{
	FILE *f;

	snprintf(script, size, "%s/script", dir);
	f = fopen(script, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\ncd %s\necho executed >part\nmv part heir\nexit 3\n", dir);
	fclose(f);
	assert_int_equal(chmod(script, 0700), 0);
}

/* This program, in another place */
static void copy_self(const char *to)
{
	_cleanup_close_ int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	char block[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, block, sizeof(block))) > 0)
		assert_int_equal(write(out, block, (size_t)n), n);
	assert_int_equal(n, 0);
	close(out);
}

/* In the child: the adapter is of the program @as, NULL: of this one. */
static _Noreturn void be_adapter(int sock, const char *as, const char *script, bool confined)
{
	char number[16];

	if (!as)
		adopt_with(sock, script, confined);
	snprintf(number, sizeof(number), "%d", sock);
	fcntl(sock, F_SETFD, 0);
	execl(as, as, "--adopt", number, script, (char *)NULL);
	_exit(1);
}

/* The first adapter, and its end of the socket to the keeper */
static pid_t start_first(int *sock)
{
	struct failure f = { 0 };
	unsigned int nfds = 0;
	struct supervisor s;
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
		if (supervisor_init(&s, "sleep 100 {socket}", path, &device, &restart_words, &f) ||
		    socket_send(pair[1], &iov, 1, &s.sock, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pair[1]);
	assert_int_equal(poll_fd(pair[0], POLLIN, deadline_after_ms(SOON_MS)), 1);
	assert_int_equal(socket_receive_all(pair[0], &byte, 1, sock, &nfds, 1), 1);
	assert_int_equal(nfds, 1);
	close(pair[0]);
	return pid;
}

/* Who is the adapter no more is not heard, though it has the socket still, and is ended. */
static void check_former(pid_t former, int sock)
{
	const struct keeper_note order = { .what = ORDER_NODE };
	deadline_t deadline = deadline_after_ms(SOON_MS);
	int status = 0;
	pid_t ended = 0;

	assert_int_equal(send(sock, &order, sizeof(order), 0), sizeof(order));
	if (poll_fd(sock, POLLIN, deadline_after_ms(500)) > 0)
		fail_msg("a former adapter is answered");
	while (!ended && !deadline_passed(deadline)) {
		ended = waitpid(former, &status, WNOHANG);
		poll(NULL, 0, 20);
	}
	if (ended != former || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("a former adapter: expected its end by SIGKILL, saw %d, status %#x",
			 (int)ended, status);
}

/* The one who says it is killed, and what follows it is what the keeper knows from its start. */
static void check_heir(const char *as, bool confined, const char *program_then,
		       const char *expected)
{
	char script[96], text[1024], wanted[1024];
	pid_t first, adapter;
	int sock;

	write_script(script, sizeof(script));
	first = start_first(&sock);
	adapter = fork();
	if (!adapter)
		be_adapter(sock, as, script, confined);
	assert_true(is_answered(sock));
	check_former(first, sock);
	read_heir(text, sizeof(text), 1000);
	if (text[0])
		fail_msg("the adapter lives, and is followed by '%s'", text);
	kill(adapter, SIGKILL);
	assert_int_equal(waitpid(adapter, NULL, 0), adapter);
	read_heir(text, sizeof(text), SOON_MS);
	close(sock);
	unlink(script);
	snprintf(wanted, sizeof(wanted), "%s --takeover --name unit --state-dir %s "
		 "--node /nonexistent --exec sleep 100 {socket} --user 7:8 %s", program_then, dir, expected);
	if (strcmp(text, wanted) != 0)
		fail_msg("expected '%s', saw '%s'", wanted, text);
}

static void test_heir(void **state)
{
	char self[PATH_MAX] = "", newer[PATH_MAX + 64], other[80];

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	check_heir(NULL, false, self, "--no-sandbox ");
	check_heir(NULL, true, self, "");
	/* one that was installed elsewhere, and goes on with the device; and what is no adapter */
	snprintf(newer, sizeof(newer), "%s/%s", dir, strrchr(self, '/') + 1);
	snprintf(other, sizeof(other), "%s/other", dir);
	copy_self(newer);
	check_heir(newer, false, newer, "--no-sandbox ");
	assert_int_equal(rename(newer, other), 0);
	check_heir(other, false, self, "--no-sandbox ");
	unlink(other);
}

/* An adapter that the keeper has not started, and its end; what follows it is in @text. */
static void adopt_and_die(int sock, const char *script, char *text, size_t size)
{
	pid_t adapter = fork();

	if (!adapter)
		adopt_with(sock, script, false);
	assert_true(is_answered(sock));
	kill(adapter, SIGKILL);
	assert_int_equal(waitpid(adapter, NULL, 0), adapter);
	read_heir(text, size, SOON_MS);
}

/* One heir finds that another adapter has the device: that one is followed as well. */
static void test_heir_again(void **state)
{
	char script[96], text[1024];
	pid_t first;
	int sock;

	(void)state;
	write_script(script, sizeof(script));
	first = start_first(&sock);
	adopt_and_die(sock, script, text, sizeof(text));
	assert_true(text[0]);
	adopt_and_die(sock, script, text, sizeof(text));
	if (!text[0])
		fail_msg("nobody follows an adapter that came after an heir had nothing to do");
	close(sock);
	unlink(script);
	kill(first, SIGKILL);
	assert_int_equal(waitpid(first, NULL, 0), first);
}

/* Another user's process is no adapter, though it got hold of the socket. */
static void test_heir_of_a_stranger(void **state)
{
	char script[96], text[512];
	struct failure f = { 0 };
	struct supervisor s;
	pid_t adapter;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_script(script, sizeof(script));
	assert_int_equal(supervisor_init(&s, NULL, path, &device, &restart_words, &f), 0);
	adapter = fork();
	if (!adapter) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		adopt_with(s.sock, script, false);
	}
	if (poll_fd(s.sock, POLLIN, deadline_after_ms(1000)) > 0)
		fail_msg("a process of another user is taken for the adapter");
	kill(adapter, SIGKILL);
	assert_int_equal(waitpid(adapter, NULL, 0), adapter);
	read_heir(text, sizeof(text), 1000);
	supervisor_finish(&s);
	unlink(script);
	assert_string_equal(text, "");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_heir, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_heir_again, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_heir_of_a_stranger, make_dir, remove_dir),
	};

	if (argc > 1 && !strcmp(argv[1], "--takeover"))
		return be_heir(argc, argv);
	if (argc == 4 && !strcmp(argv[1], "--adopt"))
		adopt_with((int)strtol(argv[2], NULL, 10), argv[3], false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
