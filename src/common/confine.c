// SPDX-License-Identifier: BSD-3-Clause
#include "common/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include "common/cleanup.h"
#include "common/log.h"
#include "common/sanitizer.h"
#include "common/util.h"

/* ---- privileges ---- */

/* Of the first 32; none of the others. */
static int set_capabilities(uint32_t effective, uint32_t permitted)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = effective, .permitted = permitted },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* Those of the first 32 that the process may have. */
static uint32_t permitted(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capget, &header, data) == 0 ? data[0].permitted : 0;
}

int confine_effective(uint32_t effective)
{
	const uint32_t kept = permitted();

	return set_capabilities(effective & kept, kept);
}

int confine_privileges(uint32_t keep, struct failure *failure)
{
	int cap, ret;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failure_set(failure, -errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	confine_effective(UINT32_MAX); /* one that became another user has none */
	for (cap = 0; cap <= 63; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break; /* past the last one, or nothing to lose without CAP_SETPCAP */
	}
	keep &= permitted();
	ret = set_capabilities(keep, keep);
	if (ret)
		return failure_set(failure, ret, "cannot give up capabilities: %s", strerror(-ret));
	return 0;
}

/* ---- files ---- */

/*
 * Of the kernel's interface (Linux, Documentation/userspace-api/landlock.rst); the headers of the
 * build may be older than the kernel.
 */
#define LANDLOCK_CREATE_RULESET	444
#define LANDLOCK_ADD_RULE	445
#define LANDLOCK_RESTRICT_SELF	446
#define LANDLOCK_ASK_VERSION	(1U << 0)
#define LANDLOCK_BELOW_PATH	1

#define FS_EXECUTE	(1ULL << 0)
#define FS_WRITE_FILE	(1ULL << 1)
#define FS_READ_FILE	(1ULL << 2)
#define FS_READ_DIR	(1ULL << 3)
#define FS_REMOVE_DIR	(1ULL << 4)
#define FS_REMOVE_FILE	(1ULL << 5)
#define FS_MAKE_REG	(1ULL << 8)
#define FS_MAKE_SOCK	(1ULL << 9)
#define FS_MAKE_SYM	(1ULL << 12)
#define FS_REFER	(1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE	(1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV	(1ULL << 15) /* ABI 5 */
#define FS_OF_FILES	(FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_TCP		3ULL /* ABI 4: bind and connect */
#define SCOPE_ABSTRACT	(1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL	(1ULL << 1) /* ABI 6 */

struct landlock_ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scoped;
};

struct landlock_path {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

const char *const confine_card_nodes[CONFINE_CARD_NODES] = {
	"/dev/null", "/dev/zero", "/dev/dri", "/dev/udmabuf", "/dev/dma_heap",
	"/dev/nvidiactl", "/dev/nvidia-modeset", "/dev/nvidia-uvm",
	"/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2", "/dev/nvidia3",
	/* Tegra */
	"/dev/nvmap", "/dev/nvhost-ctrl", "/dev/nvhost-ctrl-gpu", "/dev/nvhost-gpu",
	"/dev/nvhost-as-gpu", "/dev/nvgpu", "/dev/host1x-fence",
	/* Arm's vendors */
	"/dev/kgsl-3d0", "/dev/mali0", "/dev/galcore", "/dev/pvr_sync", "/dev/ion",
	"/dev/kfd", "/dev/dxg",
};

static uint64_t file_rights(int abi)
{
	uint64_t rights = FS_REFER - 1;

	if (abi >= 2)
		rights |= FS_REFER;
	if (abi >= 3)
		rights |= FS_TRUNCATE;
	if (abi >= 5)
		rights |= FS_IOCTL_DEV;
	return rights;
}

static uint64_t path_rights(unsigned int access)
{
	uint64_t rights = 0;

	if (access & CONFINE_READ)
		rights |= FS_READ_FILE | FS_READ_DIR;
	if (access & CONFINE_WRITE)
		rights |= FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	if (access & CONFINE_CHANGE)
		rights |= FS_MAKE_REG | FS_MAKE_SOCK | FS_MAKE_SYM | FS_REFER | FS_REMOVE_FILE;
	if (access & CONFINE_REMOVE)
		rights |= FS_REMOVE_FILE;
	return rights;
}

static int allow_path(int ruleset, const struct confine_path *path, uint64_t handled)
{
	_cleanup_close_ int fd = path->path ? open(path->path, O_PATH | O_CLOEXEC) : -1;
	struct landlock_path rule = { .allowed = path_rights(path->access) & handled, .fd = fd };
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= FS_OF_FILES;
	if (!rule.allowed)
		return 0;
	return syscall(LANDLOCK_ADD_RULE, ruleset, LANDLOCK_BELOW_PATH, &rule, 0) < 0 ? -errno : 0;
}

/* A kernel takes what it knows of the structure, and no more. */
static size_t ruleset_size(int abi)
{
	if (abi >= 6)
		return sizeof(struct landlock_ruleset);
	return abi >= 4 ? offsetof(struct landlock_ruleset, scoped) :
			  offsetof(struct landlock_ruleset, network);
}

static uint64_t scopes(int abi, unsigned int keep)
{
	if (abi < 6)
		return 0;
	/* signals: also those that a descriptor's owner gets (F_SETOWN, F_SETSIG) */
	return (keep & CONFINE_KEEP_SIGNALS ? 0 : SCOPE_SIGNAL) |
	       (keep & CONFINE_KEEP_ABSTRACT ? 0 : SCOPE_ABSTRACT);
}

static int restrict_files(int abi, const struct confine_path *paths, size_t n, unsigned int keep)
{
	struct landlock_ruleset all = {
		.files = file_rights(abi),
		.network = abi >= 4 && !(keep & CONFINE_KEEP_TCP) ? NET_TCP : 0,
		.scoped = scopes(abi, keep),
	};
	_cleanup_close_ int ruleset = -1;
	size_t i;
	int ret;

	ruleset = (int)syscall(LANDLOCK_CREATE_RULESET, &all, ruleset_size(abi), 0);
	if (ruleset < 0)
		return -errno;
	for (i = 0; i < n; i++) {
		ret = allow_path(ruleset, &paths[i], all.files);
		if (ret)
			return ret;
	}
	return syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) < 0 ? -errno : 0;
}

