// SPDX-License-Identifier: BSD-3-Clause
/* The back-end of --exec: started, watched, ended. Needs the hostile back-end's program. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/frontend.h"
#include "adapter/supervise.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/unix-socket.h"
#include "common/util.h"
#include "socket-folder.h"
#include "vhost-user/socket.h"


#define SOON_MS 10000

static const char *program;

/* /dev/null: what the keeper opens for an adapter */
static const struct keeper_device device = { "unit", "/nonexistent", "/dev/null", { 0 } };

static void start(struct supervisor *s, const char *arguments)
{
	struct failure f = { 0 };
	char command[512];

	snprintf(command, sizeof(command), "%s %s", program, arguments);
	assert_int_equal(supervisor_init(s, command, path, &device, NULL, &f), 0);
}

static bool ends(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	return pidfd < 0 || poll_fd(pidfd, POLLIN, deadline_after_ms(SOON_MS)) > 0;
}

/* Connected, and a vhost-user back-end at the other end. */
static void check_serves(struct supervisor *s)
{
	struct failure f = { 0 };
	struct frontend fe;
	int sock;

	sock = supervisor_start(s, deadline_after_ms(SOON_MS), &f);
	if (sock < 0)
		fail_msg("%s", f.text);
	assert_true(s->backend > 0);
	frontend_init(&fe);
	assert_int_equal(frontend_handshake(&fe, sock, deadline_after_ms(SOON_MS)), 0);
	assert_int_equal(fe.max_queues, 1);
	frontend_finish(&fe);
}

static void test_inherited(void **state)
{
	struct supervisor s;
	int fds = open_fds();
	pid_t pid;

	(void)state;
	start(&s, "--fd {fd}");
	check_serves(&s);
	pid = s.backend;
	/* the connection ended, and the back-end with it; it is started again */
	assert_true(ends(pid));
	while (s.backend)
		assert_int_equal(supervisor_ready(&s), 0);
	assert_true(WIFEXITED(s.status));
	check_serves(&s);
	assert_int_not_equal(s.backend, pid);
	supervisor_finish(&s);
	assert_int_equal(open_fds(), fds);
}

static void test_appended(void **state)
{
	struct supervisor s;

	(void)state;
	start(&s, "");
	check_serves(&s);
	supervisor_finish(&s);
}

static void test_listening(void **state)
{
	struct supervisor s;
	pid_t pid;

	(void)state;
	start(&s, "--socket-path {socket}");
	check_serves(&s);
	pid = s.backend;
	assert_int_equal(supervisor_stop(&s, deadline_after_ms(SOON_MS)), 0);
	assert_int_equal(s.backend, 0);
	assert_true(ends(pid));
	assert_true(WIFSIGNALED(s.status));
	assert_int_equal(WTERMSIG(s.status), SIGTERM);
	assert_int_equal(access(path, F_OK), 0);
	check_serves(&s); /* over what the old one left */
	supervisor_finish(&s);
	assert_int_not_equal(access(path, F_OK), 0); /* nor does this one leave it behind */
}

/* A stopped process takes no SIGTERM; it ends all the same, and in time. */
static void test_stopped(void **state)
{
	struct supervisor s;
	pid_t pid;

	(void)state;
	start(&s, "--socket-path {socket}");
	check_serves(&s);
	pid = s.backend;
	kill(pid, SIGSTOP);
	supervisor_finish(&s);
	assert_true(ends(pid));
}

/* A keeper that somebody has stopped cannot end: it is left, and the adapter ends. */
static void test_keeper_stopped(void **state)
{
	struct supervisor s;
	pid_t keeper;

	(void)state;
	start(&s, "--fd {fd}");
	check_serves(&s);
	keeper = s.keeper;
	assert_int_equal(kill(keeper, SIGSTOP), 0);
	supervisor_finish(&s);
	assert_int_equal(waitpid(keeper, NULL, WNOHANG), 0);
	assert_int_equal(kill(keeper, SIGKILL), 0);
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
}

/* ---- a back-end of several processes ---- */

/*
 * The back-end of the tests below, which ends at once. It leaves a process in its group that is
 * killed with it, and is gone when one outside of the group has waited for it: after @ms.
 */
