// SPDX-License-Identifier: BSD-3-Clause
#include "gpu-steps.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/gpu/gpu.h"
#include "rig.h"

#define MEMORY (256U * 1024)
#define BUDGET (8ULL << 20)
#define MOST_STEPS 300

static struct rig rig = { .size = MEMORY };
static int always = -1; /* ready */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	/* two regions that follow one another for the driver, and are apart here */
	const struct vhost_user_memory_region parts[] = {
		{ RIG_GPA, MEMORY / 2, RIG_UVA, 0 },
		{ RIG_GPA + MEMORY / 2, MEMORY / 2, RIG_UVA + MEMORY, 0 },
	};

	(void)argc;
	(void)argv;
	rig_init_regions(&rig, parts, ARRAY_SIZE(parts));
	always = eventfd(1, EFD_CLOEXEC);
	if (always < 0)
		abort();
	return 0;
}

static void end_round(void *data, uint32_t events)
{
	(void)events;
	loop_quit(data, 0);
}

static void connect_display(struct gpu *gpu, int *peer)
{
	int pair[2];

	if (*peer >= 0)
		close(*peer);
	*peer = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return;
	*peer = pair[0];
	link_start(&gpu->link, pair[1]);
}

static void drain(int peer)
{
	static char sink[65536];

	while (peer >= 0 && recv(peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

/* The copy is on the heap, as the queue's is: reading behind it is seen. */
static void control(struct gpu *gpu, const uint8_t *data, size_t len)
{
	struct gpu_answer answer;
	void *copy = malloc(len);

	if (!copy)
		return;
	memcpy(copy, data, len);
	if (gpu_control(gpu, copy, len, &answer)) {
		link_give_up(&gpu->link);
		if (gpu_control(gpu, copy, len, &answer))
			abort(); /* nobody waits for a display that has been given up */
	}
	if (answer.len < sizeof(struct virtio_gpu_ctrl_hdr) || answer.len > sizeof(gpu->reply))
		abort();
	if (answer.fence) {
		uint64_t fence = gpu->renderer->fence(gpu); /* 0: it cannot be made */

		if (fence && gpu->renderer->finished(gpu) > fence)
			abort();
	}
	free(copy);
}

static void step(struct gpu *gpu, unsigned int what, const uint8_t *data, size_t len, int *peer)
{
	switch (what & 7) {
	case 1:
		gpu_cursor(gpu, data, len);
		break;
	case 2:
		connect_display(gpu, peer);
		break;
	case 3:
		if (*peer >= 0 && send(*peer, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		loop_run(gpu->loop);
		break;
	case 4:
		drain(*peer);
		loop_run(gpu->loop);
		break;
	case 5:
		gpu_memory_changed(gpu, len & 1 ? NULL : &rig.mem);
		break;
	case 6:
		gpu_reset(gpu);
		break;
	default:
		control(gpu, data, len);
	}
	if (gpu->memory_used > gpu->memory_limit)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gpu gpu;
	struct loop *loop = loop_create();
	unsigned int steps = 0;
	int peer = -1;

	if (!loop || !loop_add(loop, always, EPOLLIN, end_round, loop) ||
	    gpu_init(&gpu, loop, fuzzed_renderer, NULL))
		abort();
	gpu.memory_limit = BUDGET;
	gpu.features = 1ULL << VIRTIO_GPU_F_RESOURCE_BLOB | fuzzed_renderer->features;
	gpu_memory_changed(&gpu, &rig.mem);
	while (size > 2 && steps++ < MOST_STEPS) {
		size_t len = data[1];
		unsigned int what = data[0];

		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		step(&gpu, what, data, len, &peer);
		data += len;
		size -= len;
	}
	gpu_reset(&gpu);
	if (gpu.memory_used || gpu.resources.count)
		abort();
	link_stop(&gpu.link);
	gpu_finish(&gpu);
	loop_destroy(loop);
	if (peer >= 0)
		close(peer);
	return 0;
}
