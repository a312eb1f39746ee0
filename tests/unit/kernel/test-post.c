// SPDX-License-Identifier: BSD-3-Clause
/* A posted queue: what the device side is given is what the driver has put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "bounce.h"
#include "pool.h"
#include "post.h"
#include "zeroed.h"

#define POOL_SIZE	(1UL << 20)
#define BASE		0x200000000ULL
#define RINGS		(64 * PAGE_SIZE)
#define NUM		16
#define LENGTH		300
#define CHUNK		4096 /* what a terminal, or a program, writes at once; 16 fill the area */

/**
 * struct world - a driver's queue and buffers
 * @data:   what the device reads
 * @answer: what it would write
 * @other:  another buffer of the driver's, that is out
 * @table:  an indirect one
 * @chunk:  what it writes again and again
 * @taken:  how many of them it has back
 */
struct world {
	struct vlb_pool pool;
	struct vlb_device dev;
	struct vlb_queue queue;
	u64 features;
	struct virtqueue vq;
	struct vlb_post *post;
	u8 data[LENGTH];
	u8 answer[16];
	u8 other[LENGTH];
	struct vring_desc table[2];
	dma_addr_t data_addr;
	dma_addr_t answer_addr;
	dma_addr_t other_addr;
	dma_addr_t table_addr;
	u8 chunk[CHUNK];
	dma_addr_t chunk_addr;
	u16 taken;
};

static u8 *in_pool(struct world *w, dma_addr_t addr)
{
	return (u8 *)w->pool.vaddr + (addr - BASE);
}

static dma_addr_t map(struct world *w, void *buffer, size_t len, enum dma_data_direction dir)
{
	dma_addr_t addr = vlb_bounce_map(&w->dev.bounce, (uintptr_t)buffer, len, dir, 0);

	assert_true(addr != DMA_MAPPING_ERROR);
	return addr;
}

static struct world *make(u64 features)
{
	struct world *w = calloc(1, sizeof(*w));

	w->pool.size = POOL_SIZE;
	w->pool.vaddr = zeroed(PAGE_SIZE, POOL_SIZE);
	assert_int_equal(vlb_bounce_init(&w->dev.bounce, &w->pool, BASE, RINGS), 0);
	w->queue.dev = &w->dev;
	w->queue.vq = &w->vq;
	w->features = features;
	w->vq.vdev = &w->features; /* see post-world.h */
	vring_init(&w->vq.vring, NUM, zeroed(64, vring_size(NUM, 64)), 64);
	w->vq.num_free = NUM;
	w->post = vlb_post_create(&w->queue, false);
	assert_non_null(w->post);
	assert_int_equal(vlb_post_start(w->post, &w->vq), 0);
	memset(w->data, 0x11, sizeof(w->data));
	memset(w->other, 0x22, sizeof(w->other));
	w->data_addr = map(w, w->data, sizeof(w->data), DMA_TO_DEVICE);
	w->answer_addr = map(w, w->answer, sizeof(w->answer), DMA_FROM_DEVICE);
	memset(in_pool(w, w->answer_addr), 0x33, sizeof(w->answer));
	w->other_addr = map(w, w->other, sizeof(w->other), DMA_TO_DEVICE);
	return w;
}

static int set_up(void **state)
{
	*state = make(0);
	return 0;
}

static int set_up_in_order(void **state)
{
	*state = make(1ULL << VIRTIO_F_IN_ORDER);
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	vlb_post_stop(w->post);
	vlb_post_destroy(w->post);
	vlb_bounce_finish(&w->dev.bounce);
	free(w->vq.vring.desc);
	free(w->pool.vaddr);
	free(w);
	return 0;
}

static void put_chain(const struct world *w, struct vring_desc *desc)
{
	desc[0] = (struct vring_desc){ w->data_addr, sizeof(w->data), VRING_DESC_F_NEXT, 1 };
	desc[1] = (struct vring_desc){ w->answer_addr, sizeof(w->answer), VRING_DESC_F_WRITE, 0 };
}

