// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a confined process cannot do, call by call: in a child that confines itself and tries. That
 * each program does confine itself is seen in the guest (tests/vm/test_confine.py).
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/confine.h"
#include "common/util.h"

#ifdef HAVE_SECCOMP
#define FILTERS true
#else
#define FILTERS false
#endif

/* ---- the child ---- */

enum how { LIST, WIDE };

struct attempt {
	const char *name;
	long (*try)(void);
	int expected; /* errno; 0: it goes; -1: it goes, or fails, and not by the filter */
};

static int confine_as(enum how how, unsigned int kinds)
{
	struct failure failure = { 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (how == WIDE)
		return confine_calls_wide(&failure);
	return confine_kinds(CONFINE_LISTEN | kinds, &failure);
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
		{ "fork, wide", try_fork, 0 },
	};

	(void)state;
	need_filters();
	CHECK(LIST, CONFINE_THREADS, list);
	CHECK(WIDE, 0, wide);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
