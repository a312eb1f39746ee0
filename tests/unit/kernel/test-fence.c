// SPDX-License-Identifier: BSD-3-Clause
/* A command of virtio_gpu's that is given back as failed: its fence comes with the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <linux/virtio_gpu.h>

#include "bounce.h"
#include "fence.h"
#include "pool.h"
#include "shim/linux/virtio_ring.h"
#include "zeroed.h"

#define POOL_SIZE	(1UL << 20)
#define BASE		0x200000000ULL
#define RINGS		(4 * PAGE_SIZE)
#define NUM		16
#define FENCE		0x1122334455667788ULL

struct world {
	struct vlb_pool pool;
	struct vlb_bounce bounce;
	struct vring vring;
	struct virtio_gpu_resource_flush request;
	struct virtio_gpu_ctrl_hdr reply;
	struct vring_desc table[2];
	dma_addr_t request_addr;
	dma_addr_t reply_addr;
	dma_addr_t table_addr;
};

static dma_addr_t map(struct world *w, void *buffer, size_t len, enum dma_data_direction dir)
{
	dma_addr_t addr = vlb_bounce_map(&w->bounce, (uintptr_t)buffer, len, dir, 0);

	assert_true(addr != DMA_MAPPING_ERROR);
	return addr;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->pool.size = POOL_SIZE;
	w->pool.vaddr = zeroed(PAGE_SIZE, POOL_SIZE);
	assert_int_equal(vlb_bounce_init(&w->bounce, &w->pool, BASE, RINGS), 0);
	vring_init(&w->vring, NUM, w->pool.vaddr, PAGE_SIZE);
	w->request.hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH;
	w->request.hdr.flags = VIRTIO_GPU_FLAG_FENCE;
	w->request.hdr.fence_id = FENCE;
	w->request_addr = map(w, &w->request, sizeof(w->request), DMA_TO_DEVICE);
	w->reply_addr = map(w, &w->reply, sizeof(w->reply), DMA_FROM_DEVICE);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	vlb_bounce_finish(&w->bounce);
	free(w->pool.vaddr);
	free(w);
	return 0;
}

static void put_chain(struct world *w, struct vring_desc *desc)
{
	desc[0] = (struct vring_desc){ w->request_addr, sizeof(w->request), VRING_DESC_F_NEXT, 1 };
	desc[1] = (struct vring_desc){ w->reply_addr, sizeof(w->reply), VRING_DESC_F_WRITE, 0 };
}

static void put_table(struct world *w)
{
	put_chain(w, w->table);
	w->table_addr = map(w, w->table, sizeof(w->table), DMA_TO_DEVICE);
	w->vring.desc[3] = (struct vring_desc){ w->table_addr, sizeof(w->table),
						VRING_DESC_F_INDIRECT, 0 };
}

/* What the device side has put into the pool is not what counts. */
static void scribble(struct world *w)
{
	memset((u8 *)w->pool.vaddr + RINGS, 0x77, POOL_SIZE - RINGS);
}

static void answer(struct world *w, u16 head)
{
	vlb_bounce_poison(&w->bounce);
	vlb_fence_answer(&w->bounce, &w->vring, head);
	vlb_bounce_unmap(&w->bounce, w->reply_addr, 0);
}

static void check_answered(const struct world *w)
{
	assert_int_equal(w->reply.type, VIRTIO_GPU_RESP_ERR_UNSPEC);
	assert_int_equal(w->reply.flags, VIRTIO_GPU_FLAG_FENCE);
	assert_true(w->reply.fence_id == FENCE);
}

/* An error, as of any device that has ended. */
static void check_poisoned(const struct world *w)
{
	assert_int_equal(w->reply.type, 0xffffffff);
}

static void test_chain(void **state)
{
	struct world *w = *state;

	put_chain(w, w->vring.desc);
	scribble(w);
	answer(w, 0);
	check_answered(w);
}

static void test_table(void **state)
{
	struct world *w = *state;

	put_table(w);
	scribble(w);
	answer(w, 3);
	check_answered(w);
}

/* The mapping's next owner is not taken for answered. */
static void test_next_owner(void **state)
{
	struct world *w = *state;
	u8 other[sizeof(w->reply)] = { 0 };
	dma_addr_t addr;

	put_chain(w, w->vring.desc);
	answer(w, 0);
	addr = map(w, other, sizeof(other), DMA_FROM_DEVICE);
	assert_true(addr == w->reply_addr);
	vlb_bounce_unmap(&w->bounce, addr, 0);
	assert_int_equal(other[0], 0xff);
}

/* Whatever the ring holds: no answer, nothing written, no end of the walk missed. */
static void test_nonsense(void **state)
{
	static const struct vring_desc wrong[] = {
		{ 0, 0, 0, 0 },
		{ BASE + RINGS, 8, VRING_DESC_F_NEXT, 0 }, /* a circle */
		{ BASE + RINGS, 8, VRING_DESC_F_NEXT, NUM },
		{ BASE + RINGS, 0, VRING_DESC_F_INDIRECT, 0 },
		{ BASE + RINGS, 0xffffffff, VRING_DESC_F_INDIRECT, 0 },
		{ BASE + RINGS, sizeof(struct vring_desc), VRING_DESC_F_INDIRECT, 0 },
		{ ~0ULL, 2 * sizeof(struct vring_desc), VRING_DESC_F_INDIRECT, 0 },
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		w->vring.desc[0] = wrong[i];
		vlb_fence_answer(&w->bounce, &w->vring, 0);
		assert_int_equal(w->reply.type, 0);
	}
	vlb_fence_answer(&w->bounce, &w->vring, NUM);
	/* a request that the device is not to read, an answer that it is not to write */
	put_chain(w, w->vring.desc);
	w->vring.desc[0].addr = w->reply_addr;
	w->vring.desc[1].addr = w->request_addr;
	vlb_fence_answer(&w->bounce, &w->vring, 0);
	assert_int_equal(w->request.hdr.type, VIRTIO_GPU_CMD_RESOURCE_FLUSH);
	assert_int_equal(w->reply.type, 0);
	vlb_bounce_poison(&w->bounce);
	vlb_bounce_unmap(&w->bounce, w->reply_addr, 0);
	check_poisoned(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_next_owner, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
