// SPDX-License-Identifier: BSD-3-Clause
/*
 * A pseudo-terminal. This program has the master, others open the slave by a symbolic link.
 *
 * The master shows a hang-up while nobody has the slave open, but nothing tells that it has been
 * opened again, nor (packet mode included) that its size was changed. The slave is a file of
 * devpts, though, and inotify tells of its being opened and closed. The size is looked at then, and
 * whenever something was typed: a terminal program sets it right after opening, and stty opens and
 * closes the slave.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "backends/console/endpoint.h"
#include "common/cleanup.h"
#include "common/log.h"

#define PTY_NAME_MAX 64

struct pty_end {
	int master;
	int inotify;
	struct loop_source *source;
	char slave[PTY_NAME_MAX];
	bool linked;
};

static short pty_state(int master)
{
	struct pollfd pfd = { .fd = master, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1 ? pfd.revents : 0;
}

static void look(struct endpoint *ep)
{
	struct pty_end *pty = ep->priv;
	bool in_use = !(pty_state(pty->master) & POLLHUP);

	endpoint_look_at_size(ep, pty->master);
	if (in_use && !ep->connected)
		endpoint_connected(ep, pty->master, pty->master);
	else if (in_use && ep->hung_up)
		endpoint_rewatch(ep);
}

static void slave_touched(void *data, uint32_t events)
{
	struct endpoint *ep = data;
	struct pty_end *pty = ep->priv;
	char buf[4096];

	(void)events;
	if (read(pty->inotify, buf, sizeof(buf)) > 0)
		look(ep);
}

/*
 * Opening and closing it once makes the master show the hang-up. Raw: an echo of what the driver
 * sends would come back to it as input.
 */
static int prepare_slave(struct pty_end *pty)
{
	_cleanup_close_ int fd = open(pty->slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios mode;

	if (fd < 0 || tcgetattr(fd, &mode) < 0)
		return -errno;
	cfmakeraw(&mode);
	return tcsetattr(fd, TCSANOW, &mode) < 0 ? -errno : 0;
}

static int open_master(struct pty_end *pty)
{
	int ret;

	pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (pty->master < 0 || grantpt(pty->master) < 0 || unlockpt(pty->master) < 0 ||
	    ptsname_r(pty->master, pty->slave, sizeof(pty->slave)))
		return -errno;
	ret = prepare_slave(pty);
	if (ret)
		return ret;
	pty->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (pty->inotify < 0 ||
	    inotify_add_watch(pty->inotify, pty->slave, IN_OPEN | IN_CLOSE) < 0)
		return -errno;
	return 0;
}

/* A link is replaced, one of an earlier instance most likely; anything else is left alone. */
static int make_link(struct pty_end *pty, const char *target)
{
	char temporary[4096];
	struct stat st;

	if (lstat(target, &st) == 0 && !S_ISLNK(st.st_mode)) {
		log_error("%s: is there, and is no symbolic link: choose another name", target);
		return -EEXIST;
	}
	if (snprintf(temporary, sizeof(temporary), "%s.%d", target, (int)getpid()) >=
	    (int)sizeof(temporary)) {
		log_error("%s: too long", target);
		return -ENAMETOOLONG;
	}
	if (symlink(pty->slave, temporary) < 0 || rename(temporary, target) < 0) {
		int ret = -errno;

		log_error("%s: no link to the pseudo-terminal can be made: %s", target,
			  strerror(-ret));
		unlink(temporary);
		return ret;
	}
	pty->linked = true;
	return 0;
}

static void remove_link(const struct pty_end *pty, const char *target)
{
	char there[PTY_NAME_MAX] = "";

	/* by now it may be another program's */
	if (pty->linked && readlink(target, there, sizeof(there) - 1) > 0 &&
	    !strcmp(there, pty->slave))
		unlink(target);
}

static void pty_close(struct endpoint *ep)
{
	struct pty_end *pty = ep->priv;

	remove_link(pty, ep->target);
	fd_close(&pty->inotify);
	fd_close(&pty->master);
	free(pty);
	ep->priv = NULL;
}

static int pty_open(struct endpoint *ep)
{
	struct pty_end *pty = malloc(sizeof(*pty));
	int ret;

	if (!pty)
		return -ENOMEM;
	*pty = (struct pty_end){ .master = -1, .inotify = -1 };
	ep->priv = pty;
	ret = open_master(pty);
	if (!ret) {
		pty->source = loop_add(ep->loop, pty->inotify, EPOLLIN, slave_touched, ep);
		ret = pty->source ? 0 : -errno;
	}
	if (ret) {
		log_error("%s: no pseudo-terminal can be had: %s", ep->target, strerror(-ret));
		pty_close(ep);
		return ret;
	}
	ret = make_link(pty, ep->target);
	if (ret) {
		pty_close(ep);
		return ret;
	}
	log_info("%s: %s", ep->target, pty->slave);
	look(ep);
	return 0;
}

static void pty_left(struct endpoint *ep)
{
	endpoint_left(ep);
	look(ep); /* somebody may have opened it meanwhile */
}

static bool pty_unread(const struct endpoint *ep)
{
	const struct pty_end *pty = ep->priv;

	return pty_state(pty->master) & POLLIN;
}

/*
 * No hangup: the slave would have to be taken away from those who have it, and with it what they
 * have not read yet.
 */
const struct endpoint_kind endpoint_pty = {
	.name = "pty",
	.needs_target = true,
	.sized = true,
	.open = pty_open,
	.close = pty_close,
	.left = pty_left,
	.unread = pty_unread,
};
