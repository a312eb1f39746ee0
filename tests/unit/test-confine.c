// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a confined process cannot do, call by call: in a child that confines itself and tries. That
 * each program does confine itself is seen in the guest (tests/vm/test_confine.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/confine.h"
#include "common/util.h"

#define FCHMODAT2 452

#ifdef HAVE_SECCOMP
#define FILTERS true
#else
#define FILTERS false
#endif

static pid_t other; /* a process that is none of the confined one's */

/* ---- the child ---- */

enum how { LIST, WIDE, WIDE_CONNECTING, FILES };

struct attempt {
	const char *name;
	long (*try)(void);
	int expected; /* errno; 0: it goes; -1: it goes, or fails, and not by the filter */
};

static int confine_as(enum how how, unsigned int kinds)
{
	const struct confine_path files[] = { { "/", CONFINE_READ } };
	struct failure failure = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	switch (how) {
	case LIST:
		return confine_kinds(CONFINE_LISTEN | kinds, &failure);
	case WIDE:
	case WIDE_CONNECTING:
		return confine_calls_wide(how == WIDE_CONNECTING, &failure);
	default:
		return confine_files(files, ARRAY_SIZE(files), CONFINE_KEEP_ABSTRACT,
				     &failure);
	}
}

/* @results: shared with the parent; the last one is the confinement's */
static void child(enum how how, unsigned int kinds, const struct attempt *attempts, size_t n,
		  int *results)
{
	size_t i;

	results[n] = confine_as(how, kinds);
	for (i = 0; i < n && !results[n]; i++) {
		errno = 0;
		results[i] = attempts[i].try() < 0 ? errno : 0;
	}
	_exit(0);
}

static void check_attempts(enum how how, unsigned int kinds, const struct attempt *attempts,
			   size_t n)
{
	int *results = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int wrong = 0;
	int status;
	pid_t pid;
	size_t i;

	assert_true(results != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		child(how, kinds, attempts, n, results);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(results[n], 0);
	for (i = 0; i < n; i++) {
		bool good = attempts[i].expected < 0 ? results[i] != EPERM :
						       results[i] == attempts[i].expected;

		if (!good)
			print_error("%s: expected %s, saw %s\n", attempts[i].name,
				    attempts[i].expected < 0 ? "no EPERM" :
							       strerror(attempts[i].expected),
				    strerror(results[i]));
		wrong += !good;
	}
	munmap(results, 4096);
	assert_int_equal(wrong, 0);
}

static void need_filters(void)
{
	if (FILTERS)
		return;
	print_message("built without libseccomp\n");
	skip();
}

#define CHECK(how, kinds, attempts) check_attempts(how, kinds, attempts, ARRAY_SIZE(attempts))

/* ---- namespaces ---- */

/* No kernel takes both: where there is no filter nothing is made, either. */
static long try_clone(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, NULL, NULL, NULL, NULL);
}

static long try_clone_net(void)
{
	return syscall(SYS_clone, CLONE_NEWNET | CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL, NULL);
}

static long try_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0);
}

static long try_unshare(void)
{
	return syscall(SYS_unshare, 0);
}

static void *nothing(void *data)
{
	return data;
}

static long try_thread(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, nothing, NULL);
	if (errno)
		return -1;
	return pthread_join(thread, NULL) ? -1 : 0;
}

static long try_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static long try_vfork(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL,
				   NULL);

	if (!pid)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

#ifdef SYS_fork /* not on newer architectures */
static long try_old_fork(void)
{
	pid_t pid = (pid_t)syscall(SYS_fork);

	if (!pid)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}
#else
#define try_old_fork try_fork
#endif

/* The kernel takes 32 bits of it. */
static long try_outlive_long(void)
{
	return syscall(SYS_prctl, PR_SET_PDEATHSIG | ~0xffffffffUL, 0, 0, 0, 0);
}

