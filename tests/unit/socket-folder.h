/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder for the socket of a back-end that a test has started, made and removed for each test. */
#ifndef TEST_SOCKET_FOLDER_H
#define TEST_SOCKET_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* @path: of the socket in it */
static char dir[64], path[80];

static inline int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/vlb-exec-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/x.sock", dir);
	return 0;
}

static inline int remove_dir(void **state)
{
	char lock[96];

	(void)state;
	unlink(path);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	unlink(lock);
	return rmdir(dir);
}

#endif
