// SPDX-License-Identifier: BSD-3-Clause
/* An end of vhost-user-console from inside: in which order its parts go. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/console/endpoint.h"
#include "check.h"
#include "common/deadline.h"
#include "common/unix-socket.h"

static char path[40];
static int listened = -1; /* when its name went; -1: it did not go */

int __real_unlink(const char *name);
int __wrap_unlink(const char *name);

int __wrap_unlink(const char *name)
{
	int fd = unix_connect(path, deadline_after_ms(1000));

	listened = fd >= 0;
	if (fd >= 0)
		close(fd);
	return __real_unlink(name);
}

static void ignore(void *data)
{
	(void)data;
}

/*
 * As long as the name is there somebody listens: a program that begins meanwhile would take it for
 * left behind, put its own socket there, and have that removed.
 */
static void test_name_goes_first(void **state)
{
	static const struct endpoint_events events = { ignore, ignore, ignore, ignore };
	struct loop *loop = loop_create();
	struct endpoint ep;

	(void)state;
	snprintf(path, sizeof(path), "test-endpoint-%d.sock", (int)getpid());
	endpoint_init(&ep, &endpoint_unix, path);
	assert_int_equal(endpoint_open(&ep, loop, &events, NULL), 0);
	listened = -1;
	loop_destroy(loop);
	endpoint_close(&ep);
	assert_int_equal(listened, 1);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