int confine_files(const struct confine_path *paths, size_t n, unsigned int keep,
		  struct failure *failure)
{
	int abi = (int)syscall(LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_ASK_VERSION);
	int ret = 0;

	if (abi < 1) {
		log_debug("the file system stays: this kernel has no Landlock");
		return 0;
	}
	if (!WITH_SANITIZER)
		ret = restrict_files(abi, paths, n, keep);
	if (ret)
		return failure_set(failure, ret, "cannot give up the file system (Landlock): %s",
				   strerror(-ret));
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
	SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(chmod), SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr),
	SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal), SCMP_SYS(fork), SCMP_SYS(vfork),
	/* another identity, if only of files, is not told of its parent's end */
	SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid),
#ifndef __mips__ /* whose numbers begin elsewhere; the library need not know these names */
	452 /* fchmodat2 */, 463 /* setxattrat */, 466 /* removexattrat */, 469 /* file_setattr */,
#endif
};
/* The first argument is a process. */
static const int signal_calls[] = {
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
	SCMP_SYS(rt_tgsigqueueinfo),
};
/* Typing at a terminal, and pasting there; who gets a descriptor's signals */
static const unsigned int refused_ioctls[] = { TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP };
/* As its owner another process gets any signal, SIGKILL too, without a call that sends one. */
static const unsigned int refused_fcntls[] = { F_SETOWN, F_SETOWN_EX, F_SETSIG };
static const unsigned int namespace_flags[] = {
	CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID,
	CLONE_NEWNET,
};

static const int listen_calls[] = {
	SCMP_SYS(accept4), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(eventfd2),
	SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(fstatfs), SCMP_SYS(timerfd_create),
};
/* confine_never() says more of clone() and clone3(); what is missing here would be EPERM. */
static const int thread_calls[] = {
	SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(rseq), SCMP_SYS(prctl),
	SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_getaffinity),
};
static const int open_calls[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(symlink),
	SCMP_SYS(symlinkat), SCMP_SYS(flock),
};
static const int device_calls[] = { SCMP_SYS(ioctl) };
static const int data_calls[] = {
	SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev), SCMP_SYS(pwritev2), SCMP_SYS(fdatasync), SCMP_SYS(fsync),
	SCMP_SYS(fallocate), SCMP_SYS(statx),
};
static const int uring_calls[] = {
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
};
static const int sched_calls[] = { SCMP_SYS(sched_setscheduler) };
static const int network_calls[] = {
	SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
	SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg), SCMP_SYS(shutdown),
};
/* clang-format on */

/* Which argument of clone() the flags are */
#ifdef __s390__
#define CLONE_FLAGS(...) SCMP_A1(__VA_ARGS__)
#else
#define CLONE_FLAGS(...) SCMP_A0(__VA_ARGS__)
#endif

#define KIND(kind, calls) { kind, calls, ARRAY_SIZE(calls) }

static const struct {
	unsigned int kind;
	const int *calls;
	size_t n;
} kinds_of_calls[] = {
	KIND(CONFINE_LISTEN, listen_calls),   KIND(CONFINE_THREADS, thread_calls),
	KIND(CONFINE_OPEN, open_calls),	      KIND(CONFINE_DEVICES, device_calls),
	KIND(CONFINE_DATA, data_calls),	      KIND(CONFINE_URING, uring_calls),
	KIND(CONFINE_NETWORK, network_calls), KIND(CONFINE_SCHED, sched_calls),
};

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

static int refuse(scmp_filter_ctx ctx, int call, struct scmp_arg_cmp arg)
{
	int ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 1, arg);

	return ret == -EDOM || ret == -EINVAL ? 0 : ret;
}

