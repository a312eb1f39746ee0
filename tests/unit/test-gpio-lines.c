// SPDX-License-Identifier: BSD-3-Clause
/* Lists of lines, as vhost-user-gpio takes them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/gpio/lines.h"
#include "check.h"

static void check_list(const char *text, int ret, const char *expected)
{
	struct lines lines;
	char seen[128] = "";
	unsigned int i;

	assert_int_equal(lines_parse(text, 16, &lines), ret);
	for (i = 0; i < lines.count; i++)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s%u", i ? " " : "",
			 lines.offsets[i]);
	assert_string_equal(seen, expected);
	lines_finish(&lines);
}

static void test_lists(void **state)
{
	(void)state;
	check_list(NULL, 0, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15");
	check_list("0", 0, "0");
	check_list("0-7,12", 0, "0 1 2 3 4 5 6 7 12");
	check_list("15,3-4,0", 0, "15 3 4 0");
	check_list("16", -EINVAL, "");
	check_list("3-16", -EINVAL, "");
	check_list("4-3", -EINVAL, "");
	check_list("1,1", -EINVAL, "");
	check_list("0-2,2-3", -EINVAL, "");
	check_list("", -EINVAL, "");
	check_list(",", -EINVAL, "");
	check_list("1,", -EINVAL, "");
	check_list("-1", -EINVAL, "");
	check_list("1-", -EINVAL, "");
	check_list("1-2-3", -EINVAL, "");
	check_list("one", -EINVAL, "");
	check_list("0-4294967295", -EINVAL, "");
	check_list("99999999999999999999", -EINVAL, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
