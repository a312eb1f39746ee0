// SPDX-License-Identifier: BSD-3-Clause
/* What the command has of the programs that it asks something. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/child.h"

#define SOON_MS 10000

static int status;

/* @script: of the shell's. Returns what child_capture() does. */
static ssize_t capture(const char *script, char *text, size_t size, unsigned int ms)
{
	const char *const words[] = { "sh", "-c", script, NULL };

	return child_capture(words, text, size, deadline_after_ms(ms), &status);
}

static void check_nobody_left(void)
{
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_answer(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(capture("echo one; echo no >&2; cat; echo two", text, sizeof(text), SOON_MS),
			 8);
	assert_memory_equal(text, "one\ntwo\n", 8);
	assert_int_equal(status, 0);
	assert_int_equal(capture("printf x; exit 3", text, sizeof(text), SOON_MS), 1);
	assert_int_equal(status, 3);
	assert_int_equal(capture("kill -9 $$", text, sizeof(text), SOON_MS), 0);
	assert_int_equal(status, -EIO);
	check_nobody_left();
}

static void test_no_program(void **state)
{
	const char *const words[] = { "/nonexistent/program", NULL };
	char text[8];
	deadline_t soon = deadline_after_ms(SOON_MS);

	(void)state;
	assert_int_equal(child_capture(words, text, sizeof(text), soon, &status), 0);
	assert_int_equal(status, 127);
	check_nobody_left();
}

/* More than there is room for, and it would go on for ever. */
static void test_too_much(void **state)
{
	char text[5000];

	(void)state;
	assert_int_equal(capture("exec yes", text, sizeof(text), SOON_MS), sizeof(text));
	assert_memory_equal(text, "y\ny\n", 4);
	check_nobody_left();
}

/* Neither one that says nothing, nor one that says all and does not end, is waited for. */
static void test_deadline(void **state)
{
	char text[8];

	(void)state;
	assert_int_equal(capture("exec sleep 600", text, sizeof(text), 50), -ETIMEDOUT);
	check_nobody_left();
	assert_int_equal(capture("echo all; exec sleep 600 >&-", text, sizeof(text), 300), 4);
	assert_int_equal(status, -EIO);
	check_nobody_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
