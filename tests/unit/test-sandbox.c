// SPDX-License-Identifier: BSD-3-Clause
/* What the adapter cannot do any more once it runs. In the guest confine.adapter tries the rest. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/sandbox.h"
#include "check.h"

#define WITHOUT 77 /* this build, or this kernel, has no such filter */

/* In a child that has entered it: 0, WITHOUT or what went wrong */
static int tried(int (*attempt)(void))
{
	const struct sandbox_needs needs = { .state_dir = "/tmp", .node = "/dev/null" };
	struct failure failure = { 0 };
	int status;
	pid_t child = fork();

	/* no _exit(): before one, the sanitizer asks for what the filter refuses */
	if (!child)
		syscall(SYS_exit_group, sandbox_enter(&needs, &failure) ? 1 : attempt());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check(int (*attempt)(void))
{
	int got = tried(attempt);

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
	check(signal_others);
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
	check(signal_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_signal_to_own_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
