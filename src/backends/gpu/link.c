// SPDX-License-Identifier: BSD-3-Clause
#include "backends/gpu/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

#define OWN_FEATURES (BIT_ULL(VGPU_PROTOCOL_F_EDID) | BIT_ULL(VGPU_PROTOCOL_F_DMABUF2))

static void sock_ready(void *data, uint32_t events);

/* ---- patience ---- */

/* @after: 0 for never */
static void set_timer(struct link *link, uint64_t after)
{
	struct itimerspec when = { .it_value = { (time_t)(after / 1000000000),
						 (long)(after % 1000000000) } };

	if (timerfd_settime(link->timer_fd, 0, &when, NULL) < 0)
		log_error("the timer cannot be set: %m");
	link->timing = after;
	link->waking = false;
}

void link_patience(struct link *link)
{
	if (link_waits(link) && !link->timing)
		set_timer(link, LINK_PATIENCE_MS * 1000000ULL);
}

void link_calm(struct link *link)
{
	if (link->timing)
		set_timer(link, 0);
}

/*
 * What is waited for will not come. Whoever waits hears it from the loop: this is called from the
 * middle of other things, such as a command of the cursor queue.
 */
static void wake(struct link *link)
{
	if (!link->timing)
		return;
	set_timer(link, 1);
	link->waking = true;
}

/* The display did something. */
static void alive(struct link *link)
{
	if (link->stalled)
		log_info("the display is back");
	link->stalled = false;
}

static void lose_question(struct link *link)
{
	if (link->question == LINK_TO_BE_ASKED || link->question == LINK_ASKED)
		link->question = LINK_LOST;
}

/* A display that is asked what it has not negotiated breaks the connection, or does not answer. */
static bool knows(const struct link *link, uint32_t request)
{
	return request != VGPU_GET_EDID || link->features & BIT_ULL(VGPU_PROTOCOL_F_EDID);
}

/* The answers may come later: then they are let pass. */
static void drop_awaited(struct link *link)
{
	unsigned int i;

	for (i = 0; i < link->nawaited; i++)
		link->awaited[i].dropped = true;
	link->dmabuf_updates = 0;
	lose_question(link);
}

void link_give_up(struct link *link)
{
	link->stalled = true;
	drop_awaited(link);
	link_calm(link);
}

void link_forget(struct link *link)
{
	unsigned int i;

	for (i = 0; i < link->nawaited; i++)
		if (link->awaited[i].request != VGPU_DMABUF_UPDATE)
			link->awaited[i].dropped = true;
	link->question = LINK_NO_QUESTION;
	link_calm(link);
}

static void timer_ready(void *data, uint32_t events)
{
	struct link *link = data;
	uint64_t count;

	(void)events;
	if (read(link->timer_fd, &count, sizeof(count)) < 0)
		return;
	link->timing = false;
	if (!link->waking) {
		log_ratelimited(LOG_LEVEL_WARNING,
				"the display takes nothing or answers nothing: going on without it");
		link_give_up(link);
	}
	link->waking = false;
	link->ops->progress(link->owner);
}

/* ---- sending ---- */

bool link_room(const struct link *link)
{
	return link->nawaited < LINK_MOST_ASKED;
}

static void watch(struct link *link, uint32_t events)
{
	if (link->watched == events)
		return;
	loop_remove(link->loop, link->source);
	link->source = loop_add(link->loop, link->sock, events, sock_ready, link);
	link->watched = link->source ? events : 0;
	if (!link->source)
		log_error("the display's socket cannot be watched: %m");
}

static void await(struct link *link, uint32_t request)
{
	link->awaited[link->nawaited++] = (struct link_awaited){ .request = request };
	if (request == VGPU_DMABUF_UPDATE)
		link->dmabuf_updates++;
}

/* What the link itself has to say comes first, then the owner's. */
static int next_message(struct link *link, struct vgpu_message *msg)
{
	if (!link->features_asked) {
		link->features_asked = true;
		vgpu_message_init(msg, VGPU_REQUEST, VGPU_GET_PROTOCOL_FEATURES);
		return 0;
	}
	if (link->features_to_set) {
		link->features_to_set = false;
		vgpu_message_init(msg, VGPU_REQUEST, VGPU_SET_PROTOCOL_FEATURES);
		msg->payload.u64 = link->features;
		return 0;
	}
	/* Displays in use do nothing before that. */
	if (!link->negotiated)
		return -EAGAIN;
	if (link->question == LINK_TO_BE_ASKED && link_room(link)) {
		link->question = LINK_ASKED;
		vgpu_message_init(msg, VGPU_REQUEST, link->question_request);
		if (link->question_request == VGPU_GET_EDID)
			msg->payload.edid_request.scanout_id = link->question_scanout;
		return 0;
	}
	return link->ops->next(link->owner, msg);
}

static int push(struct link *link)
{
	struct vgpu_message msg;
	int ret;

	for (;;) {
		size_t before = link->writer.sent;

		if (!link->writer.busy) {
			if (next_message(link, &msg))
				return 0;
			if (vgpu_request_has_reply(msg.header.request))
				await(link, msg.header.request);
			vgpu_writer_start(&link->writer, &msg);
			before = 0;
		}
		ret = vgpu_writer_write(&link->writer, link->sock);
		/* A socket takes some while nobody reads: who owes an answer has to give it. */
		if (!link->nawaited && (!ret || link->writer.sent != before))
			alive(link);
		if (ret)
			return ret;
	}
}