static _Noreturn void leave_one(unsigned int ms)
{
	pid_t leader = getpid(), member;
	siginfo_t info;
	int ready[2];
	char byte;

	if (pipe(ready) < 0)
		_exit(1);
	if (fork()) {
		close(ready[1]);
		_exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
	}
	setpgid(0, 0);
	member = fork();
	if (!member) {
		if (setpgid(0, leader) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	waitid(P_PID, (id_t)member, &info, WEXITED | WNOWAIT);
	poll(NULL, 0, (int)ms);
	waitpid(member, NULL, 0);
	_exit(0);
}

/* Return: milliseconds until the keeper has told of its end */
static unsigned int wait_ended(struct supervisor *s)
{
	deadline_t begin = now_ns(), deadline = deadline_after_ms(2 * SOON_MS);

	while (s->backend) {
		assert_int_equal(supervisor_ready(s), 0);
		if (deadline_passed(deadline))
			fail_msg("the keeper does not tell of the back-end's end");
		poll(NULL, 0, 1);
	}
	return (unsigned int)((now_ns() - begin) / 1000000);
}

static pid_t start_command(struct supervisor *s, const char *command)
{
	struct failure f = { 0 };
	int sock;

	assert_int_equal(supervisor_init(s, command, path, &device, NULL, &f), 0);
	sock = supervisor_start(s, deadline_after_ms(SOON_MS), &f);
	if (sock < 0)
		fail_msg("%s", f.text);
	close(sock);
	return s->backend;
}

/* The next one gets the memory when all of the last one's processes are gone, not its first. */
static void test_group_awaited(void **state)
{
	struct supervisor s;
	pid_t pid;

	(void)state;
	pid = start_command(&s, "/proc/self/exe --leave 700 {fd}");
	wait_ended(&s);
	if (kill(-pid, 0) == 0)
		fail_msg("it is told of its end, and a process of its group is left");
	assert_int_equal(errno, ESRCH);
	supervisor_finish(&s);
}

/* One that does not go is not waited for for ever. */
static void test_group_that_stays(void **state)
{
	struct supervisor s;
	unsigned int ms;

	(void)state;
	start_command(&s, "/proc/self/exe --leave 15000 {fd}");
	ms = wait_ended(&s);
	if (ms < 4000 || ms > 14000)
		fail_msg("expected its end after 8 s, saw it after %u ms", ms);
	supervisor_finish(&s);
}

/* What a shell leaves is the keeper's to wait for: nobody else might. */
static void test_orphan_reaped(void **state)
{
	struct supervisor s;
	unsigned int ms;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	start_command(&s, "sh -c 'sleep 100 & exit 0' {fd}");
	ms = wait_ended(&s);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	if (ms > 5000)
		fail_msg("expected its end at once, saw it after %u ms", ms);
	supervisor_finish(&s);
}

/* ---- what a confined adapter has done for it ---- */

static void test_node(void **state)
{
	const struct keeper_device nowhere = { "unit", "/nonexistent", "/nonexistent", { 0 } };
	struct supervisor s = SUPERVISOR_NONE;
	struct failure f = { 0 };
	struct stat st;
	int fds, node;

	(void)state;
	assert_int_equal(supervisor_open_node(&s), -ENOTCONN);
	fds = open_fds();
	assert_int_equal(supervisor_init(&s, NULL, path, &device, NULL, &f), 0);
	node = supervisor_open_node(&s);
	assert_true(node >= 0);
	assert_int_equal(fstat(node, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(st.st_rdev, makedev(1, 3));
	assert_int_equal(fcntl(node, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(node, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(node);
	supervisor_finish(&s);
	assert_int_equal(supervisor_init(&s, NULL, path, &nowhere, NULL, &f), 0);
	assert_int_equal(supervisor_open_node(&s), -ENOENT);
	supervisor_finish(&s);
	assert_int_equal(open_fds(), fds);
}

/* What is no node comes from no keeper, and may take for ever to close. */
static void test_node_that_is_none(void **state)
{
	struct failure f = { 0 };
	struct supervisor s;
	char file[32];
	const struct keeper_device elsewhere = { "unit", "/nonexistent", file, { 0 } };

	(void)state;
	close(mkstemp(strcpy(file, "/tmp/vlb-node-XXXXXX")));
	assert_int_equal(supervisor_init(&s, NULL, path, &elsewhere, NULL, &f), 0);
	assert_int_equal(supervisor_open_node(&s), -ECONNRESET);
	assert_true(s.strange);
	supervisor_finish(&s);
	unlink(file);
}

static void test_console(void **state)
{
	struct supervisor s = SUPERVISOR_NONE;
	struct failure f = { 0 };

	(void)state;
	assert_int_equal(supervisor_release_console(&s, 12345), -ENOTCONN);
	assert_int_equal(supervisor_init(&s, NULL, path, &device, NULL, &f), 0);
	assert_int_equal(supervisor_release_console(&s, 12345), 0);
	supervisor_finish(&s);
}

/* ---- a back-end that somebody else has started ---- */

static bool is_over(int sock)
{
	char byte;

	return poll_fd(sock, POLLIN, deadline_after_ms(SOON_MS)) > 0 &&
	       recv(sock, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Services believe root, and who listens at the path is not for the keeper to know. */
static void check_identity(int theirs)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	struct run_as nobody = { .uid = RUN_AS_DEFAULT_ID };

	run_as_find(&nobody, RUN_AS_DEFAULT);
	assert_int_equal(getsockopt(theirs, SOL_SOCKET, SO_PEERCRED, &peer, &len), 0);
	assert_int_equal(peer.uid, geteuid() ? geteuid() : nobody.uid);
}

/* The two ends belong together, and the adapter's goes to nobody else. */
static void check_connection(struct supervisor *s, int listener)
{
	int ours = supervisor_connect(s, deadline_after_ms(SOON_MS)), theirs;
	char byte = 0;

	if (ours < 0)
		fail_msg("expected a connection, saw %s", strerror(-ours));
	theirs = unix_accept(listener);
	check_identity(theirs);
	assert_true(theirs >= 0);
	assert_int_equal(fcntl(ours, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(ours, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(write(ours, "x", 1), 1);
	assert_int_equal(read(theirs, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(ours);
	assert_true(is_over(theirs));
	close(theirs);
}

/* The answer to one that nobody waits for any longer is not that to the next. */
static void check_late_answer(struct supervisor *s, int listener)
{
	int late;

	assert_int_equal(kill(s->keeper, SIGSTOP), 0);
	assert_int_equal(supervisor_connect(s, deadline_after_ms(50)), -ETIMEDOUT);
	assert_int_equal(kill(s->keeper, SIGCONT), 0);
	assert_true(poll_fd(listener, POLLIN, deadline_after_ms(SOON_MS)) > 0);
	late = unix_accept(listener);
	assert_true(late >= 0);
	check_connection(s, listener);
	assert_true(is_over(late));
	close(late);
}

static void test_connect(void **state)
{
	struct failure f = { 0 };
	struct supervisor s;
	int fds = open_fds(), ours[16], listener, ret, n = 0;

	(void)state;
	assert_int_equal(supervisor_init(&s, NULL, path, &device, NULL, &f), 0);
	assert_true(s.reaches);
	assert_false(supervisor_used(&s));
	assert_int_equal(supervisor_connect(&s, deadline_after_ms(SOON_MS)), -ENOENT);
	listener = unix_listen(path);
	assert_true(listener >= 0);
	check_connection(&s, listener);
	check_late_answer(&s, listener);

	/* one that takes no connections */
	while ((ret = supervisor_connect(&s, deadline_after_ms(100))) >= 0) {
		assert_true(n < (int)ARRAY_SIZE(ours));
		ours[n++] = ret;
	}
	assert_int_equal(ret, -ETIMEDOUT);
	close(listener);
	assert_int_equal(supervisor_connect(&s, deadline_after_ms(SOON_MS)), -ECONNREFUSED);
	supervisor_finish(&s);
	unlink(path);
	while (n)
		close(ours[--n]);
	assert_int_equal(open_fds(), fds);
}

/*
 * No adapter sends descriptors, and one that does cannot hold up the keeper by them: the kernel
 * refuses, or the keeper ends the device, without a look at what it is.
 */
static void test_descriptor(void **state)
{
	struct keeper_note note = { .what = ORDER_STOP };
	struct iovec iov = { .iov_base = &note, .iov_len = sizeof(note) };
	struct supervisor s;
	int pair[2];
	char byte;
	pid_t pid;

	(void)state;
	start(&s, "--socket-path {socket}");
	check_serves(&s);
	pid = s.backend;
	assert_int_equal(pipe(pair), 0);
	if (socket_send(s.sock, &iov, 1, &pair[1], 1) < 0)
		assert_int_equal(supervisor_ready(&s), 0);
	else
		assert_true(ends(pid));
	supervisor_finish(&s);
	/* nobody has taken it in and kept it */
	close(pair[1]);
	assert_int_equal(read(pair[0], &byte, 1), 0);
	close(pair[0]);
}

/* ---- a place that others may write to ---- */

/* Another user, who takes the path for @ms whenever nobody has it. */
static pid_t take_path(unsigned int ms)
{
	deadline_t end = deadline_after_ms(ms);
	pid_t child = fork();

	if (child)
		return child;
	if (setgid(65534) || setuid(65534))
		_exit(1);
	while (!deadline_passed(end)) {
		if (access(path, F_OK) < 0 && unix_listen(path) >= 0)
			chmod(path, 0777);
		poll(NULL, 0, 1);
	}
	unlink(path);
	_exit(0);
}

static void test_stranger(void **state)
{
	struct failure f = { 0 };
	struct supervisor s;
	char command[512];
	pid_t child;
	int ret;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(dir, 01777), 0);
	/* the file of the last back-end is there until this one is started */
	child = take_path(4000);
	assert_int_equal(supervisor_init(&s, "sh -c 'exec sleep 100' {socket}", path, &device, NULL, &f),
			 0);
	ret = supervisor_start(&s, deadline_after_ms(1500), &f);
	if (ret >= 0)
		fail_msg("connected to another user's process");
	if (!strstr(f.text, "user 65534"))
		fail_msg("expected a word on the user 65534, saw '%s'", f.text);
	supervisor_finish(&s);
	waitpid(child, NULL, 0);
	/* ... who goes away, and then the back-end comes */
	child = take_path(1500);
	snprintf(command, sizeof(command),
		 "sh -c 'sleep 3; exec \"$0\" --socket-path \"$1\"' %s {socket}", program);
	f = (struct failure){ 0 };
	assert_int_equal(supervisor_init(&s, command, path, &device, NULL, &f), 0);
	check_serves(&s);
	supervisor_finish(&s);
	waitpid(child, NULL, 0);
}

/* root takes over what another user has attached: the back-end is still that user's. */
static void test_adopt_of_a_user(void **state)
{
	const struct keeper_note status = { .what = NEWS_STATUS };
	struct failure f = { 0 };
	struct supervisor s;
	int pair[2];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(seteuid(1000), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(send(pair[1], &status, sizeof(status), 0), sizeof(status));
	assert_int_equal(supervisor_adopt(&s, pair[0], "sleep 100", path, false, &f), 0);
	if (s.user != 1000)
		fail_msg("expected the back-ends of user 1000, saw %u", (unsigned int)s.user);
	close(pair[1]);
	supervisor_finish(&s);
}

/* An adapter that is killed takes its back-end along. */
static void test_adapter_killed(void **state)
{
	int pair[2];
	pid_t adapter, backend;

	(void)state;
	assert_int_equal(pipe(pair), 0);
	adapter = fork();
	if (adapter == 0) {
		struct failure f = { 0 };
		struct supervisor s;
		char command[512];

		snprintf(command, sizeof(command), "%s --socket-path {socket}", program);
		if (supervisor_init(&s, command, path, &device, NULL, &f) ||
		    supervisor_start(&s, deadline_after_ms(SOON_MS), &f) < 0)
			_exit(1);
		if (write(pair[1], &s.backend, sizeof(s.backend)) < 0)
			_exit(1);
		pause();
	}
	assert_int_equal(read(pair[0], &backend, sizeof(backend)), sizeof(backend));
	kill(adapter, SIGKILL);
	waitpid(adapter, NULL, 0);
	assert_true(ends(backend));
	close(pair[0]);
	close(pair[1]);
}

static void check_refused(const char *command, const char *says, unsigned int ms)
{
	struct failure f = { 0 };
	struct supervisor s;
	int ret;

	ret = supervisor_init(&s, command, path, &device, NULL, &f);
	if (!ret) {
		ret = supervisor_start(&s, deadline_after_ms(ms), &f);
		supervisor_finish(&s);
	}
	if (ret >= 0 || !strstr(f.text, says))
		fail_msg("%s: %d, '%s'", command, ret, f.text);
}

static void test_refused(void **state)
{
	(void)state;
	check_refused("", "no program", SOON_MS);
	check_refused("'open", "quote", SOON_MS);
	check_refused("/nonexistent/program", "cannot be started: No such file", SOON_MS);
	check_refused(dir, "cannot be started: Permission denied", SOON_MS);
	check_refused("false {socket}", "exited with status 1 before it listened", SOON_MS);
	check_refused("sh -c 'kill -9 $$' {socket}", "killed by signal 9 before it listened", SOON_MS);
	check_refused("sleep 100 {socket}", "exited with status 1", SOON_MS);
	check_refused("sh -c 'exec sleep 100' {socket}", "does not listen", 2000);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inherited, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_appended, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_listening, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_stopped, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_keeper_stopped, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_group_awaited, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_node, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_node_that_is_none, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_console, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_group_that_stays, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_orphan_reaped, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_connect, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_descriptor, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_stranger, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_adopt_of_a_user, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_adapter_killed, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_refused, make_dir, remove_dir),
	};

	if (argc == 4 && !strcmp(argv[1], "--leave"))
		leave_one((unsigned int)strtoul(argv[2], NULL, 10));
	if (argc != 2) {
		print_error("usage: test-supervise HOSTILE-BACKEND\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
