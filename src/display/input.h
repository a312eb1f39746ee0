/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What somebody types and points at where the pictures are shown, for vhost-user-input
 * (common/display-input.h).
 *
 * The display keeps how keys, buttons and the pointer stand, and what each client was told: a
 * client gets the difference. One that takes nothing for a while misses what came and went
 * meanwhile, and is told how things stand then; no key stays down.
 */
#ifndef DISPLAY_INPUT_H
#define DISPLAY_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/common/loop.h"
#include "common/display-input.h"
#include "common/failure.h"

#define INPUT_CLIENTS_MAX 8

struct display;
struct head;
struct input;

struct input_standing {
	uint8_t keys[(KEY_CNT + 7) / 8]; /* buttons among them */
	int32_t x, y;
};

struct input_client {
	struct input *input;
	int fd; /* -1: nobody */
	struct loop_source *source;
	char kind; /* 0: it has not said so yet */
	bool full; /* it has taken nothing for a while */
	struct input_standing told;
	int32_t wheel, hwheel; /* clicks that it is still to be told of */
};

struct input {
	struct display *display;
	int listener; /* -1: nobody asked for it */
	const char *path; /* of the listener's socket, removed with it */
	struct loop_source *source;
	struct input_standing now;
	struct input_client clients[INPUT_CLIENTS_MAX];
};

void input_init(struct input *input, struct display *display);

/* input_listen() - let clients connect at @path, which outlives @input; 0 or a negative errno */
int input_listen(struct input *input, const char *path, struct failure *failure);
void input_finish(struct input *input);

/* input_key() - a key or button, by its code in linux/input-event-codes.h; 0 is none */
void input_key(struct input *input, unsigned int code, bool down);

/* input_point() - the pointer is at a pixel of a head */
void input_point(struct input *input, const struct head *head, int x, int y);

/* input_wheel() - clicks: up and to the right are positive */
void input_wheel(struct input *input, int up, int right);

/* input_release() - nobody is at the keys any more */
void input_release(struct input *input);

#endif