void link_push(struct link *link)
{
	int ret;

	if (!link_up(link))
		return;
	ret = push(link);
	if (ret && ret != -EAGAIN) {
		link_stop(link);
		return;
	}
	watch(link, EPOLLIN | (ret == -EAGAIN ? EPOLLOUT : 0U));
}

/* ---- receiving ---- */

static int take_answer(struct link *link, struct vgpu_message *msg)
{
	struct link_awaited first;

	if (!link->nawaited || link->awaited[0].request != msg->header.request)
		return -EPROTO;
	first = link->awaited[0];
	link->nawaited--;
	memmove(link->awaited, link->awaited + 1, link->nawaited * sizeof(link->awaited[0]));
	switch (first.request) {
	case VGPU_GET_PROTOCOL_FEATURES:
		link->features = msg->payload.u64 & OWN_FEATURES;
		link->features_to_set = true;
		link->negotiated = true;
		if (link->question == LINK_TO_BE_ASKED && !knows(link, link->question_request))
			lose_question(link);
		return 0;
	case VGPU_DMABUF_UPDATE:
		if (!first.dropped)
			link->dmabuf_updates--;
		return 0;
	default:
		if (first.dropped || link->question != LINK_ASKED)
			return 0;
		*link->answer = msg->payload;
		link->question = LINK_ANSWERED;
		return 0;
	}
}

static int receive(struct link *link)
{
	struct vgpu_message msg;
	int ret;

	while (!(ret = vgpu_reader_read(&link->reader, link->sock, VGPU_REPLY, &msg))) {
		ret = take_answer(link, &msg);
		vgpu_message_finish(&msg);
		if (ret)
			return ret;
		alive(link);
	}
	return ret == -EAGAIN ? 0 : ret;
}

static void sock_ready(void *data, uint32_t events)
{
	struct link *link = data;
	int ret = 0;

	if (events & ~(uint32_t)EPOLLOUT)
		ret = receive(link);
	if (ret) {
		if (ret == -ECONNRESET)
			log_info("the display has gone");
		else
			log_warning("connection to the display closed: %s",
				    ret == -EPROTO ? "it broke the protocol" : strerror(-ret));
		link_stop(link);
	}
	link_push(link);
	link->ops->progress(link->owner);
}

int link_ask(struct link *link, uint32_t request, uint32_t scanout, union vgpu_payload *answer)
{
	enum link_question now = link->question;

	if (now == LINK_ANSWERED || now == LINK_LOST) {
		link->question = LINK_NO_QUESTION;
		*answer = *link->answer;
		return now == LINK_ANSWERED ? 0 : -ETIMEDOUT;
	}
	if (!link_waits(link))
		return -ENOTCONN;
	if (now == LINK_NO_QUESTION) {
		if (link->negotiated && !knows(link, request))
			return -EOPNOTSUPP;
		link->question = LINK_TO_BE_ASKED;
		link->question_request = request;
		link->question_scanout = scanout;
		link_push(link);
		/* the display can have gone just now */
		if (link->question == LINK_LOST) {
			link->question = LINK_NO_QUESTION;
			return -ENOTCONN;
		}
	}
	return -EAGAIN;
}

/* ---- the connection ---- */

int link_init(struct link *link, struct loop *loop, const struct link_ops *ops, void *owner)
{
	memset(link, 0, sizeof(*link));
	link->ops = ops;
	link->owner = owner;
	link->loop = loop;
	link->sock = -1;
	vgpu_reader_init(&link->reader);
	vgpu_writer_init(&link->writer);
	link->answer = calloc(1, sizeof(*link->answer));
	link->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (link->timer_fd >= 0)
		link->timer = loop_add(loop, link->timer_fd, EPOLLIN, timer_ready, link);
	if (!link->answer || !link->timer) {
		free(link->answer);
		link->answer = NULL;
		fd_close(&link->timer_fd);
		return -ENOMEM;
	}
	return 0;
}

static void disconnect(struct link *link)
{
	loop_remove(link->loop, link->source);
	link->source = NULL;
	link->watched = 0;
	fd_close(&link->sock);
	vgpu_reader_finish(&link->reader);
	vgpu_writer_finish(&link->writer);
	link->features_asked = false;
	link->negotiated = false;
	link->features_to_set = false;
	link->features = 0;
	link->stalled = false;
	drop_awaited(link);
	link->nawaited = 0;
	wake(link);
}

void link_finish(struct link *link)
{
	if (!link->answer)
		return;
	disconnect(link);
	fd_close(&link->timer_fd);
	free(link->answer);
	link->answer = NULL;
}

int link_start(struct link *link, int sock)
{
	_cleanup_close_ int owned = sock;
	socklen_t len = sizeof(int);
	int type = 0;

	if (getsockopt(owned, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -EPROTOTYPE;
	disconnect(link);
	link->sock = fd_steal(&owned);
	link->ops->connected(link->owner);
	link_push(link);
	return 0;
}

void link_stop(struct link *link)
{
	if (!link_up(link))
		return;
	disconnect(link);
	link->ops->connected(link->owner);
}