static long try_outlive(void)
{
	return syscall(SYS_prctl, (unsigned long)PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

static long try_name(void)
{
	return prctl(PR_SET_NAME, "confined");
}

static long try_identity(void)
{
	return syscall(SYS_setfsuid, -1) == -1 ? -1 : 0;
}

/* Whose parent ends is ended; what it leaves behind would not be. */
static void test_children(void **state)
{
	static const struct attempt list[] = {
		{ "fork", try_fork, EPERM },
		{ "vfork", try_vfork, EPERM },
		{ "PR_SET_PDEATHSIG", try_outlive, EPERM },
		{ "PR_SET_PDEATHSIG in 64 bits", try_outlive_long, EPERM },
		{ "PR_SET_NAME", try_name, 0 },
		{ "a thread", try_thread, 0 },
	};
	static const struct attempt wide[] = {
		{ "fork, wide", try_fork, EPERM },
		{ "vfork, wide", try_vfork, EPERM },
		{ "fork by its number, wide", try_old_fork, EPERM },
		{ "PR_SET_PDEATHSIG, wide", try_outlive, EPERM },
		{ "PR_SET_PDEATHSIG in 64 bits, wide", try_outlive_long, EPERM },
		{ "setfsuid, wide", try_identity, EPERM },
		{ "PR_SET_NAME, wide", try_name, 0 },
		{ "a thread, wide", try_thread, 0 },
	};

	(void)state;
	need_filters();
	CHECK(LIST, CONFINE_THREADS, list);
	CHECK(WIDE, 0, wide);
}

static void test_namespaces(void **state)
{
	static const struct attempt list[] = {
		{ "clone(CLONE_NEWUSER)", try_clone, EPERM },
		{ "clone(CLONE_NEWNET)", try_clone_net, EPERM },
		{ "clone3", try_clone3, ENOSYS },
		{ "unshare", try_unshare, EPERM },
		{ "a thread", try_thread, 0 },
	};
	static const struct attempt wide[] = {
		{ "clone(CLONE_NEWUSER), wide", try_clone, EPERM },
		{ "clone(CLONE_NEWNET), wide", try_clone_net, EPERM },
		{ "clone3, wide", try_clone3, ENOSYS },
		{ "unshare, wide", try_unshare, EPERM },
		{ "a thread, wide", try_thread, 0 },
	};

	(void)state;
	need_filters();
	CHECK(LIST, CONFINE_THREADS, list);
	CHECK(WIDE, 0, wide);
}

/* ---- signals ---- */

static long try_tgkill(void)
{
	return syscall(SYS_tgkill, other, other, 0);
}

static long try_tgkill_self(void)
{
	return syscall(SYS_tgkill, getpid(), gettid(), 0);
}

static long try_tkill(void)
{
	return syscall(SYS_tkill, other, 0);
}

static long try_kill(void)
{
	return syscall(SYS_kill, other, 0);
}

static long try_kill_all(void)
{
	return syscall(SYS_kill, -1, 0);
}

static long try_kill_group(void)
{
	return syscall(SYS_kill, 0, 0);
}

static long try_kill_self(void)
{
	return syscall(SYS_kill, getpid(), 0);
}

static long try_queue(void)
{
	siginfo_t info = { .si_code = SI_QUEUE };

	return syscall(SYS_rt_sigqueueinfo, other, 0, &info);
}

/* As a descriptor's owner another process gets any signal without a call that sends one. */
static long try_set_owner(void)
{
	return syscall(SYS_fcntl, -1, (unsigned long)F_SETOWN, other);
}

static long try_set_owner_long(void)
{
	return syscall(SYS_fcntl, -1, F_SETOWN | ~0xffffffffUL, other);
}

static long try_set_owner_ex(void)
{
	const struct f_owner_ex owner = { F_OWNER_PID, other };

	return syscall(SYS_fcntl, -1, (unsigned long)F_SETOWN_EX, &owner);
}

static long try_set_signal(void)
{
	return syscall(SYS_fcntl, -1, (unsigned long)F_SETSIG, SIGKILL);
}

static long try_set_owner_of_socket(void)
{
	return syscall(SYS_ioctl, -1, (unsigned long)SIOCSPGRP, &other);
}

static long try_set_owner_of_file(void)
{
	return syscall(SYS_ioctl, -1, (unsigned long)FIOSETOWN, &other);
}

static void test_signals(void **state)
{
	static const struct attempt list[] = {
		{ "tgkill", try_tgkill, EPERM },
		{ "tgkill of itself", try_tgkill_self, 0 },
		{ "tkill", try_tkill, EPERM },
		{ "kill", try_kill, EPERM },
		{ "F_SETOWN", try_set_owner, EPERM },
		{ "F_SETOWN in 64 bits", try_set_owner_long, EPERM },
		{ "F_SETOWN_EX", try_set_owner_ex, EPERM },
		{ "F_SETSIG", try_set_signal, EPERM },
		{ "SIOCSPGRP", try_set_owner_of_socket, EPERM },
		{ "FIOSETOWN", try_set_owner_of_file, EPERM },
	};
	static const struct attempt wide[] = {
		{ "F_SETOWN, wide", try_set_owner, EPERM },
		{ "F_SETOWN in 64 bits, wide", try_set_owner_long, EPERM },
		{ "F_SETOWN_EX, wide", try_set_owner_ex, EPERM },
		{ "F_SETSIG, wide", try_set_signal, EPERM },
		{ "SIOCSPGRP, wide", try_set_owner_of_socket, EPERM },
		{ "FIOSETOWN, wide", try_set_owner_of_file, EPERM },
		{ "tgkill, wide", try_tgkill, EPERM },
		{ "tgkill of itself, wide", try_tgkill_self, 0 },
		{ "tkill, wide", try_tkill, EPERM },
		{ "kill, wide", try_kill, EPERM },
		{ "kill of all, wide", try_kill_all, EPERM },
		{ "kill of the group, wide", try_kill_group, EPERM },
		{ "kill of itself, wide", try_kill_self, 0 },
		{ "rt_sigqueueinfo, wide", try_queue, EPERM },
	};

	(void)state;
	need_filters();
	CHECK(LIST, CONFINE_DEVICES, list);
	CHECK(WIDE, 0, wide);
}

/* Where no filter refuses it, Landlock has the last word. */
static long try_owner(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || fcntl(pair[0], F_SETOWN, other) < 0 ||
	    fcntl(pair[0], F_SETSIG, SIGUSR1) < 0 || fcntl(pair[0], F_SETFL, O_ASYNC) < 0 ||
	    write(pair[1], "x", 1) != 1)
		return -1;
	return 0;
}

static void test_signals_by_landlock(void **state)
{
	static const struct attempt attempts[] = {
		{ "kill", try_kill, EPERM },
		{ "kill of itself", try_kill_self, 0 },
		{ "a signal to an owner", try_owner, -1 },
	};
	long abi = syscall(444, NULL, 0, 1);
	siginfo_t info = { 0 };

	(void)state;
	if (abi < 6) {
		print_message("Landlock of this kernel: %ld, 6 is needed\n", abi);
		skip();
	}
	CHECK(FILES, 0, attempts);
	usleep(50000);
	assert_int_equal(waitid(P_PID, (id_t)other, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	if (info.si_pid)
		fail_msg("a signal to an owner: expected none, saw signal %d", info.si_status);
}

/* ---- files, sockets, terminals ---- */

static long try_fchmod(void)
{
	return syscall(SYS_fchmod, -1, 0600);
}

static long try_fchmodat2(void)
{
	return syscall(FCHMODAT2, -1, "nonexistent", 0600, 0);
}

static long try_removexattr(void)
{
	return syscall(SYS_fremovexattr, -1, "user.nonexistent");
}

static long try_pidfd_signal(void)
{
	return syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0);
}

static void test_modes(void **state)
{
	static const struct attempt wide[] = {
		{ "fchmod", try_fchmod, EPERM },
		{ "fchmodat2", try_fchmodat2, EPERM },
		{ "fremovexattr", try_removexattr, EPERM },
		{ "pidfd_send_signal", try_pidfd_signal, EPERM },
	};

	(void)state;
	need_filters();
	CHECK(WIDE, 0, wide);
}

static long try_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long try_datagram(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static long try_netfilter(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static long try_links(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static long try_can(void)
{
	return socket(AF_CAN, SOCK_RAW, 1);
}

static long try_connect(void)
{
	return connect(-1, NULL, 0);
}

static long try_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static void test_connections(void **state)
{
	static const struct attempt none[] = {
		{ "connect, wide", try_connect, EPERM },
		{ "AF_UNIX, wide", try_unix, EPERM },
		{ "a pair, wide", try_pair, 0 },
		{ "AF_INET, wide", try_datagram, 0 },
	};
	static const struct attempt connecting[] = {
		{ "connect, to servers", try_connect, EBADF },
		{ "AF_UNIX, to servers", try_unix, 0 },
	};

	(void)state;
	need_filters();
	CHECK(WIDE, 0, none);
	CHECK(WIDE_CONNECTING, 0, connecting);
}

static void test_sockets(void **state)
{
	static const struct attempt attempts[] = {
		{ "AF_UNIX", try_unix, EPERM },
		{ "AF_INET", try_datagram, EPERM },
		{ "netfilter", try_netfilter, EPERM },
		{ "links", try_links, 0 },
		{ "AF_CAN", try_can, -1 }, /* of which this kernel need know nothing */
	};

	(void)state;
	need_filters();
	CHECK(LIST, CONFINE_NETWORK, attempts);
}

static long try_type(void)
{
	return syscall(SYS_ioctl, -1, (unsigned long)TIOCSTI, "x");
}

/* The kernel takes 32 bits of it. */
static long try_type_long(void)
{
	return syscall(SYS_ioctl, -1, TIOCSTI | ~0xffffffffUL, "x");
}

static long try_paste(void)
{
	return syscall(SYS_ioctl, -1, (unsigned long)TIOCLINUX, "x");
}

static long try_ask(void)
{
	int pair[2], n;

	return pipe(pair) < 0 ? -1 : ioctl(pair[0], FIONREAD, &n);
}

static long try_ask_nothing(void)
{
	return syscall(SYS_ioctl, -1, (unsigned long)FIONREAD, NULL);
}

static void test_terminals(void **state)
{
	static const struct attempt list[] = {
		{ "TIOCSTI", try_type, EPERM },
		{ "TIOCSTI in 64 bits", try_type_long, EPERM },
		{ "TIOCLINUX", try_paste, EPERM },
		{ "another ioctl", try_ask_nothing, EBADF },
	};
	static const struct attempt wide[] = {
		{ "TIOCSTI, wide", try_type, EPERM },
		{ "TIOCSTI in 64 bits, wide", try_type_long, EPERM },
		{ "TIOCLINUX, wide", try_paste, EPERM },
		{ "another ioctl, wide", try_ask, 0 },
	};

	(void)state;
	need_filters();
	CHECK(LIST, CONFINE_DEVICES, list);
	CHECK(WIDE, 0, wide);
}

static int begin(void **state)
{
	(void)state;
	other = fork();
	if (!other) {
		for (;;)
			pause();
	}
	return other < 0;
}

static int end(void **state)
{
	(void)state;
	kill(other, SIGKILL);
	return waitpid(other, NULL, 0) != other;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_children),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_signals_by_landlock), cmocka_unit_test(test_modes),
		cmocka_unit_test(test_sockets), cmocka_unit_test(test_connections),
		cmocka_unit_test(test_terminals),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
