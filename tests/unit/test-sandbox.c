// SPDX-License-Identifier: BSD-3-Clause
/* What the adapter cannot do any more once it runs. In the guest confine.adapter tries the rest. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/sandbox.h"
#include "check.h"
#include "common/unwanted.h"

#define WITHOUT 77 /* this build, or this kernel, has no such filter */

static struct sockaddr_un abstract = { .sun_family = AF_UNIX }, somebody;
static socklen_t abstract_length;
static int connected[2] = { -1, -1 }, datagrams[2] = { -1, -1 };

/* In a child that has entered it: 0, WITHOUT or what went wrong. @path: it connects by itself */
static int tried(int (*attempt)(void), const char *path)
{
	const struct sandbox_needs needs = {
		.state_dir = "/tmp",
		.node = "/dev/null",
		.socket = path,
	};
	struct failure failure = { 0 };
	int status;
	pid_t child = fork();

	if (!child)
		_exit(sandbox_enter(&needs, &failure) ? 1 : attempt());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check(int (*attempt)(void), const char *path)
{
	int got = tried(attempt, path);

	if (got == WITHOUT)
		skip();
	assert_int_equal(got, 0);
}

/* Allowed is what abort() and raise() are made of. */
static int signal_others(void)
{
	/* a call that the filter does not know */
	if (syscall(SYS_getppid) >= 0)
		return WITHOUT;
	if (syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), 0) < 0)
		return 2;
	if (syscall(SYS_tgkill, 1, 1, 0) == 0 || errno != EPERM)
		return 3;
	/* as root it would be allowed, but for the filter */
	return syscall(SYS_tkill, 1, 0) == 0 ? 4 : 0;
}

static void test_signals(void **state)
{
	(void)state;
	check(signal_others, NULL);
}

static int other_process;

static int signal_child(void)
{
	if (syscall(SYS_getppid) >= 0)
		return WITHOUT;
	return syscall(SYS_tgkill, other_process, other_process, 0) == 0 ? 2 : 0;
}

/* Another process of the same user's, to which only the filter stands in the way. */
static void test_signal_to_own_user(void **state)
{
	(void)state;
	other_process = getpid();
	check(signal_child, NULL);
}

static int set_options(void)
{
	int sock = connected[0], value = 0;

	if (syscall(SYS_getppid) >= 0)
		return WITHOUT;
	/* kernels before 6.16 do not know it */
	if (setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof(value)) < 0 &&
	    errno != ENOPROTOOPT)
		return 2;
	if (setsockopt(sock, SOL_SOCKET, SO_OOBINLINE, &value, sizeof(value)) < 0)
		return 4;
	return setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)) == 0 ? 3 : 0;
}

static void test_options(void **state)
{
	(void)state;
	check(set_options, NULL);
}

/*
 * Who has a keeper gets to no socket by itself, whoever listens there; by those that it has it
 * talks on. The address of somebody who is there is of the test's own process.
 */
static int reach_sockets(void)
{
	const struct sockaddr *to = (struct sockaddr *)&somebody;
	int pair[2];

	if (syscall(SYS_getppid) >= 0)
		return WITHOUT;
	if (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0)
		return 2;
	if (connect(datagrams[0], to, sizeof(somebody)) == 0 || errno != EPERM)
		return 3;
	if (sendto(datagrams[0], "x", 1, MSG_NOSIGNAL, to, sizeof(somebody)) == 1)
		return 4;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0)
		return 5;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 6;
	if (socketpair(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 || errno != EPERM)
		return 7;
	return send(connected[0], "x", 1, MSG_NOSIGNAL) == 1 ? 0 : 8;
}

static void test_sockets(void **state)
{
	int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	somebody.sun_family = AF_UNIX;
	snprintf(somebody.sun_path, sizeof(somebody.sun_path), "/tmp/vlb-sandbox-%d", getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&somebody, sizeof(somebody)), 0);
	check(reach_sockets, NULL);
	close(listener);
	unlink(somebody.sun_path);
}

static int connect_abstract(void)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return 2;
	if (connect(sock, (struct sockaddr *)&abstract, abstract_length) == 0)
		return 3;
	return errno == EPERM ? 0 : 4;
}

static void test_abstract_sockets(void **state)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int n;

	(void)state;
	/* LANDLOCK_CREATE_RULESET_VERSION */
	if (syscall(444, NULL, 0, 1) < 6) {
		close(listener);
		print_message("this kernel's Landlock does not know them\n");
		skip();
	}
	n = snprintf(abstract.sun_path + 1, sizeof(abstract.sun_path) - 1, "vlb-unit-%d", getpid());
	abstract_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	assert_int_equal(bind(listener, (struct sockaddr *)&abstract, abstract_length), 0);
	assert_int_equal(listen(listener, 1), 0);
	check(connect_abstract, "/tmp");
	close(listener);
}

static int make_sockets(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connected) ||
	       socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, datagrams);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_signal_to_own_user),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_abstract_sockets),
	};

	return cmocka_run_group_tests(tests, make_sockets, NULL);
}
