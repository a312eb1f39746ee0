// SPDX-License-Identifier: BSD-3-Clause
/*
 * The display's side of the GPU protocol: what a back-end sends comes in pieces, with descriptors,
 * to a display that shows it nowhere. The first byte: how many heads; then pieces, each a byte of
 * length and one of descriptors.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "display/display.h"
#include "raw-peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static int buffer = -1;
static int always = -1; /* ready */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERROR);
	log_set_level(0);
	buffer = memfd_create("buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	always = eventfd(1, EFD_CLOEXEC);
	if (always < 0 || buffer < 0 || ftruncate(buffer, 65536) ||
	    fcntl(buffer, F_ADD_SEALS, F_SEAL_SHRINK))
		abort();
	return 0;
}

/* What the heads hold must fit together, whatever was sent. */
static void check_heads(const struct display *display)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < display->nheads; i++) {
		const struct head *head = &display->heads[i];
		struct rect cursor = head_cursor_rect(head);

		sum += (uint64_t)head->width * head->height;
		if (!head->width != !head->pixels)
			abort();
		if (cursor.width && !rect_within(&cursor, head->width, head->height))
			abort();
		if (cursor.width) {
			uint32_t seen[VGPU_CURSOR_SIZE * VGPU_CURSOR_SIZE];

			head_compose(head, &cursor, seen, cursor.width);
		}
	}
	if (sum > VGPU_MAX_PIXELS)
		abort();
}

static void end_round(void *data, uint32_t events)
{
	(void)events;
	loop_quit(data, 0);
}

/* The loop takes one message a round. */
static void run(struct display *display)
{
	struct pollfd pfd = { .events = POLLIN };

	do {
		loop_run(display->loop);
		pfd.fd = display->client.sock;
	} while (pfd.fd >= 0 && poll(&pfd, 1, 0) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct display display;
	struct failure failure = { 0 };
	int pair[2];

	if (!size || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return 0;
	if (display_init(&display, (*data & 3) + 1, 640, 480) ||
	    output_open(&display, "none", &failure) || client_start(&display.client, pair[1]) ||
	    !loop_add(display.loop, always, EPOLLIN, end_round, display.loop))
		abort();
	data++;
	size--;
	while (size > 2 && display.client.sock >= 0) {
		size_t len = data[0] + 1U;
		unsigned int nfds = data[1] & 3;

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		if (raw_peer_send(pair[0], data, len, buffer, nfds) < 0)
			break;
		data += len;
		size -= len;
		run(&display);
		check_heads(&display);
	}
	display_finish(&display);
	close(pair[0]);
	return 0;
}
