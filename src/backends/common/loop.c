// SPDX-License-Identifier: BSD-3-Clause
#include "backends/common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOP_EVENTS 16

struct loop_source {
	struct loop_source *next;
	int fd;
	bool removed; /* released after the events at hand, which may still name it */
	loop_fn fn;
	void *data;
};

struct loop {
	int epoll_fd;
	bool quit;
	int status;
	struct loop_source *sources;
};

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void loop_sweep(struct loop *loop, bool all)
{
	struct loop_source **link = &loop->sources;

	while (*link) {
		struct loop_source *source = *link;

		if (!source->removed && !all) {
			link = &source->next;
			continue;
		}
		*link = source->next;
		free(source);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	loop_sweep(loop, true);
	close(loop->epoll_fd);
	free(loop);
}

struct loop_source *loop_add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *data)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (!source)
		return NULL;
	source->fd = fd;
	source->fn = fn;
	source->data = data;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(source);
		return NULL;
	}
	source->next = loop->sources;
	loop->sources = source;
	return source;
}

int loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!source || source->removed)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->removed = true;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[LOOP_EVENTS];

	loop->quit = false;
	while (!loop->quit) {
		int i, n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (i = 0; i < n; i++) {
			struct loop_source *source = events[i].data.ptr;

			if (!source->removed)
				source->fn(source->data, events[i].events);
		}
		loop_sweep(loop, false);
	}
	return loop->status;
}

void loop_quit(struct loop *loop, int status)
{
	loop->quit = true;
	loop->status = status;
}
