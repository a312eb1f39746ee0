// SPDX-License-Identifier: BSD-3-Clause
#include "backends/input/display.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/display-input.h"
#include "common/log.h"
#include "common/unix-socket.h"
#include "common/unwanted.h"
#include "common/util.h"

#define CONNECT_MS 2000
#define READ_EVENTS 64U

/* A display that sends what the device does not have is not believed. */
static bool known(const struct display_source *source, const struct display_input_event *event)
{
	bool pointer = source->kind == DISPLAY_INPUT_POINTER;

	switch (event->type) {
	case EV_SYN:
		return event->code == SYN_REPORT;
	case EV_KEY:
		return pointer ? event->code >= DISPLAY_INPUT_FIRST_BUTTON &&
					 event->code <= DISPLAY_INPUT_LAST_BUTTON :
				 event->code && event->code <= DISPLAY_INPUT_LAST_KEY;
	case EV_ABS:
		return pointer && (event->code == ABS_X || event->code == ABS_Y) &&
		       event->value >= 0 && event->value <= DISPLAY_INPUT_RANGE;
	case EV_REL:
		return pointer && (event->code == REL_WHEEL || event->code == REL_HWHEEL);
	default:
		return false;
	}
}

static int display_read(void *data, struct input_event *events, unsigned int max)
{
	struct display_input_event got[READ_EVENTS];
	struct display_source *source = data;
	unsigned int i, count = 0;
	ssize_t n;

	n = unwanted_recv(source->fd, got, MIN(max, READ_EVENTS) * sizeof(got[0]));
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	if (!n)
		return -ENODEV;
	if ((size_t)n % sizeof(got[0]))
		return -EPROTO;
	for (i = 0; i < (size_t)n / sizeof(got[0]); i++) {
		if (!known(source, &got[i]))
			continue;
		if (got[i].type == EV_ABS)
			*(got[i].code == ABS_X ? &source->x : &source->y) = got[i].value;
		events[count++] = (struct input_event){ .type = got[i].type,
							.code = got[i].code,
							.value = got[i].value };
	}
	return (int)count;
}

/* Lights and repeat rates: nobody shows them. */
static int display_write(void *data, const struct input_event *events, unsigned int count)
{
	(void)data;
	(void)events;
	(void)count;
	return 0;
}

static void display_get_state(void *data, const struct input_info *info, struct input_state *state)
{
	const struct display_source *source = data;

	(void)info;
	if (source->kind != DISPLAY_INPUT_POINTER)
		return;
	state->abs[ABS_X] = source->x;
	state->abs[ABS_Y] = source->y;
}

static int display_event_fd(void *data)
{
	const struct display_source *source = data;

	return source->fd;
}

const struct evdev_ops display_ops = {
	.read = display_read,
	.write = display_write,
	.get_state = display_get_state,
	.event_fd = display_event_fd,
};

/* ---- what it is ---- */

static void add_codes(struct input_info *info, unsigned int type, unsigned int first,
		      unsigned int last)
{
	unsigned int code;

	input_assign_bit(info->types, type, true);
	for (code = first; code <= last; code++)
		input_assign_bit(info->codes[type], code, true);
}

static void describe(char kind, struct input_info *info)
{
	bool pointer = kind == DISPLAY_INPUT_POINTER;

	memset(info, 0, sizeof(*info));
	snprintf(info->name, sizeof(info->name), "virtio-loopback display %s",
		 pointer ? "pointer" : "keyboard");
	info->id.bustype = BUS_VIRTUAL;
	info->id.product = (uint16_t)kind;
	if (!pointer) {
		add_codes(info, EV_KEY, 1, DISPLAY_INPUT_LAST_KEY);
		add_codes(info, EV_REP, REP_DELAY, REP_PERIOD);
		return;
	}
	add_codes(info, EV_KEY, DISPLAY_INPUT_FIRST_BUTTON, DISPLAY_INPUT_LAST_BUTTON);
	add_codes(info, EV_REL, REL_HWHEEL, REL_HWHEEL);
	add_codes(info, EV_REL, REL_WHEEL, REL_WHEEL);
	add_codes(info, EV_ABS, ABS_X, ABS_Y);
	info->abs[ABS_X].maximum = DISPLAY_INPUT_RANGE;
	info->abs[ABS_Y].maximum = DISPLAY_INPUT_RANGE;
}

int display_open(struct display_source *source, const char *path, struct input_info *info)
{
	int fd = unix_connect(path, deadline_after_ms(CONNECT_MS));

	source->path = path;
	source->fd = fd;
	if (fd < 0) {
		log_error("--display %s: %s; is it what the display was given as --display-input?",
			  path, strerror(-fd));
		return fd;
	}
	if (send(fd, &source->kind, 1, MSG_NOSIGNAL) != 1) {
		log_error("--display %s: %m", path);
		return -ECONNRESET;
	}
	describe(source->kind, info);
	return 0;
}

void display_close(struct display_source *source)
{
	/* the filter of system calls lets no shutdown() pass, and nobody else has it */
	unwanted_close(&source->fd);
}
