/* SPDX-License-Identifier: BSD-3-Clause */
/* cmocka with the headers that it wants before it, and what all tests share. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

/* open_fds() - how many descriptors this process has: for "nothing leaks" */
static inline int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

#endif
