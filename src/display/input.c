// SPDX-License-Identifier: BSD-3-Clause
#include "display/input.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/unix-socket.h"
#include "common/util.h"
#include "display/display.h"

/* Of one frame, with room for its end: more go in the next. */
#define FRAME_EVENTS 32

struct frame {
	struct display_input_event events[FRAME_EVENTS];
	unsigned int n;
};

static bool key_down(const struct input_standing *standing, unsigned int code)
{
	return standing->keys[code / 8] >> (code % 8) & 1;
}

static void set_key(struct input_standing *standing, unsigned int code, bool down)
{
	if (down)
		standing->keys[code / 8] |= (uint8_t)(1U << (code % 8));
	else
		standing->keys[code / 8] &= (uint8_t) ~(1U << (code % 8));
}

/* ---- a client ---- */

static void client_drop(struct input_client *client)
{
	loop_remove(client->input->display->loop, client->source);
	client->source = NULL;
	fd_close(&client->fd);
	client->kind = 0;
}

static void add(struct frame *frame, uint16_t type, unsigned int code, int32_t value)
{
	frame->events[frame->n++] = (struct display_input_event){ type, (uint16_t)code, value };
}

static void add_keys(struct frame *frame, const struct input_standing *now,
		     struct input_standing *told, unsigned int first, unsigned int last)
{
	unsigned int code;

	for (code = first; code <= last && frame->n < FRAME_EVENTS - 1; code++) {
		if (key_down(now, code) == key_down(told, code))
			continue;
		add(frame, EV_KEY, code, key_down(now, code));
		set_key(told, code, key_down(now, code));
	}
}

/* The place before the buttons: it is where they are pressed. */
static void add_pointer(struct frame *frame, const struct input_client *client,
			struct input_standing *told)
{
	const struct input_standing *now = &client->input->now;

	if (now->x != told->x)
		add(frame, EV_ABS, ABS_X, now->x);
	if (now->y != told->y)
		add(frame, EV_ABS, ABS_Y, now->y);
	if (client->wheel)
		add(frame, EV_REL, REL_WHEEL, client->wheel);
	if (client->hwheel)
		add(frame, EV_REL, REL_HWHEEL, client->hwheel);
	told->x = now->x;
	told->y = now->y;
	add_keys(frame, now, told, DISPLAY_INPUT_FIRST_BUTTON, DISPLAY_INPUT_LAST_BUTTON);
}

