// SPDX-License-Identifier: BSD-3-Clause
/* What attach has to do with the adapter that it starts. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cli/command.h"
#include "common/deadline.h"
#include "common/util.h"
#include "own-run.h"
#include "stand-in.h"

/* One that stays: it says who it is, and how it was called. */
static int be_foreground(int argc, char **argv)
{
	FILE *f = fopen(BESIDE "/pid.new", "we");
	int i;

	alarm(20);
	if (!f || fprintf(f, "%d", getpid()) < 0)
		return 1;
	for (i = 1; i < argc; i++)
		fprintf(f, " %s", argv[i]);
	if (fclose(f) != 0 ||
	    rename(BESIDE "/pid.new", BESIDE "/pid") < 0)
		return 1;
	for (;;)
		pause();
}

/* In a static buffer: "PID WORD..." */
static const char *written(void)
{
	deadline_t deadline = deadline_after_ms(5000);
	static char text[1024];
	FILE *f;

	while (!(f = fopen(BESIDE "/pid", "re")) && !deadline_passed(deadline))
		poll(NULL, 0, 10);
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	return text;
}

static void check_foreground(int signal)
{
	static char option[] = "--foreground";
	pid_t child = fork();
	int pidfd;

	if (!child) {
		alarm(20);
		_exit(run_attach_with(option));
	}
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)strtol(written(), NULL, 10), 0);
	assert_true(pidfd >= 0);
	unlink(BESIDE "/pid");
	kill(child, signal);
	waitpid(child, NULL, 0);
	if (poll_fd(pidfd, POLLIN, deadline_after_ms(5000)) < 0)
		fail_msg("signal %d ended the command, and the adapter lives", signal);
	close(pidfd);
}

/* Whatever ends the command, the adapter ends with it: here when its terminal is closed. */
static void test_foreground(void **state)
{
	char self[PATH_MAX] = "";

	(void)state;
	stand_in(self);
	check_foreground(SIGHUP);
	check_foreground(SIGKILL);
	stand_down(self);
}

/* The adapter runs in another folder than the command: what is said here is meant from here. */
static void test_relative_paths(void **state)
{
	static char program[] = "attach", type_option[] = "--type", type[] = "blk",
		    socket_option[] = "--socket", path[] = "some.sock", node_option[] = "--node",
		    node[] = "../dev/null", log_option[] = "--log", log[] = "some.log",
		    foreground[] = "--foreground";
	char *args[] = { program,     type_option, type,       socket_option, path, node_option,
			 node,	      log_option,  log,	       foreground,    NULL };
	static const char *const wanted[] = { " --socket /run/some.sock ",
					      " --node /run/../dev/null ",
					      " --log /run/some.log " };
	char self[PATH_MAX] = "";
	const char *words;
	pid_t child;
	size_t i;

	(void)state;
	stand_in(self);
	child = fork();
	if (!child) {
		alarm(20);
		optind = 0;
		_exit(chdir("/run") < 0 || command_attach(10, args));
	}
	words = written();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	stand_down(self);
	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!strstr(words, wanted[i]))
			fail_msg("expected '%s' among '%s'", wanted[i], words);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreground),
		cmocka_unit_test(test_relative_paths),
	};

	if (argc > 1)
		return be_foreground(argc, argv);
	return cmocka_run_group_tests(tests, own_run_make, NULL);
}
