// SPDX-License-Identifier: BSD-3-Clause
#include "common/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "common/util.h"

/* ---- privileges ---- */

static int set_capabilities(uint32_t low)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = low, .permitted = low },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Whether the process has it to keep. */
static bool has_override(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[0].permitted & (1U << CAP_DAC_OVERRIDE));
}

int confine_privileges(bool keep_override, struct failure *failure)
{
	uint32_t keep = keep_override && has_override() ? 1U << CAP_DAC_OVERRIDE : 0;
	int cap, ret;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failure_set(failure, -errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	for (cap = 0; cap <= 63; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break; /* past the last one, or nothing to lose without CAP_SETPCAP */
	}
	ret = set_capabilities(keep);
	if (ret)
		return failure_set(failure, ret, "cannot give up capabilities: %s", strerror(-ret));
	return 0;
}

/* ---- system calls ---- */

#ifdef HAVE_SECCOMP
/* clang-format off */
static const int base_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
	SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
	SCMP_SYS(getsockopt), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	SCMP_SYS(lseek), SCMP_SYS(dup), SCMP_SYS(dup3),
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	SCMP_SYS(mprotect), SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(geteuid),
	SCMP_SYS(getrandom), SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),
	SCMP_SYS(restart_syscall), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static const int dangerous_calls[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(mount), SCMP_SYS(umount2),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount),
	SCMP_SYS(fsconfig), SCMP_SYS(fspick), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
	SCMP_SYS(syslog), SCMP_SYS(quotactl), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(iopl),
	SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(vhangup), SCMP_SYS(setuid),
	SCMP_SYS(setgid), SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setgroups),
	SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(chown), SCMP_SYS(fchown),
	SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr),
	SCMP_SYS(fsetxattr),
};
/* clang-format on */

static int add_calls(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t n)
{
	size_t i;
	int ret;

	for (i = 0; i < n; i++) {
		if (calls[i] == __NR_SCMP_ERROR)
			continue;
		ret = seccomp_rule_add(ctx, action, calls[i], 0);
		/* a call that this architecture does not have */
		if (ret && ret != -EDOM && ret != -EINVAL)
			return ret;
	}
	return 0;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER
#endif

static int load(scmp_filter_ctx ctx, int ret, struct failure *failure)
{
#ifndef WITH_SANITIZER /* which makes calls of its own, and traces the process at its end */
	if (!ret)
		ret = seccomp_load(ctx);
#endif
	seccomp_release(ctx);
	if (ret)
		return failure_set(failure, ret, "cannot filter system calls (seccomp): %s",
				   strerror(-ret));
	return 0;
}

int confine_calls(const int *calls, size_t n, struct failure *failure)
{
	/* not a kill: a C library that takes another way gets an error that it can live with */
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = add_calls(ctx, SCMP_ACT_ALLOW, base_calls, ARRAY_SIZE(base_calls));
	if (!ret)
		ret = add_calls(ctx, SCMP_ACT_ALLOW, calls, n);
	return load(ctx, ret, failure);
}

int confine_calls_wide(struct failure *failure)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	if (!ctx)
		return -ENOMEM;
	return load(ctx,
		    add_calls(ctx, SCMP_ACT_ERRNO(EPERM), dangerous_calls,
			      ARRAY_SIZE(dangerous_calls)),
		    failure);
}
#else
int confine_calls(const int *calls, size_t n, struct failure *failure)
{
	(void)calls;
	(void)n;
	(void)failure;
	return 0;
}

int confine_calls_wide(struct failure *failure)
{
	(void)failure;
	return 0;
}
#endif