static void put_table(struct world *w)
{
	put_chain(w, w->table);
	w->table_addr = map(w, w->table, sizeof(w->table), DMA_TO_DEVICE);
	w->vq.vring.desc[0] = (struct vring_desc){ w->table_addr, sizeof(w->table),
						   VRING_DESC_F_INDIRECT, 0 };
}

/* The driver adds its first buffer, kicks, and has it back. */
static void kick(struct world *w)
{
	struct vring *vring = &w->vq.vring;

	vring->avail->ring[0] = 0;
	vring->avail->idx = 1;
	assert_true(vlb_post_notify(w->post, &w->vq));
	assert_int_equal(vring->used->idx, 1);
	assert_int_equal(vring->used->ring[0].id, 0);
}

/* What the back-end finds in its ring are the driver's bytes, and the answer is zeroes. */
static void check(struct world *w)
{
	struct virtio_loopback_queue device = { 0 };
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	const u8 zeroes[sizeof(w->answer)] = { 0 };

	vlb_post_get(w->post, &device);
	avail = (const void *)in_pool(w, device.driver_addr);
	desc = (const void *)in_pool(w, device.desc_addr);
	assert_int_equal(avail->idx, 1);
	desc += avail->ring[0];
	assert_int_equal(desc->flags, 0);
	assert_int_equal(desc->len, sizeof(w->data));
	assert_memory_equal(in_pool(w, desc->addr), w->data, sizeof(w->data));
	assert_int_equal(w->vq.vring.used->ring[0].len, sizeof(w->answer));
	assert_memory_equal(in_pool(w, w->answer_addr), zeroes, sizeof(w->answer));
	assert_memory_equal(in_pool(w, w->other_addr), w->other, sizeof(w->other));
}

static void test_chain(void **state)
{
	struct world *w = *state;

	put_chain(w, w->vq.vring.desc);
	kick(w);
	check(w);
}

static void test_table(void **state)
{
	struct world *w = *state;

	put_table(w);
	kick(w);
	check(w);
}

/* The back-end has changed the table in the pool: what the driver has counts. */
static void test_forged_table(void **state)
{
	struct world *w = *state;
	struct vring_desc *forged;

	put_table(w);
	forged = (void *)in_pool(w, w->table_addr);
	forged[0] = (struct vring_desc){ w->other_addr, LENGTH, VRING_DESC_F_NEXT, 1 };
	forged[1] = (struct vring_desc){ w->other_addr, LENGTH, VRING_DESC_F_WRITE, 0 };
	kick(w);
	check(w);
}

/* Used in order, one element stands for a batch (virtio 2.7.9): there is room for all of it. */
static void test_batches(void **state)
{
	enum { BATCH = 3, ROUNDS = 4 * NUM };
	struct world *w = *state;
	struct vring *vring = &w->vq.vring;
	struct virtio_loopback_queue device = { 0 };
	const struct vring_avail *avail;
	struct vring_used *used;
	unsigned int round, i;

	vlb_post_get(w->post, &device);
	avail = (const void *)in_pool(w, device.driver_addr);
	used = (void *)in_pool(w, device.device_addr);
	for (i = 0; i < BATCH; i++)
		vring->desc[i] = (struct vring_desc){ w->data_addr, LENGTH, 0, 0 };
	for (round = 1; round <= ROUNDS; round++) {
		for (i = 0; i < BATCH; i++)
			vring->avail->ring[(vring->avail->idx + i) % NUM] = i;
		vring->avail->idx += BATCH;
		vlb_post_notify(w->post, &w->vq);
		assert_int_equal(vring->used->idx, BATCH * round);
		assert_int_equal(avail->idx, BATCH * round);
		used->ring[used->idx % NUM].id = avail->ring[(avail->idx - 1) % NUM];
		used->idx += BATCH;
		vlb_post_called(w->post, &w->vq);
	}
}

/* ---- how the driver waits ---- */