/* Return: 1 when a frame went, 0 when there was none, or a negative errno. */
static int send_frame(struct input_client *client)
{
	struct input_standing told = client->told;
	struct frame frame = { .n = 0 };
	size_t size;
	ssize_t n;

	if (client->kind == DISPLAY_INPUT_POINTER)
		add_pointer(&frame, client, &told);
	else
		add_keys(&frame, &client->input->now, &told, 1, DISPLAY_INPUT_LAST_KEY);
	if (!frame.n)
		return 0;
	add(&frame, EV_SYN, SYN_REPORT, 0);
	size = frame.n * sizeof(frame.events[0]);
	n = send(client->fd, frame.events, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	/* so little is taken whole, or not at all */
	if ((size_t)n != size)
		return -EPROTO;
	client->told = told;
	client->wheel = 0;
	client->hwheel = 0;
	return 1;
}

static void client_update(struct input_client *client)
{
	int ret;

	if (client->fd < 0 || !client->kind)
		return;
	do {
		ret = send_frame(client);
	} while (ret > 0);
	if (ret == -EAGAIN || ret == -EWOULDBLOCK) {
		client->full = true;
		ret = loop_change(client->input->display->loop, client->source, EPOLLIN | EPOLLOUT);
	} else if (!ret && client->full) {
		client->full = false;
		ret = loop_change(client->input->display->loop, client->source, EPOLLIN);
	}
	if (ret)
		client_drop(client);
}

/* What is held down as it comes was meant for somebody else. */
static void client_greet(struct input_client *client, char kind)
{
	client->kind = kind;
	client->told = client->input->now;
	client->told.x = -1;
	client->told.y = -1;
	client->wheel = 0;
	client->hwheel = 0;
	client_update(client);
}

static void client_ready(void *data, uint32_t events)
{
	struct input_client *client = data;
	char kind;
	ssize_t n;

	if (events & EPOLLOUT)
		client_update(client);
	if (client->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(client->fd, &kind, 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && !client->kind &&
	    (kind == DISPLAY_INPUT_KEYBOARD || kind == DISPLAY_INPUT_POINTER))
		client_greet(client, kind);
	else
		client_drop(client);
}

static void listener_ready(void *data, uint32_t events)
{
	struct input *input = data;
	struct input_client *client = input->clients;
	int fd = unix_accept(input->listener);

	(void)events;
	if (fd < 0)
		return;
	while (client < input->clients + INPUT_CLIENTS_MAX && client->fd >= 0)
		client++;
	if (client == input->clients + INPUT_CLIENTS_MAX) {
		log_ratelimited(LOG_LEVEL_WARNING, "more than %d want to hear what is typed",
				INPUT_CLIENTS_MAX);
		fd_close(&fd);
		return;
	}
	*client = (struct input_client){ .input = input, .fd = fd };
	client->source = loop_add(input->display->loop, fd, EPOLLIN, client_ready, client);
	if (!client->source)
		client_drop(client);
}

/* ---- the display's side ---- */

void input_init(struct input *input, struct display *display)
{
	unsigned int i;

	*input = (struct input){ .display = display, .listener = -1 };
	for (i = 0; i < INPUT_CLIENTS_MAX; i++)
		input->clients[i].fd = -1;
}

int input_listen(struct input *input, const char *path, struct failure *failure)
{
	int fd = unix_listen(path);

	if (fd < 0)
		return failure_set(failure, fd, "--input %s: %s", path, strerror(-fd));
	input->listener = fd;
	input->path = path;
	input->source = loop_add(input->display->loop, fd, EPOLLIN, listener_ready, input);
	return input->source ? 0 : failure_set(failure, -errno, "--input %s: %m", path);
}

void input_finish(struct input *input)
{
	unsigned int i;

	for (i = 0; i < INPUT_CLIENTS_MAX; i++) {
		if (input->clients[i].fd >= 0)
			client_drop(&input->clients[i]);
	}
	loop_remove(input->display->loop, input->source);
	input->source = NULL;
	if (input->listener >= 0)
		unlink(input->path);
	fd_close(&input->listener);
}

static void update(struct input *input)
{
	unsigned int i;

	for (i = 0; i < INPUT_CLIENTS_MAX; i++)
		client_update(&input->clients[i]);
}

void input_key(struct input *input, unsigned int code, bool down)
{
	if (!code || code >= KEY_CNT)
		return;
	set_key(&input->now, code, down);
	update(input);
}

static int32_t scale(int64_t at, uint32_t size)
{
	at = MAX(0, MIN(at, (int64_t)size - 1));
	return size > 1 ? (int32_t)(at * DISPLAY_INPUT_RANGE / (size - 1)) : 0;
}

void input_point(struct input *input, const struct head *head, int x, int y)
{
	const struct head *heads = input->display->heads;
	uint32_t before = 0, all = 0;
	unsigned int i;

	for (i = 0; i < input->display->nheads; i++) {
		if (i == head->index)
			before = all;
		all += heads[i].width;
	}
	if (!head->width)
		return;
	input->now.x = scale((int64_t)before + x, all);
	input->now.y = scale(y, head->height);
	update(input);
}

void input_wheel(struct input *input, int up, int right)
{
	unsigned int i;

	for (i = 0; i < INPUT_CLIENTS_MAX; i++) {
		struct input_client *client = &input->clients[i];

		if (client->kind != DISPLAY_INPUT_POINTER)
			continue;
		client->wheel += up;
		client->hwheel += right;
	}
	update(input);
}

void input_release(struct input *input)
{
	memset(input->now.keys, 0, sizeof(input->now.keys));
	update(input);
}
