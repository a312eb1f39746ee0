// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "common/unwanted.h"
#include "common/util.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* Not -1000: an adapter that did eat the memory should be killable. */
#define OOM_SCORE_ADJ "-900"

void sandbox_harden(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, OOM_SCORE_ADJ, strlen(OOM_SCORE_ADJ)) < 0)
		log_debug("oom_score_adj stays: %s", strerror(errno));
	/* Locked memory is not to run into a limit once CAP_IPC_LOCK is gone. */
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0)
		log_debug("RLIMIT_MEMLOCK: %s", strerror(errno));
	/* allocations of this process must not start I/O, which could be its own device's */
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_debug("PR_SET_IO_FLUSHER: %s", strerror(errno));
}

void sandbox_lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_debug("mlockall: %s", strerror(errno));
}

/* ---- capabilities ---- */

/*
 * A back-end's socket may lie where only its owner may go. Root reaches it by CAP_DAC_OVERRIDE,
 * and has to reach it again after a reconnect: then, and only then, that one capability stays.
 */
static int drop_capabilities(const char *socket, struct failure *failure)
{
	const uint32_t dac = 1U << CAP_DAC_OVERRIDE;
	int ret;

	ret = confine_privileges(dac, failure);
	if (ret)
		return ret;
	confine_effective(0); /* what may this user do by itself? */
	if (!socket || faccessat(AT_FDCWD, socket, W_OK, AT_EACCESS) == 0 || errno != EACCES)
		return confine_privileges(0, failure);
	confine_effective(dac);
	if (faccessat(AT_FDCWD, socket, W_OK, AT_EACCESS) == 0)
		log_info("CAP_DAC_OVERRIDE stays, to reach %s again", socket);
	return 0;
}

/* ---- system calls ---- */

#ifdef HAVE_SECCOMP
/* clang-format off */
static const int allowed_calls[] = {
	/* the event loop and the sockets */
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev),
	SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg),
	SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(getsockopt),
	SCMP_SYS(shutdown),
	/* with a new connection, or a node */
	SCMP_SYS(eventfd2), SCMP_SYS(pidfd_open), SCMP_SYS(statx),
	/* the device; the rings in the pool, for a replay */
	SCMP_SYS(ioctl), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(mmap),
	SCMP_SYS(munmap), SCMP_SYS(lseek),
	/* the state files: written anew, and removed in the end */
	SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	SCMP_SYS(flock),
	/* the C library */
	SCMP_SYS(brk), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mprotect), SCMP_SYS(futex),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(geteuid),
	SCMP_SYS(getrandom),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(restart_syscall), SCMP_SYS(wait4), SCMP_SYS(waitid),
	SCMP_SYS(tgkill), /* abort() and raise(); confine_never() says more of it */
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};
static const int connect_calls[] = { SCMP_SYS(connect) };
static const int epoll_calls[] = {
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
};
/* clang-format on */

static int allow_calls(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++) {
		if (calls[i] == __NR_SCMP_ERROR)
			continue;
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
		/* a call that this architecture does not have */
		if (ret == -EDOM || ret == -EINVAL)
			ret = 0;
	}
	return ret;
}

/*
 * User 0 is believed at sockets of root's. So no way leads there: by a pair of streams there is
 * none, and what is sent without an address goes to whom the socket is connected to.
 */
static int allow_sockets(scmp_filter_ctx ctx, bool connects)
{
	static const unsigned int options[] = { SO_PASSRIGHTS, SO_OOBINLINE };
	size_t i;
	int ret;

	ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2,
			       SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
			       SCMP_A1(SCMP_CMP_EQ, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1,
				       SCMP_A4(SCMP_CMP_EQ, 0, 0));
	/* Of the options of a socket, those that refuse descriptors, and show which are there. */
	for (i = 0; i < ARRAY_SIZE(options) && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
				       SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET, 0),
				       SCMP_A2(SCMP_CMP_EQ, options[i], 0));
	if (ret || !connects)
		return ret;
	/* No other sockets than those of this machine: there is no network. */
	ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			       SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	return ret ? ret : allow_calls(ctx, connect_calls, ARRAY_SIZE(connect_calls));
}

static int filter_calls(bool epoll, bool connects)
{
	/* not a kill: a C library that takes another way gets an error that it can live with */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = allow_calls(ctx, allowed_calls, ARRAY_SIZE(allowed_calls));
	if (!ret && epoll)
		ret = allow_calls(ctx, epoll_calls, ARRAY_SIZE(epoll_calls));
	if (!ret)
		ret = allow_sockets(ctx, connects);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret;
}
#else
static int filter_calls(bool epoll, bool connects)
{
	(void)epoll;
	(void)connects;
	return 0;
}
#endif

/* ---- files ---- */

static int keep_files(const struct sandbox_needs *needs, struct failure *failure)
{
	const struct confine_path paths[] = {
		{ needs->state_dir, CONFINE_READ | CONFINE_WRITE | CONFINE_CHANGE },
		{ needs->node, CONFINE_READ | CONFINE_WRITE },
		/* how large a pool may be, and how many queues are of use */
		{ "/proc/meminfo", CONFINE_READ },
		{ "/proc/stat", CONFINE_READ },
		{ "/sys/devices/system/cpu", CONFINE_READ },
	};

	/* the display's end, if it hangs: the kernel sends that as if the adapter did */
	return confine_files(paths, ARRAY_SIZE(paths), CONFINE_KEEP_SIGNALS, failure);
}

int sandbox_enter(const struct sandbox_needs *needs, struct failure *failure)
{
	int ret;

	ret = drop_capabilities(needs->socket, failure);
	if (ret)
		return ret;
	ret = keep_files(needs, failure);
	if (ret)
		return ret;
	ret = confine_never(failure);
	if (ret)
		return ret;
	ret = filter_calls(needs->epoll, needs->socket != NULL);
	if (ret)
		return failure_set(failure, ret, "cannot filter system calls (seccomp): %s",
				   strerror(-ret));
	return 0;
}
