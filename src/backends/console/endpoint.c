// SPDX-License-Identifier: BSD-3-Clause
#include "backends/console/endpoint.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log.h"

/* ---- watching ---- */

static void in_ready(void *data, uint32_t events);
static void out_ready(void *data, uint32_t events);

static const char *name_of(const struct endpoint *ep)
{
	return ep->target ? ep->target : ep->kind->name;
}

static void watch(struct endpoint *ep, struct endpoint_watch *w, uint32_t events, bool wanted,
		  loop_fn fn)
{
	if (!wanted || w->fd < 0) {
		loop_remove(ep->loop, w->source);
		w->source = NULL;
		return;
	}
	if (!w->source) {
		w->source = loop_add(ep->loop, w->fd, events, fn, ep);
		/* A regular file is always ready, and is read and written without being asked. */
		if (!w->source && errno != EPERM)
			log_ratelimited(LOG_LEVEL_ERROR, "%s: cannot be watched: %m", name_of(ep));
	} else if (w->events != events) {
		loop_change(ep->loop, w->source, events);
	}
	w->events = events;
}

/*
 * One descriptor for both directions is watched even when nothing is wanted of it: a hang-up is
 * always reported. Once it has been, and nothing is wanted, it would be reported for ever.
 */
static void update(struct endpoint *ep)
{
	bool one = ep->in.fd == ep->out.fd;
	bool in = ep->want_in && !ep->in_ended;
	uint32_t events = in ? EPOLLIN : 0;

	if (one && ep->want_out)
		events |= EPOLLOUT;
	watch(ep, &ep->in, events,
	      ep->connected && (one ? (events & EPOLLIN) || !ep->hung_up : in), in_ready);
	if (!one)
		watch(ep, &ep->out, EPOLLOUT, ep->connected && ep->want_out, out_ready);
}

void endpoint_want(struct endpoint *ep, bool in, bool out)
{
	ep->want_in = in;
	ep->want_out = out;
	update(ep);
}

void endpoint_rewatch(struct endpoint *ep)
{
	ep->hung_up = false;
	update(ep);
}

/* The other end is closed for good; what it sent before is still to be read. */
static void hung_up(struct endpoint *ep)
{
	if (!ep->in_ended && ep->kind->unread && ep->kind->unread(ep)) {
		ep->hung_up = true;
		update(ep);
		return;
	}
	ep->kind->left(ep);
}

static void in_ready(void *data, uint32_t events)
{
	struct endpoint *ep = data;
	bool one = ep->in.fd == ep->out.fd;

	if ((events & EPOLLIN) || (ep->want_in && (events & (EPOLLHUP | EPOLLERR))))
		ep->events->readable(ep->data);
	if (one && ep->connected && (events & EPOLLOUT))
		ep->events->writable(ep->data);
	if (one && ep->connected && (events & (EPOLLHUP | EPOLLERR)))
		hung_up(ep);
}

static void out_ready(void *data, uint32_t events)
{
	struct endpoint *ep = data;

	(void)events;
	ep->events->writable(ep->data);
}

/* ---- life ---- */

void endpoint_init(struct endpoint *ep, const struct endpoint_kind *kind, const char *target)
{
	*ep = (struct endpoint){
		.kind = kind,
		.target = target,
		.in.fd = -1,
		.out.fd = -1,
	};
}

int endpoint_open(struct endpoint *ep, struct loop *loop, const struct endpoint_events *events,
		  void *data)
{
	int ret;

	ep->events = events;
	ep->data = data;
	ep->loop = loop;
	ret = ep->kind->open(ep);
	if (ret)
		ep->loop = NULL;
	return ret;
}

void endpoint_close(struct endpoint *ep)
{
	if (!ep->loop)
		return;
	ep->connected = false;
	ep->kind->close(ep);
	ep->loop = NULL;
}

void endpoint_hangup(struct endpoint *ep)
{
	if (ep->connected && ep->kind->hangup)
		ep->kind->hangup(ep);
}

void endpoint_connected(struct endpoint *ep, int in, int out)
{
	ep->connected = true;
	ep->in_ended = false;
	ep->hung_up = false;
	ep->full = false;
	ep->in.fd = in;
	ep->out.fd = out;
	update(ep);
	ep->events->changed(ep->data);
}

void endpoint_left(struct endpoint *ep)
{
	ep->connected = false;
	update(ep);
	ep->in.fd = -1;
	ep->out.fd = -1;
	ep->events->changed(ep->data);
}

void endpoint_look_at_size(struct endpoint *ep, int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		return;
	if (size.ws_col == ep->cols && size.ws_row == ep->rows)
		return;
	ep->cols = size.ws_col;
	ep->rows = size.ws_row;
	ep->events->resized(ep->data);
}

/* ---- reading and writing ---- */

static bool is_hung_up(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
}

ssize_t endpoint_read(struct endpoint *ep, const struct iovec *iov, unsigned int n)
{
	ssize_t done;

	if (!ep->connected || ep->in_ended)
		return -EPIPE;
	do {
		done = readv(ep->in.fd, iov, (int)n);
	} while (done < 0 && errno == EINTR);
	if (done < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (done > 0) {
		if (ep->kind->sized)
			endpoint_look_at_size(ep, ep->in.fd);
		return done;
	}
	/* What can still be written to: only half of it is closed. */
	ep->in_ended = true;
	if (done < 0 || (ep->in.fd == ep->out.fd && is_hung_up(ep->in.fd)))
		ep->kind->left(ep);
	else
		update(ep);
	return -EPIPE;
}

static ssize_t no_room(struct endpoint *ep)
{
	if (!ep->full)
		log_warning("%s: %m; what is put out waits for room, or is lost", name_of(ep));
	ep->full = true;
	return -ENOSPC;
}

ssize_t endpoint_write(struct endpoint *ep, const struct iovec *iov, unsigned int n)
{
	ssize_t done;

	if (!ep->connected)
		return -EPIPE;
	do {
		done = writev(ep->out.fd, iov, (int)n);
	} while (done < 0 && errno == EINTR);
	if (done > 0) {
		ep->full = false;
		return done;
	}
	if (!done || errno == EAGAIN)
		return -EAGAIN;
	if (errno == ENOSPC || errno == EDQUOT)
		return no_room(ep);
	/* the ends of those who have left */
	if (errno != EPIPE && errno != ECONNRESET && errno != EIO)
		log_warning("%s: nothing more can be written: %m", name_of(ep));
	if (ep->in.fd == ep->out.fd)
		hung_up(ep); /* not before the rest is read */
	else
		ep->kind->left(ep);
	return -EPIPE;
}
