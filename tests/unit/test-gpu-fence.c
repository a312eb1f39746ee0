// SPDX-License-Identifier: BSD-3-Clause
/* A GPU's answers that wait for what was drawn; the renderer finishes when it is told to. */
#include <endian.h>
#include <string.h>

#include <linux/virtio_gpu.h>

#include "backends/gpu/queue.h"
#include "check.h"
#include "in-process.h"

static struct {
	struct ip_memory mem;
	struct ip_queue ring;
	struct vu_queue queue;
	struct loop *loop;
	struct gpu gpu;
	struct gpu_queues queues;
	struct gpu_renderer renderer;
	uint64_t made;
	uint64_t finished;
	bool broken; /* no fence can be made */
} w;

static uint64_t fence(struct gpu *gpu)
{
	(void)gpu;
	return w.broken ? 0 : ++w.made;
}

static uint64_t finished(struct gpu *gpu)
{
	(void)gpu;
	return w.finished;
}

static void begin(void)
{
	memset(&w, 0, sizeof(w));
	w.renderer = gpu_renderer_2d;
	w.renderer.fence = fence;
	w.renderer.finished = finished;
	w.loop = loop_create();
	assert_non_null(w.loop);
	assert_int_equal(gpu_init(&w.gpu, w.loop, &w.renderer, NULL), 0);
	gpu_queues_init(&w.queues, &w.gpu);
	assert_int_equal(ip_memory_init(&w.mem), 0);
	assert_int_equal(ip_queue_init(&w.ring, &w.mem, 16), 0);
	w.queue.vq = w.ring.vq;
	gpu_queues_start(&w.queues, &w.queue);
}

static void end(void)
{
	gpu_queues_stop(&w.queues, &w.queue);
	w.ring.vq = w.queue.vq;
	ip_queue_finish(&w.ring);
	ip_memory_finish(&w.mem);
	gpu_finish(&w.gpu);
	gpu_queues_finish(&w.queues);
	loop_destroy(w.loop);
}

/* Return: the head of a command whose answer waits for what it drew */
static int submit(uint32_t resource_id)
{
	const struct virtio_gpu_resource_create_2d create = {
		.hdr.type = htole32(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
		.hdr.flags = htole32(VIRTIO_GPU_FLAG_FENCE),
		.hdr.fence_id = htole64(resource_id),
		.resource_id = htole32(resource_id),
		.format = htole32(VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM),
		.width = htole32(8),
		.height = htole32(8),
	};
	struct drv_buf bufs[] = {
		{ drv_alloc(&w.mem.driver, sizeof(create), 64), sizeof(create), false },
		{ drv_alloc(&w.mem.driver, 64, 64), sizeof(struct virtio_gpu_ctrl_hdr), true },
	};
	int head;

	memcpy(bufs[0].p, &create, sizeof(create));
	head = drv_add(&w.ring.ring, bufs, 2, true);
	assert_true(head >= 0);
	gpu_queues_work(&w.queues);
	return head;
}

static void expect_answer(int head, const char *when)
{
	int saw = drv_get(&w.ring.ring, NULL);

	if (saw != head)
		fail_msg("%s: expected %d (-1: no answer), saw %d", when, head, saw);
}

static void test_order(void **state)
{
	int first, second, third;

	(void)state;
	begin();
	first = submit(1);
	second = submit(2);
	expect_answer(-1, "nothing is finished");
	w.finished = 1;
	gpu_queues_fenced(&w.queues);
	expect_answer(first, "the first is finished");
	expect_answer(-1, "the second is not");
	third = submit(3);
	gpu_queues_stop(&w.queues, &w.queue);
	expect_answer(second, "the queue stops");
	expect_answer(third, "the queue stops");
	gpu_queues_start(&w.queues, &w.queue);
	end();
}

/* An answer without a fence of its own does not overtake those that have one. */
static void test_no_fence(void **state)
{
	int first, second, third;

	(void)state;
	begin();
	first = submit(1);
	second = submit(2);
	w.broken = true;
	third = submit(3);
	expect_answer(-1, "nothing is finished");
	w.finished = 1;
	gpu_queues_fenced(&w.queues);
	expect_answer(first, "the first is finished");
	expect_answer(-1, "the second is not");
	w.finished = 2;
	gpu_queues_fenced(&w.queues);
	expect_answer(second, "the second is finished");
	expect_answer(third, "it was the last before the third");
	expect_answer(submit(4), "nothing is outstanding");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_fence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