/*
 * What none may do, whatever it may do by the names of the calls: signals to others, a new
 * namespace, which would have capabilities of its own, typing into somebody's terminal, leaving
 * something behind that outlives it.
 */
static int add_refusals(scmp_filter_ctx ctx)
{
	const scmp_datum_t self = (scmp_datum_t)getpid();
	size_t i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(signal_calls) && !ret; i++)
		ret = refuse(ctx, signal_calls[i], SCMP_A0(SCMP_CMP_NE, self, 0));
	/* of these arguments the kernel looks at the lower half only */
	for (i = 0; i < ARRAY_SIZE(refused_ioctls) && !ret; i++)
		ret = refuse(ctx, SCMP_SYS(ioctl),
			     SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, refused_ioctls[i]));
	for (i = 0; i < ARRAY_SIZE(refused_fcntls) && !ret; i++)
		ret = refuse(ctx, SCMP_SYS(fcntl),
			     SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, refused_fcntls[i]));
	for (i = 0; i < ARRAY_SIZE(namespace_flags) && !ret; i++)
		ret = refuse(ctx, SCMP_SYS(clone),
			     CLONE_FLAGS(SCMP_CMP_MASKED_EQ, namespace_flags[i],
					 namespace_flags[i]));
	/*
	 * Threads, and no children: a device's parts end with it because the kernel tells them of
	 * their parent's end, and it does not tell their children.
	 */
	if (!ret)
		ret = refuse(ctx, SCMP_SYS(clone),
			     CLONE_FLAGS(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	if (!ret)
		ret = refuse(ctx, SCMP_SYS(prctl),
			     SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, PR_SET_PDEATHSIG));
	/* Its flags are in memory, which a filter cannot see; C libraries then take clone(). */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return ret;
}

static int load(scmp_filter_ctx ctx, int ret, struct failure *failure)
{
	/* Also in threads that a library has begun, unless a service manager's filter refuses. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!ret && !WITH_SANITIZER)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret)
		return failure_set(failure, ret, "cannot filter system calls (seccomp): %s",
				   strerror(-ret));
	return 0;
}

/* A filter of its own: of two the stricter answer counts, of two rules in one the wider. */
int confine_never(struct failure *failure)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	return ctx ? load(ctx, add_refusals(ctx), failure) : -ENOMEM;
}

int confine_calls(const int *calls, size_t n, struct failure *failure)
{
	int ret = confine_never(failure);
	scmp_filter_ctx ctx;

	if (ret)
		return ret;
	/* not a kill: a C library that takes another way gets an error that it can live with */
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return -ENOMEM;
	ret = add_calls(ctx, SCMP_ACT_ALLOW, base_calls, ARRAY_SIZE(base_calls));
	if (!ret)
		ret = add_calls(ctx, SCMP_ACT_ALLOW, calls, n);
	return load(ctx, ret, failure);
}

/* CAN, and the links that come and go */
static int add_sockets(scmp_filter_ctx ctx)
{
	int ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				   SCMP_A0(SCMP_CMP_EQ, AF_CAN, 0));

	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				       SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
				       SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE, 0));
	return ret;
}

int confine_kinds(unsigned int kinds, struct failure *failure)
{
	int ret = confine_never(failure);
	scmp_filter_ctx ctx;
	size_t i;

	if (ret)
		return ret;
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return -ENOMEM;
	ret = add_calls(ctx, SCMP_ACT_ALLOW, base_calls, ARRAY_SIZE(base_calls));
	for (i = 0; i < ARRAY_SIZE(kinds_of_calls) && !ret; i++)
		if (kinds & kinds_of_calls[i].kind)
			ret = add_calls(ctx, SCMP_ACT_ALLOW, kinds_of_calls[i].calls,
					kinds_of_calls[i].n);
	if (!ret && kinds & CONFINE_NETWORK)
		ret = add_sockets(ctx);
	return load(ctx, ret, failure);
}

int confine_calls_wide(bool connects, struct failure *failure)
{
	static const int connect_calls[] = { SCMP_SYS(connect) };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = add_calls(ctx, SCMP_ACT_ERRNO(EPERM), dangerous_calls, ARRAY_SIZE(dangerous_calls));
	if (!ret && !connects)
		ret = add_calls(ctx, SCMP_ACT_ERRNO(EPERM), connect_calls,
				ARRAY_SIZE(connect_calls));
	if (!ret && !connects)
		ret = refuse(ctx, SCMP_SYS(socket),
			     SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_UNIX));
	if (!ret)
		ret = add_refusals(ctx);
	return load(ctx, ret, failure);
}
#else
int confine_never(struct failure *failure)
{
	(void)failure;
	return 0;
}

int confine_kinds(unsigned int kinds, struct failure *failure)
{
	(void)kinds;
	(void)failure;
	return 0;
}

int confine_calls(const int *calls, size_t n, struct failure *failure)
{
	(void)calls;
	(void)n;
	(void)failure;
	return 0;
}

int confine_calls_wide(bool connects, struct failure *failure)
{
	(void)connects;
	(void)failure;
	return 0;
}
#endif