/* The driver adds a buffer and kicks, also where there is no room. Returns whether there was. */
static bool put(struct world *w)
{
	struct vring *vring = &w->vq.vring;
	const u16 slot = vring->avail->idx % NUM;
	const bool room = w->vq.num_free;

	if (room) {
		vring->desc[slot] = (struct vring_desc){ w->chunk_addr, CHUNK, 0, 0 };
		vring->avail->ring[slot] = slot;
		vring->avail->idx++;
		w->vq.num_free--;
	}
	vlb_post_notify(w->post, &w->vq);
	return room;
}

/* It takes one back. Returns whether there is one. */
static bool get(struct world *w)
{
	if (w->taken == w->vq.vring.used->idx)
		return false;
	w->taken++;
	w->vq.num_free++;
	return true;
}

/* The CPU takes interrupts again. */
static void probe(void)
{
	struct irq_work *work = irq_work_last;

	if (work->queued) {
		work->queued = 0;
		work->func(work);
	}
}

/* The back-end takes all that there is. */
static void take_all(struct world *w)
{
	struct virtio_loopback_queue device = { 0 };
	const struct vring_avail *avail;
	struct vring_used *used;

	vlb_post_get(w->post, &device);
	avail = (const void *)in_pool(w, device.driver_addr);
	used = (void *)in_pool(w, device.device_addr);
	for (; used->idx != avail->idx; used->idx++)
		used->ring[used->idx % NUM].id = avail->ring[used->idx % NUM];
	vlb_post_called(w->post, &w->vq);
}

static int set_up_quiet(void **state)
{
	struct world *w = make(0);

	w->vq.vring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	w->chunk_addr = map(w, w->chunk, CHUNK, DMA_TO_DEVICE);
	*state = w;
	return 0;
}

/* Until there is no room: each buffer that it could add it had back at once. */
static unsigned int spin_until_full(struct world *w, bool probed)
{
	unsigned int count = 0;

	while (put(w)) {
		if (!get(w))
			fail_msg("the driver spins for its buffer %u", count);
		if (probed)
			probe();
		if (++count > 100)
			fail_msg("it is never full");
	}
	return count;
}

static void test_spins(void **state)
{
	struct world *w = *state;

	assert_in_range(spin_until_full(w, true), 8, 16);
	assert_false(put(w));
	probe();
	take_all(w);
	assert_false(put(w)); /* ... which is what ends the hold */
	probe();
	assert_in_range(spin_until_full(w, true), 8, 16);
}

/*
 * One CPU's probe finds what another CPU has just added, and then runs no more, as that one prints
 * with interrupts off.
 */
static void test_spins_on_two(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 4; i++) {
		assert_true(put(w));
		assert_true(get(w));
		probe();
	}
	assert_true(put(w));
	probe();
	assert_true(get(w));
	assert_in_range(spin_until_full(w, false), 1, 16);
}

/*
 * One that sleeps, and has taken a buffer back by chance before the probe looked: it finds its
 * ring full once, and then waits as others do.
 */
static void test_sleeps(void **state)
{
	struct world *w = *state;
	unsigned int refused = 0, added;

	assert_true(put(w));
	assert_true(get(w));
	probe();
	for (;;) {
		if (!put(w) && ++refused > 1)
			fail_msg("its writes fail, after %u that did not",
				 w->vq.vring.avail->idx);
		else if (w->vq.num_free == 0 && w->vq.vring.avail->idx != w->taken)
			break; /* it sleeps until one is used */
		probe();
		while (get(w))
			;
	}
	added = w->vq.vring.avail->idx;
	assert_int_equal(refused, 1);
	while (added > w->taken) {
		const u16 before = w->taken;

		take_all(w);
		while (get(w))
			;
		assert_true(w->taken != before);
	}
	assert_int_equal(w->vq.num_free, NUM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forged_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_batches, set_up_in_order, tear_down),
		cmocka_unit_test_setup_teardown(test_spins, set_up_quiet, tear_down),
		cmocka_unit_test_setup_teardown(test_spins_on_two, set_up_quiet, tear_down),
		cmocka_unit_test_setup_teardown(test_sleeps, set_up_quiet, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
