// SPDX-License-Identifier: BSD-3-Clause
#include "common/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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

static _Noreturn void become(const char *const *words, int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
	execvp(words[0], (char *const *)words);
	_exit(127);
}

/* Return: how many bytes there were to the end, at most @size, or a negative errno */
static ssize_t read_to_end(int fd, char *text, size_t size, deadline_t deadline)
{
	size_t used = 0;
	ssize_t n;
	int ret;

	while (used < size) {
		ret = poll_fd(fd, POLLIN, deadline);
		if (ret < 0)
			return ret;
		n = read(fd, text + used, size - used);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

ssize_t child_capture(const char *const *words, char *text, size_t size, deadline_t deadline,
		      int *status)
{
	_cleanup_close_ int out = -1;
	int pair[2];
	pid_t child;
	ssize_t n;
	bool told;

	*status = -EIO;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	out = pair[0];
	child = fork();
	if (child == 0)
		become(words, pair[1]);
	close(pair[1]);
	if (child < 0)
		return -errno;
	n = read_to_end(out, text, size, deadline);
	fd_close(&out);
	told = n >= 0 && (size_t)n < size;
	/* one that has not told all by now, or tells too much, is not waited for */
	*status = child_wait(child, told ? deadline : deadline_after_ms(0));
	return n;
}
