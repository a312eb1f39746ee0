/* SPDX-License-Identifier: BSD-3-Clause */
/* A display that runs in a thread of the test, and what a back-end and an adapter say to it. */
#ifndef TEST_DISPLAY_THREAD_H
#define TEST_DISPLAY_THREAD_H

#include <pthread.h>

#include "display/display.h"

#define DT_TIMEOUT_MS 20000

struct display_thread {
	struct display display;
	pthread_t thread;
	int control; /* the adapter's end */
};

/* dt_start() - returns when it is ready; asserts that all works */
void dt_start(struct display_thread *dt, const char *mode, unsigned int heads, uint32_t width,
	      uint32_t height);

/* dt_stop() - ask it to end, wait for it, and look that it ended well */
void dt_stop(struct display_thread *dt);

/* dt_hand_over() - give it the display's end of a new display socket; Return: the other end */
int dt_hand_over(struct display_thread *dt);

/* dt_told() - what it says to the adapter next, into @text */
void dt_told(struct display_thread *dt, char *text, size_t size);

/* dt_send() - a message of a back-end; it is released */
void dt_send(int sock, struct vgpu_message *msg);

/* dt_scanout() - a head's size */
void dt_scanout(int sock, uint32_t id, uint32_t width, uint32_t height);

/* dt_update() - part of a picture, of dt_pattern()'s pixels */
void dt_update(int sock, struct vgpu_update update, uint32_t seed);

/* dt_answer() - wait for an answer; 0 or a negative errno */
int dt_answer(int sock, struct vgpu_message *msg);

/* dt_png() - the pixels of a file as 8-bit RGB, for free(); waits until it is there; asserts */
uint8_t *dt_png(const char *path, uint32_t *width, uint32_t *height);

/* dt_pattern() - a pixel that no other place and no other picture has */
uint32_t dt_pattern(uint32_t x, uint32_t y, uint32_t seed);

#endif
