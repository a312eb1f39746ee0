// SPDX-License-Identifier: BSD-3-Clause
#include "common/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/parse.h"

#define STATE_MAX 512

static char taken[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
static int connected = -1; /* to that, if somebody was there */
static uint64_t watchdog_ms;

/* Return: the address's length, or -EINVAL */
static int address(const char *path, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(addr->sun_path))
		return -EINVAL;
	memcpy(addr->sun_path, path, strlen(path));
	if (path[0] == '@') /* an abstract address */
		addr->sun_path[0] = '\0';
	return (int)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

static int connect_taken(void)
{
	struct sockaddr_un addr;
	int len = address(taken, &addr);
	_cleanup_close_ int fd = -1;

	if (len < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, (socklen_t)len) < 0)
		return -1;
	return fd_steal(&fd);
}

void notify_take(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *interval = getenv("WATCHDOG_USEC");
	uint64_t usec;

	if (path && strlen(path) < sizeof(taken))
		strcpy(taken, path);
	if (taken[0] && interval && !parse_u64(interval, 1, UINT64_MAX, &usec))
		watchdog_ms = usec / 1000;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (taken[0] && connected < 0)
		connected = connect_taken();
}

void notify_drop(void)
{
	fd_close(&connected);
	taken[0] = '\0';
	watchdog_ms = 0;
}

uint64_t notify_watchdog_ms(void)
{
	return watchdog_ms;
}

int notify_sendf(const char *fmt, ...)
{
	char state[STATE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state, sizeof(state), fmt, ap);
	va_end(ap);
	return notify_send(state);
}

int notify_send(const char *state)
{
	const char *path = taken[0] ? taken : getenv("NOTIFY_SOCKET");
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int len;

	if (!path || !path[0])
		return 0;
	if (connected >= 0 &&
	    send(connected, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 1;
	len = address(path, &addr);
	if (len < 0)
		return len;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&addr,
		   (socklen_t)len) < 0)
		return -errno;
	return 1;
}
