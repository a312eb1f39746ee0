/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A test's own program in the place of virtio-loopback-adapter, for what attach and upgrade do with
 * one: main() is called with its arguments then.
 */
#ifndef TEST_STAND_IN_H
#define TEST_STAND_IN_H

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cli/command.h"
#include "common/cleanup.h"
#include "own-run.h"

#define BESIDE "/run/beside"

static inline void copy_file(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	char block[65536];
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, block, sizeof(block))) > 0)
		assert_int_equal(write(out, block, (size_t)n), n);
}

/* This program stands where the adapter does. */
static inline void stand_in(char *self)
{
	own_run_need();
	assert_true(readlink("/proc/self/exe", self, PATH_MAX - 1) > 0);
	assert_int_equal(mkdir(BESIDE, 0700), 0);
	copy_file(self, BESIDE "/virtio-loopback-adapter");
	*strrchr(self, '/') = '\0';
	assert_int_equal(mount(BESIDE, self, NULL, MS_BIND, NULL), 0);
}

static inline void stand_down(const char *self)
{
	assert_int_equal(umount2(self, MNT_DETACH), 0);
	unlink(BESIDE "/virtio-loopback-adapter");
	unlink(BESIDE "/pid");
	assert_int_equal(rmdir(BESIDE), 0);
}

/* With one more option, or NULL. Return: the exit status of attach */
static inline int run_attach_with(char *option)
{
	static char program[] = "attach", type_option[] = "--type", type[] = "blk",
		    socket_option[] = "--socket", path[] = "/nonexistent",
		    node_option[] = "--node", node[] = "/dev/null";
	char *args[] = { program,     type_option, type,   socket_option, path,
			 node_option, node,	   option, NULL };

	optind = 0;
	return command_attach(option ? 8 : 7, args);
}

#endif
