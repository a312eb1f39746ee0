/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Absolute deadlines on CLOCK_MONOTONIC. Whoever waits takes a deadline, not a time-out, so that a
 * peer that trickles bytes cannot prolong the wait.
 */
#ifndef VL_COMMON_DEADLINE_H
#define VL_COMMON_DEADLINE_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. 0 has always passed: a deadline of 0 means "do not wait". */
typedef uint64_t deadline_t;

#define DEADLINE_NOW ((deadline_t)0)
#define DEADLINE_NEVER UINT64_MAX

/* now_ns() - CLOCK_MONOTONIC in nanoseconds */
uint64_t now_ns(void);

/* deadline_after_ms() - the deadline that lies @ms milliseconds ahead */
deadline_t deadline_after_ms(uint64_t ms);

/**
 * deadline_every_ms() - the next of the moments that lie @ms milliseconds apart
 * @ms:		not zero
 *
 * They are the same in every process, so that those who do something now and then wake the
 * machine together.
 *
 * Return: at most @ms ahead; DEADLINE_NEVER as deadline_after_ms().
 */
deadline_t deadline_every_ms(uint64_t ms);

/* deadline_passed() - true once it has */
int deadline_passed(deadline_t deadline);

/**
 * deadline_poll_ms() - what is left, for poll(2) and epoll_wait(2)
 * @deadline:	the deadline
 *
 * Return: milliseconds rounded up, 0 when it has passed, -1 for DEADLINE_NEVER.
 */
int deadline_poll_ms(deadline_t deadline);

/**
 * poll_fd() - wait for events on one descriptor
 * @fd:		the descriptor
 * @events:	POLLIN, POLLOUT
 * @deadline:	when to give up
 *
 * Restarts after signals.
 *
 * Return: the revents, -ETIMEDOUT, or a negative errno.
 */
int poll_fd(int fd, short events, deadline_t deadline);

#endif
