// SPDX-License-Identifier: BSD-3-Clause
#include "cli/adapter-client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "adapter/control.h"
#include "common/cleanup.h"
#include "common/find-program.h"
#include "common/printable.h"
#include "common/state-dir.h"

#define ADAPTER "virtio-loopback-adapter"

/* ---- starting ---- */

static _Noreturn void become_adapter(char **args, int ready_fd, bool foreground, pid_t parent)
{
	char path[PATH_MAX];
	int error, null;

	/* It ends with the command, whatever ends that: a terminal that is closed (SIGHUP), too. */
	if (foreground && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
		_exit(127);
	fcntl(ready_fd, F_SETFD, 0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (!foreground) {
		setsid();
		dup2(null, STDIN_FILENO);
		dup2(null, STDERR_FILENO); /* until it has opened its log */
	}
	dup2(null, STDOUT_FILENO);
	if (chdir("/") < 0)
		_exit(127);
	args[0] = (char *)find_program(path, sizeof(path), "adapter", ADAPTER);
	execvp(args[0], args);
	error = errno;
	dprintf(ready_fd, "error %d %s cannot be started: %s\n", error, args[0], strerror(error));
	_exit(127);
}

int adapter_spawn(char **args, char *ready, size_t ready_size, bool foreground,
		  struct adapter_started *started, struct failure *failure)
{
	pid_t self = getpid();
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return failure_set(failure, -errno, "pipe: %s", strerror(errno));
	snprintf(ready, ready_size, "%d", pair[1]);
	*started =
		(struct adapter_started){ .ready_fd = pair[0], .parent = -1, .virtio_index = -1 };
	started->pid = fork();
	if (started->pid == 0)
		become_adapter(args, pair[1], foreground, self);
	close(pair[1]);
	if (started->pid < 0) {
		fd_close(&started->ready_fd);
		return failure_set(failure, -errno, "fork: %s", strerror(errno));
	}
	return 0;
}

static int understand(struct adapter_started *started, char *line, struct failure *failure)
{
	int error, bound, at = 0;

	/* NOLINTNEXTLINE(cert-err34-c): our own adapter wrote it */
	if (sscanf(line, "ok %d %d %d", &started->parent, &started->virtio_index, &bound) == 3) {
		started->bound = bound;
		return 0;
	}
	/* NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(line, "error %d %n", &error, &at) == 1 && at && error > 0) {
		printable(line + at); /* some of it is a back-end's */
		return failure_set(failure, -error, "%s", line + at);
	}
	return failure_set(failure, -EIO, "the adapter ended without a word");
}

int adapter_wait_ready(struct adapter_started *started, deadline_t deadline,
		       struct failure *failure)
{
	char line[1024];
	size_t got = 0;
	int ret;

	while (got < sizeof(line) - 1) {
		ssize_t n;

		ret = poll_fd(started->ready_fd, POLLIN, deadline);
		if (ret < 0)
			return failure_set(failure, ret,
					   "the adapter does not come to an end of its "
					   "set-up");
		n = read(started->ready_fd, line + got, sizeof(line) - 1 - got);
		if (n <= 0)
			break;
		got += (size_t)n;
		if (line[got - 1] == '\n')
			break;
	}
	line[got] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fd_close(&started->ready_fd);
	return understand(started, line, failure);
}

/* ---- orders ---- */

int adapter_order(const char *state_dir, const char *name, const char *text, char *answer,
		  size_t size, deadline_t deadline)
{
	char path[PATH_MAX];
	int ret;

	ret = state_path(path, sizeof(path), state_dir, name, "ctl");
	return ret ? ret : control_order(path, text, answer, size, deadline);
}
