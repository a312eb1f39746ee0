// SPDX-License-Identifier: BSD-3-Clause
#include "common/deadline.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

deadline_t deadline_after_ms(uint64_t ms)
{
	uint64_t now = now_ns();

	if (ms > (DEADLINE_NEVER - now) / NSEC_PER_MSEC)
		return DEADLINE_NEVER;
	return now + ms * NSEC_PER_MSEC;
}

deadline_t deadline_every_ms(uint64_t ms)
{
	deadline_t next = deadline_after_ms(ms);

	return next == DEADLINE_NEVER ? next : next - next % (ms * NSEC_PER_MSEC);
}

int deadline_passed(deadline_t deadline)
{
	return deadline != DEADLINE_NEVER && now_ns() >= deadline;
}

int deadline_poll_ms(deadline_t deadline)
{
	uint64_t now, ms;

	if (deadline == DEADLINE_NEVER)
		return -1;
	if (deadline == DEADLINE_NOW)
		return 0;
	now = now_ns();
	if (now >= deadline)
		return 0;
	ms = (deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int poll_fd(int fd, short events, deadline_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int timeout, n;

	do {
		timeout = deadline_poll_ms(deadline);
		n = poll(&pfd, 1, timeout);
	} while ((n < 0 && errno == EINTR) || (n == 0 && timeout == INT_MAX));
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	return pfd.revents;
}
