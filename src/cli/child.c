// SPDX-License-Identifier: BSD-3-Clause
#include "cli/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

#define KILLED_MS 2000
#define POLL_MS 5

/* Return: 0 when there is no child any more, -ETIMEDOUT, or another negative errno */
static int reap(pid_t child, int *status, deadline_t deadline)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	pid_t reaped;

	if (pidfd >= 0)
		poll_fd(pidfd, POLLIN, deadline);
	/* one that has ended need not be this process's to reap yet */
	while ((reaped = waitpid(child, status, WNOHANG)) <= 0) {
		if (reaped < 0 && errno != EINTR)
			return -errno;
		if (deadline_passed(deadline))
			return -ETIMEDOUT;
		poll(NULL, 0, POLL_MS);
	}
	return 0;
}

int child_kill(pid_t child)
{
	int status;

	kill(child, SIGKILL);
	return reap(child, &status, deadline_after_ms(KILLED_MS)) == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

int child_wait(pid_t child, deadline_t deadline)
{
	int status, ret = reap(child, &status, deadline);

	if (ret == -ETIMEDOUT) {
		kill(child, SIGKILL);
		ret = reap(child, &status, deadline_after_ms(KILLED_MS));
	}
	if (ret)
		return ret;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}
