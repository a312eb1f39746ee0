// SPDX-License-Identifier: BSD-3-Clause
/* What attach has to do with the adapter that it starts. */
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
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

/* The value of an option that is among the words. */
static const char *value_of(int argc, char **argv, const char *option)
{
	int i;

	for (i = 1; i < argc - 1 && strcmp(argv[i], option) != 0; i++)
		;
	return argv[i + 1];
}

/* One that fails, and says what it is called. */
static int be_called(int argc, char **argv)
{
	dprintf((int)strtol(value_of(argc, argv, "--ready-fd"), NULL, 10), "error 5 called %s\n",
		value_of(argc, argv, "--name"));
	return 1;
}

/* Who is asked in another way is the one that is set up, or (SILENT) never gets there. */
static int be_set_up(int argc, char **argv)
{
	sigset_t ends;
	int signal;
	FILE *f;

	alarm(20);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (!getenv("SILENT"))
		dprintf((int)strtol(value_of(argc, argv, "--ready-fd"), NULL, 10), "ok 0 0 1\n");
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
	return getenv("CALLED") ? be_called(argc, argv) : be_set_up(argc, argv);
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

/* ---- the name that it chooses ---- */

/* What attach says on standard error, in a static buffer, without the privileges of root */
static const char *said_without_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	static char text[1024];
	FILE *out = tmpfile();
	pid_t child;

	assert_non_null(out);
	fflush(stdout);
	child = fork();
	if (!child) {
		alarm(30);
		dup2(fileno(out), STDERR_FILENO);
		_exit(syscall(SYS_capset, &header, none) < 0 || run_attach_with(NULL));
	}
	waitpid(child, NULL, 0);
	rewind(out);
	text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
	fclose(out);
	return text;
}

/* The log of another user's device that failed is in nobody's way. */
static void test_name_of_another(void **state)
{
	static const char *const left[] = { STATE_DIR "/blk0.log", STATE_DIR "/blk1.lock" };
	char self[PATH_MAX] = "";
	const char *said;
	size_t i;

	(void)state;
	stand_in(self);
	for (i = 0; i < ARRAY_SIZE(left); i++) {
		close(open(left[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
		assert_int_equal(chown(left[i], 65534, 65534), 0);
	}
	setenv("CALLED", "1", 1);
	said = said_without_privileges();
	unsetenv("CALLED");
	for (i = 0; i < ARRAY_SIZE(left); i++)
		unlink(left[i]);
	stand_down(self);
	if (!strstr(said, "called blk2"))
		fail_msg("expected the name blk2, saw %s", said);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreground),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_line_lost),
		cmocka_unit_test(test_name_of_another),
	};

	if (argc > 1)
		return called_as_adapter(argc, argv);
	return cmocka_run_group_tests(tests, own_run_make, NULL);
}
