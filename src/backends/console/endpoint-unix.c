// SPDX-License-Identifier: BSD-3-Clause
/* A unix socket: one client at a time, the next ones wait in the listener's queue. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/console/endpoint.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/unix-socket.h"

struct unix_end {
	int listener;
	int client;
	struct loop_source *source; /* of the listener, while nobody is connected */
};

static void knock(void *data, uint32_t events)
{
	struct endpoint *ep = data;
	struct unix_end *u = ep->priv;
	int fd;

	(void)events;
	fd = unix_accept(u->listener);
	if (fd < 0) {
		if (fd != -EAGAIN)
			log_ratelimited(LOG_LEVEL_WARNING, "%s: %s", ep->target, strerror(-fd));
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	u->client = fd;
	loop_remove(ep->loop, u->source);
	u->source = NULL;
	endpoint_connected(ep, fd, fd);
}

static int listen_again(struct endpoint *ep)
{
	struct unix_end *u = ep->priv;

	u->source = loop_add(ep->loop, u->listener, EPOLLIN, knock, ep);
	return u->source ? 0 : -errno;
}

static void unix_close(struct endpoint *ep)
{
	struct unix_end *u = ep->priv;

	fd_close(&u->client);
	unlink(ep->target); /* before somebody takes it for left behind, and puts its own there */
	fd_close(&u->listener);
	free(u);
	ep->priv = NULL;
}

static int unix_open(struct endpoint *ep)
{
	struct unix_end *u = malloc(sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	*u = (struct unix_end){ .listener = unix_listen(ep->target), .client = -1 };
	if (u->listener < 0) {
		ret = u->listener;
		log_error("%s: %s", ep->target,
			  ret == -EADDRINUSE ? "another program listens there" : strerror(-ret));
		free(u);
		return ret;
	}
	ep->priv = u;
	ret = listen_again(ep);
	if (ret) {
		log_error("%s: cannot be watched: %s", ep->target, strerror(-ret));
		unix_close(ep);
	}
	return ret;
}

static void unix_left(struct endpoint *ep)
{
	struct unix_end *u = ep->priv;
	int fd = fd_steal(&u->client);

	endpoint_left(ep);
	fd_close(&fd);
	if (listen_again(ep))
		log_error("%s: cannot be watched: %m", ep->target);
}

static bool unix_unread(const struct endpoint *ep)
{
	const struct unix_end *u = ep->priv;
	int n = 0;

	return ioctl(u->client, FIONREAD, &n) == 0 && n > 0;
}

const struct endpoint_kind endpoint_unix = {
	.name = "unix",
	.needs_target = true,
	.open = unix_open,
	.close = unix_close,
	.left = unix_left,
	.hangup = unix_left,
	.unread = unix_unread,
};
