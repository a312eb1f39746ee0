// SPDX-License-Identifier: BSD-3-Clause
/* What attach has to do with the adapter that it starts. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cli/command.h"
#include "cli/sysfs.h"
#include "common/deadline.h"
#include "common/util.h"
#include "own-run.h"
#include "stand-in.h"

#define PLATFORM "/run/platform" /* where the kernel shows devices */

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

/* Who is asked in another way is the one that is set up, or (SILENT) never gets there. */
static int be_set_up(int argc, char **argv)
{
	sigset_t ends;
	int i, signal;
	FILE *f;

	alarm(20);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	for (i = 1; i < argc - 1 && strcmp(argv[i], "--ready-fd") != 0; i++)
		;
	if (!getenv("SILENT"))
		dprintf((int)strtol(argv[i + 1], NULL, 10), "ok 0 0 1\n");
	f = fopen(BESIDE "/pid.new", "we");
	if (!f || fprintf(f, "%d", getpid()) < 0 || fclose(f) != 0 ||
	    rename(BESIDE "/pid.new", BESIDE "/pid") < 0)
		return 1;
	sigwait(&ends, &signal);
	/* as the kernel has it once the device is ended */
	return rename(PLATFORM "/virtio-loopback.0", PLATFORM "/ended") < 0;
}

static int called_as_adapter(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--no-takeover"))
			return be_foreground(argc, argv);
	return be_set_up(argc, argv);
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

/* ---- a device that is not to be ---- */

static void put(const char *file, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), PLATFORM "/virtio-loopback.0/%s", file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* What the kernel shows of the device: its driver, and (@node) the node that it has made. */
static void put_device(bool node)
{
	assert_int_equal(system("rm -rf " PLATFORM " && mkdir -p " PLATFORM
				"/virtio-loopback.0/virtio0 && ln -s /x/virtio_blk " PLATFORM
				"/virtio-loopback.0/virtio0/driver"),
			 0);
	if (node)
		assert_int_equal(system("mkdir -p " PLATFORM
					"/virtio-loopback.0/virtio0/block/null"),
				 0);
	put("name", "other\n");
	put("state", "running\n");
	put("device_id", "2\n");
}

static _Noreturn void attach_to(const char *output)
{
	int fd = open(output, O_WRONLY | O_CLOEXEC);

	alarm(30);
	dup2(fd, STDOUT_FILENO);
	sysfs_platform = PLATFORM;
	_exit(run_attach_with(NULL));
}

/* One line says why, the status is 1, and neither the device nor its adapter is there any more. */
static void check_undone(pid_t attach, const char *what)
{
	int status;

	assert_int_equal(waitpid(attach, &status, 0), attach);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail_msg("%s: expected exit status 1, saw wait status %#x", what,
			 (unsigned int)status);
	if (access(PLATFORM "/virtio-loopback.0", F_OK) == 0)
		fail_msg("%s: the device is left behind", what);
	unlink(BESIDE "/pid");
}

static void check_interrupted(int signal, const char *what)
{
	pid_t child;

	put_device(false);
	fflush(stdout);
	child = fork();
	if (!child)
		attach_to("/dev/null");
	written();
	kill(child, signal);
	check_undone(child, what);
}

/* Who interrupts it wants no device, whether it is there already or not. */
static void test_interrupted(void **state)
{
	char self[PATH_MAX] = "";

	(void)state;
	stand_in(self);
	check_interrupted(SIGINT, "SIGINT, while it waits for nodes");
	check_interrupted(SIGTERM, "SIGTERM, while it waits for nodes");
	setenv("SILENT", "1", 1);
	check_interrupted(SIGINT, "SIGINT, while it waits for the adapter");
	unsetenv("SILENT");
	stand_down(self);
}

/* ... and who is not told its name knows of none. */
static void test_line_lost(void **state)
{
	char self[PATH_MAX] = "";
	pid_t child;

	(void)state;
	stand_in(self);
	put_device(true);
	fflush(stdout);
	child = fork();
	if (!child)
		attach_to("/dev/full");
	check_undone(child, "a line that cannot be written");
	stand_down(self);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreground),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_line_lost),
	};

	if (argc > 1)
		return called_as_adapter(argc, argv);
	return cmocka_run_group_tests(tests, own_run_make, NULL);
}
