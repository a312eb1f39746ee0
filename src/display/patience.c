// SPDX-License-Identifier: BSD-3-Clause
#include "display/patience.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/deadline.h"

#ifndef sigev_notify_thread_id /* the C library need not have the name that timer_create(2) says */
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t watched = -1;
static volatile sig_atomic_t shut;
static uint64_t limit;
static pid_t thread; /* that the timer interrupts; 0: there is no timer */
static timer_t timer;

/* How things stood at the beginning */
static struct standing {
	uint64_t idle; /* what passed while the thread did nothing, by whoever's fault */
	long waits;
} begun;

static struct standing look(void)
{
	struct timespec worked = { 0 };
	struct rusage usage = { 0 };

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &worked);
	getrusage(RUSAGE_THREAD, &usage);
	return (struct standing){
		.idle = now_ns() - (uint64_t)worked.tv_sec * 1000000000U -
			(uint64_t)worked.tv_nsec,
		.waits = usage.ru_nvcsw,
	};
}

/* Work is none, nor is a machine that has no time for it: that gives way without being asked. */
static uint64_t waited(void)
{
	struct standing now = look();

	/* the two clocks are not read at once */
	return now.waits != begun.waits && now.idle > begun.idle ? now.idle - begun.idle : 0;
}

static int set_timer(uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = {
			.tv_sec = (time_t)(ns / 1000000000U),
			.tv_nsec = (long)(ns % 1000000000U),
		},
	};

	return timer_settime(timer, 0, &when, NULL) < 0 ? -errno : 0;
}

/*
 * select() ends, whether the signal interrupts it or comes a moment before it; a reader has what
 * is there already, and then the end.
 */
static void timer_expired(int number)
{
	int saved = errno;
	uint64_t so_far = waited();

	(void)number;
	if (watched >= 0 && so_far < limit) {
		set_timer(limit - so_far);
	} else if (watched >= 0) {
		shutdown(watched, SHUT_RDWR);
		shut = 1;
	}
	errno = saved;
}

int patience_init(void)
{
	struct sigaction action = { .sa_handler = timer_expired }; /* no SA_RESTART */
	sigset_t set;

	sigemptyset(&action.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (sigaction(SIGALRM, &action, NULL) < 0 || sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
		return -errno;
	return 0;
}

/* In another thread it could come when the one here has done, and closed the socket. */
static int have_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };

	if (thread == gettid())
		return 0;
	patience_finish();
	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
		return -errno;
	thread = gettid();
	return 0;
}

int patience_begin(int sock, unsigned int ms)
{
	int ret = have_timer();

	if (ret)
		return ret;
	limit = ms * 1000000ULL;
	begun = look();
	shut = 0;
	watched = sock;
	ret = set_timer(limit);
	if (ret)
		watched = -1;
	return ret;
}

bool patience_end(uint64_t *ns)
{
	set_timer(0);
	watched = -1;
	*ns = waited();
	return shut;
}

void patience_finish(void)
{
	if (thread)
		timer_delete(timer);
	thread = 0;
}
