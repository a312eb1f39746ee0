// SPDX-License-Identifier: BSD-3-Clause
#include "common/unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/unwanted.h"

#define UNIX_BACKLOG 4
#define RETRY_MS 10
#define LOCK_WAIT_MS 1000

static int unix_address(const char *path, struct sockaddr_un *addr)
{
	size_t len = strlen(path);

	if (!len)
		return -EINVAL;
	if (len >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, len);
	return 0;
}

/*
 * Between "nobody listens" and unlink() another process could bind: its socket would be the one
 * removed. A lock on the folder closes that gap. It is advisory and in a shared folder anybody can
 * hold it, so it is waited for a moment only.
 */
static int unix_lock_folder(const char *path)
{
	deadline_t deadline = deadline_after_ms(LOCK_WAIT_MS);
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	strcpy(folder, path); /* unix_address() has checked that it fits */
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && !deadline_passed(deadline))
		poll(NULL, 0, RETRY_MS);
	return fd;
}

/* Removes a socket file that nobody listens on. */
static int unix_remove_stale(const char *path, const struct sockaddr_un *addr)
{
	_cleanup_close_ int probe = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return -errno;
	if (connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return errno == ENOENT ? 0 : -errno;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int unix_listen(const char *path)
{
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int ret;

	ret = unix_address(path, &addr);
	if (ret)
		return ret;
	lock = unix_lock_folder(path);
	if (lock < 0)
		return lock;
	ret = unix_remove_stale(path, &addr);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (listen(fd, UNIX_BACKLOG) < 0) {
		ret = -errno;
		unlink(path);
		return ret;
	}
	return fd_steal(&fd);
}

int unix_stream(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	unwanted_refuse(fd, true); /* best effort */
	return fd;
}

int unix_connect_to(int fd, const char *path, deadline_t deadline)
{
	struct sockaddr_un addr;
	int ret, flags;

	ret = unix_address(path, &addr);
	if (ret)
		return ret;
	/*
	 * A full listen queue is EAGAIN here, and poll() does not tell when there is room again
	 * (unix(7)): the only way is to try again after a while.
	 */
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (deadline_passed(deadline))
			return -ETIMEDOUT;
		poll(NULL, 0, RETRY_MS);
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int unix_connect(const char *path, deadline_t deadline)
{
	_cleanup_close_ int fd = unix_stream();
	int ret;

	if (fd < 0)
		return fd;
	ret = unix_connect_to(fd, path, deadline);
	return ret ? ret : fd_steal(&fd);
}

int unix_accept(int listener)
{
	int fd;

	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd < 0 ? -errno : fd;
}
