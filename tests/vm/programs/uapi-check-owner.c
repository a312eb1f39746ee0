// SPDX-License-Identifier: BSD-3-Clause
/* Whose a device is: who opened the file, whoever the process has become since. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw-device.h"
#include "uapi-check.h"

#define NODE "/dev/virtio-loopback"
#define NAME "opener"
#define NOBODY 65534
#define NO_DRIVER 62 /* a type that Linux has no driver of: nobody asks anything */

/* Root as in a service, which may change its user and not do all. */
static void lose_administration(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	syscall(SYS_capget, &header, data);
	data[0].effective &= ~(1U << CAP_SYS_ADMIN);
	data[0].permitted = data[0].effective;
	expect_error(syscall(SYS_capset, &header, data), 0, "capset");
}

static void become(uid_t uid)
{
	expect_error(setresuid(uid, uid, uid), 0, "setresuid");
}

/* A process of @uid, which lasts as long as this one. */
static pid_t sleeper(uid_t uid)
{
	int ready[2], held[2];
	char byte;
	pid_t pid;

	expect_error(pipe(ready), 0, "pipe");
	expect_error(pipe(held), 0, "pipe");
	pid = fork();
	if (!pid) {
		become(uid);
		close(ready[0]);
		close(ready[1]);
		close(held[1]);
		_exit(read(held[0], &byte, 1) != 0);
	}
	close(ready[1]);
	close(held[0]);
	if (read(ready[0], &byte, 1)) /* it is that user now */
		fail("read");
	close(ready[0]);
	return pid;
}

static void name_backend(int fd, pid_t pid, int error, const char *what)
{
	struct virtio_loopback_backend args = { .size = sizeof(args), .pid = pid };

	expect_error(ioctl(fd, VIRTIO_LOOPBACK_SET_BACKEND, &args), error, what);
}

static void take_over(int fd, int error, const char *what)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = NAME };

	expect_error(ioctl(fd, VIRTIO_LOOPBACK_TAKEOVER, &args), error, what);
}

/* An adapter that has become another user makes the device, and is gone. */
static void make(void)
{
	const pid_t roots = sleeper(0), strangers = sleeper(1);
	int fd, memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW);
	struct virtio_loopback_create args = raw_args(memfd, NAME);

	args.device_id = NO_DRIVER;
	args.orphan_timeout_ms = 20000;
	lose_administration();
	fd = raw_open();
	become(NOBODY);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_START), 0, "START");
	name_backend(fd, getpid(), 0, "a process of its own");
	name_backend(fd, roots, 0, "a process of who opened the file");
	name_backend(fd, strangers, EPERM, "a process of somebody else");
	name_backend(fd, 0, 0, "no process");
}

static void take_as_root(void)
{
	lose_administration();
	take_over(raw_open(), 0, "TAKEOVER by a file of root's");
}

static void take_as_nobody(void)
{
	become(NOBODY);
	take_over(raw_open(), EPERM, "TAKEOVER by another user's file");
}

static void restrict_to(int fd, const char *name, int error, const char *what)
{
	struct virtio_loopback_restrict args = { .size = sizeof(args) };

	snprintf(args.name, sizeof(args.name), "%s", name);
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_RESTRICT, &args), error, what);
}

/* A file that root has opened for somebody else's device gets no other one. */
static void take_another(void)
{
	int fd = raw_open(), memfd = raw_memfd(1 << 20, F_SEAL_SHRINK | F_SEAL_GROW);
	struct virtio_loopback_create args = raw_args(memfd, "another");

	restrict_to(fd, "", EINVAL, "RESTRICT to no name");
	restrict_to(fd, "another", 0, "RESTRICT");
	restrict_to(fd, NAME, EBUSY, "RESTRICT of a file that is");
	take_over(fd, EPERM, "TAKEOVER by a file for another name");
	memcpy(args.name, NAME, sizeof(NAME));
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), EPERM, "CREATE of another name");
	memcpy(args.name, "another", sizeof("another"));
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args), 0, "CREATE of this name");
	restrict_to(fd, "another", EBUSY, "RESTRICT of a device");
}

/* The saved id keeps what it may do: all of it, once it is root again. */
static void take_by_a_strangers_file(void)
{
	int fd;

	expect_error(setresuid(NOBODY, NOBODY, 0), 0, "setresuid");
	fd = raw_open();
	become(0);
	take_over(fd, EPERM, "TAKEOVER by the administrator, with another user's file");
}

void check_owner(void)
{
	struct stat st;
	int fd;

	in_child(make, "the first adapter");
	in_child(take_as_root, "the second one");
	if (stat(NODE, &st) || chmod(NODE, 0666))
		fail("chmod: %s", strerror(errno));
	in_child(take_as_nobody, "another user's");
	in_child(take_by_a_strangers_file, "another user's, in root's hands");
	chmod(NODE, st.st_mode & 07777);
	in_child(take_another, "a file for another name");
	fd = raw_open();
	restrict_to(fd, NAME, 0, "RESTRICT to its name");
	take_over(fd, 0, "TAKEOVER by the administrator");
	expect_error(ioctl(fd, VIRTIO_LOOPBACK_DESTROY), 0, "DESTROY");
	close(fd);
	expect(raw_wait_gone(NAME, 20000), "the device to go");
}
