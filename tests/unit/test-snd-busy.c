// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-snd with more to do than there is an end to: others of the machine have their turn. */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "common/deadline.h"
#include "front-end.h"

static const char *program; /* argv[1] */

static int policy(const struct fe *fe)
{
	return sched_getscheduler(fe->pid) & ~SCHED_RESET_ON_FORK;
}

/*
 * A queue that is kicked without end, by a driver on another CPU or, here, by a descriptor that has
 * a kick for each that is taken. The back-end never sleeps, and at a real-time priority nobody else
 * would have that CPU.
 */
static void test_no_priority_for_the_busy(void **state)
{
	const char *const argv[] = { program, "--backend", "null", NULL };
	deadline_t deadline;
	struct fe fe;
	int kicks;

	(void)state;
	assert_int_equal(fe_init(&fe, 1 << 20, 4, 64, true), 0);
	assert_int_equal(fe_spawn(&fe, argv), 0);
	assert_int_equal(fe_handshake(&fe, ~0ULL), 0);
	if (policy(&fe) != SCHED_RR) {
		print_message("a real-time policy is not allowed here\n");
		fe_finish(&fe);
		skip();
	}
	/* with little to do it keeps it */
	poll(NULL, 0, 300);
	assert_int_equal(policy(&fe), SCHED_RR);
	kicks = eventfd(UINT32_MAX, EFD_CLOEXEC | EFD_SEMAPHORE);
	assert_true(kicks >= 0);
	assert_int_equal(fe_set_vring_fd(&fe, VHOST_USER_SET_VRING_KICK, 1, kicks), 0);
	deadline = deadline_after_ms(FE_TIMEOUT_MS);
	while (policy(&fe) == SCHED_RR && !deadline_passed(deadline))
		poll(NULL, 0, 10);
	assert_int_equal(policy(&fe), SCHED_OTHER);
	close(kicks);
	/* nothing else changes */
	assert_int_equal(fe_kill(&fe, SIGTERM), 0);
	fe_finish(&fe);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_priority_for_the_busy),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-vhost-user-snd\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
