// SPDX-License-Identifier: BSD-3-Clause
/*
 * libforbidden.so - tries what a confined process must not be able to do
 *
 * Loaded before a program (LD_PRELOAD), it does nothing until SIGUSR2: then the main thread,
 * whatever it has given up by then, tries each thing and writes "NAME ERRNO" (0: it could) into the file
 * $FORBIDDEN/PID, which was opened at the start. What is tried does no harm where it succeeds.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* Out of the way of the program's own. */
#define OUT_FD	900

static char *victim; /* of the test, who has made it */

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? -1 : close(fd);
}

static int try_read(void)
{
	return try_open("/etc/shadow", O_RDONLY);
}

static int try_write(void)
{
	return try_open(victim, O_WRONLY);
}

/* A device that belongs to no part */
static int try_device(void)
{
	return try_open("/dev/full", O_WRONLY);
}

static int try_make(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s-%d", victim, (int)getpid());
	return try_open(path, O_WRONLY | O_CREAT);
}

static int try_rename(void)
{
	return rename(victim, victim);
}

static int try_remove(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s-remove", victim);
	return unlink(path);
}

static int try_mode(void)
{
	return chmod(victim, 0600);
}

/* EPERM is a filter's word: without one there is no such program. */
static int try_execute(void)
{
	return execl("/nonexistent", "nonexistent", NULL);
}

static int try_trace(void)
{
	return (int)ptrace(PTRACE_PEEKDATA, getppid(), NULL, NULL);
}

static int try_memory(void)
{
	char byte;
	struct iovec ours = { &byte, 1 }, theirs = { (void *)8, 1 };

	return (int)process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0);
}

static int try_mount(void)
{
	return mount("none", "/nonexistent", "tmpfs", 0, NULL);
}

static int try_namespace(void)
{
	return (int)syscall(SYS_unshare, 0);
}

/* No kernel takes both flags: where there is no filter no process is made, either. */
static int try_clone(void)
{
	return (int)syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* The filter says that there is none, for the C library to take clone() instead. */
static int try_clone3(void)
{
	int ret = (int)syscall(SYS_clone3, NULL, 0);

	if (ret < 0 && errno == ENOSYS)
		errno = EPERM;
	return ret;
}

/* None in fact: whether it could be sent */
static int try_signal(void)
{
	return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static int try_kill(void)
{
	return (int)syscall(SYS_kill, getppid(), 0);
}

/* As a descriptor's owner another process gets any signal without a call that sends one. */
static int try_owner(void)
{
	return (int)syscall(SYS_fcntl, OUT_FD, F_SETOWN, getppid());
}

/* To no terminal: where there is no filter that is what is wrong. */
static int try_type(void)
{
	return (int)syscall(SYS_ioctl, OUT_FD, (unsigned long)TIOCSTI, "x");
}

static int try_mode_of_open(void)
{
	return fchmod(OUT_FD, 0600);
}

static int try_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int try_internet(void)
{
	const struct sockaddr_in nobody = {
		.sin_family = AF_INET, .sin_port = htons(1), .sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -1;
	ret = connect(fd, (const struct sockaddr *)&nobody, sizeof(nobody));
	syscall(SYS_close, fd);
	return ret;
}

static int try_datagrams(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : close(fd);
}

/* What listens for root alone, and believes whoever gets there. */
static int try_service(void)
{
	struct sockaddr_un service = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -1;
	snprintf(service.sun_path, sizeof(service.sun_path), "%s-service", victim);
	ret = connect(fd, (const struct sockaddr *)&service, sizeof(service));
	syscall(SYS_close, fd);
	return ret;
}

static const struct {
	const char *name;
	int (*try)(void);
} attempts[] = {
	{ "read", try_read },	      { "write", try_write },
	{ "make", try_make },	      { "rename", try_rename },
	{ "remove", try_remove },     { "mode", try_mode },
	{ "execute", try_execute },   { "trace", try_trace },
	{ "memory", try_memory },     { "mount", try_mount },
	{ "namespace", try_namespace }, { "ring", try_ring },
	{ "internet", try_internet }, { "clone", try_clone },
	{ "clone3", try_clone3 },     { "signal", try_signal },
	{ "kill", try_kill },	      { "type", try_type },
	{ "mode-of-open", try_mode_of_open }, { "datagrams", try_datagrams },
	{ "device", try_device },     { "service", try_service },
	{ "owner", try_owner },
};

static void try_all(int number)
{
	int saved = errno, result;
	char line[64];
	size_t i;

	(void)number;
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		errno = 0;
		result = attempts[i].try();
		snprintf(line, sizeof(line), "%s %d\n", attempts[i].name, result < 0 ? errno : 0);
		if (write(OUT_FD, line, strlen(line)) < 0)
			break;
	}
	if (write(OUT_FD, "end 0\n", 6) < 0)
		abort();
	errno = saved;
}

__attribute__((constructor)) static void begin(void)
{
	const struct sigaction action = { .sa_handler = try_all, .sa_flags = SA_RESTART };
	const char *folder = getenv("FORBIDDEN");
	char path[4096];
	int fd;

	if (!folder)
		return;
	victim = getenv("FORBIDDEN_VICTIM");
	snprintf(path, sizeof(path), "%s/%d", folder, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || dup3(fd, OUT_FD, O_CLOEXEC) < 0)
		return;
	close(fd);
	sigaction(SIGUSR2, &action, NULL);
}
