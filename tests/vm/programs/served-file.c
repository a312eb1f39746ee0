// SPDX-License-Identifier: BSD-3-Clause
#include "served-file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REQUEST_MAX (FUSE_MIN_READ_BUFFER * 16)

static union {
	struct fuse_init_out init;
	struct fuse_open_out open;
	struct fuse_attr_out attr;
} answer;

/* Return: the answer's length, or a negative errno for the one who asks */
static int serve(const struct fuse_in_header *request)
{
	memset(&answer, 0, sizeof(answer));
	switch (request->opcode) {
	case FUSE_INIT:
		answer.init = (struct fuse_init_out){
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_write = 4096,
		};
		return sizeof(answer.init);
	case FUSE_OPEN:
		return sizeof(answer.open);
	case FUSE_GETATTR:
		answer.attr.attr.mode = S_IFREG | 0600;
		answer.attr.attr.nlink = 1;
		return sizeof(answer.attr);
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		return -ENOSYS;
	}
}

static _Noreturn void be_file_system(int fuse, pid_t parent)
{
	static char buf[REQUEST_MAX];
	const struct fuse_in_header *request = (const void *)buf;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent && read(fuse, buf, sizeof(buf)) > 0) {
		const int ret = serve(request);
		const size_t len = ret > 0 ? (size_t)ret : 0;
		struct fuse_out_header head = {
			.len = (uint32_t)(sizeof(head) + len),
			.error = ret < 0 ? ret : 0,
			.unique = request->unique,
		};
		struct iovec iov[2] = { { &head, sizeof(head) }, { &answer, len } };

		if (writev(fuse, iov, 2) < 0 && errno != ENOENT)
			break;
	}
	_exit(0);
}

int served_file(const char *path)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC), fd;
	const pid_t self = getpid();
	char options[96];
	pid_t server;

	if (fuse < 0)
		return -1;
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", fuse);
	if (mount("served", path, "fuse", 0, options))
		return -1;
	server = fork();
	if (!server)
		be_file_system(fuse, self);
	close(fuse);
	fd = server < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
	umount2(path, MNT_DETACH); /* the open file keeps it */
	return fd;
}
