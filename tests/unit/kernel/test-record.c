// SPDX-License-Identifier: BSD-3-Clause
/*
 * The record of outstanding buffers against a reference that sees everything.
 *
 * A driver, as virtio_ring.c does it for split rings, and a device that completes out of
 * order, in bursts, and as late as it likes: no kick and no call is ever seen, as when
 * both sides suppress them. The record must tell what is out, in order, at any moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "bounce.h"
#include "pool.h"
#include "shim/linux/virtio_ring.h"
#include "zeroed.h"


#define POOL_SIZE	(1UL << 20)
#define BASE		0x200000000ULL
#define RINGS		(32 * PAGE_SIZE)
#define MAX_QUEUES	4
#define MAX_NUM		64
#define CHAIN		3

/* struct buffer - one chain of the driver's: what it mapped for it */
struct buffer {
	bool out;
	bool indirect;
	unsigned int links;
	dma_addr_t addr[CHAIN + 1]; /* with an indirect table, the table's is the first */
	u16 descs[CHAIN];
	unsigned int order;
};

struct queue {
	struct vring vring;
	unsigned int num;
	u16 free[MAX_NUM];
	unsigned int nr_free;
	u16 last_used;
	struct buffer buffers[MAX_NUM]; /* by head */
	/* the device's side */
	u16 pending[MAX_NUM];
	unsigned int nr_pending;
	u16 seen_avail;
};

struct world {
	struct vlb_pool pool;
	struct vlb_bounce bounce;
	struct queue queues[MAX_QUEUES];
	unsigned int nr;
	unsigned int adds;
	u8 memory[4096];
};

static void set_up(struct world *w, unsigned int nr, const u16 *sizes)
{
	dma_addr_t addr;

	memset(w, 0, sizeof(*w));
	w->nr = nr;
	w->pool.size = POOL_SIZE;
	w->pool.vaddr = zeroed(PAGE_SIZE, POOL_SIZE);
	assert_int_equal(vlb_bounce_init(&w->bounce, &w->pool, BASE, RINGS, sizes, nr), 0);
	for (unsigned int i = 0; i < nr; i++) {
		struct queue *q = &w->queues[i];
		void *ring = vlb_bounce_alloc_ring(&w->bounce, vring_size(sizes[i], 64), &addr);

		assert_non_null(ring);
		q->num = sizes[i];
		vring_init(&q->vring, q->num, ring, 64);
		for (u16 d = 0; d < q->num; d++)
			q->free[q->nr_free++] = d;
		vlb_record_add_queue(&w->bounce, i, &q->vring);
	}
}

static void tear_down(struct world *w)
{
	vlb_bounce_finish(&w->bounce);
	free(w->pool.vaddr);
}

static dma_addr_t map(struct world *w, size_t len, enum dma_data_direction dir)
{
	/* The buffer's bytes do not matter here: its place may be shared. */
	return vlb_bounce_map(&w->bounce, (uintptr_t)w->memory, len, dir, 0);
}

static void give_descs_back(struct queue *q, struct buffer *b, unsigned int descs)
{
	while (descs--)
		q->free[q->nr_free++] = b->descs[descs];
}

/* virtqueue_add(): the buffers, the table if there is one, the available ring. */
static void driver_add(struct world *w, struct queue *q)
{
	bool indirect = rand() % 2;
	unsigned int links = 1 + rand() % CHAIN, descs = indirect ? 1 : links, maps = 0;
	u16 head;
	struct buffer b = { .out = true, .indirect = indirect, .links = links };

	if (q->nr_free < descs)
		return;
	for (unsigned int i = 0; i < descs; i++)
		b.descs[i] = q->free[--q->nr_free];
	head = b.descs[0];
	/* The table is mapped last, but it is what the head's descriptor points to. */
	for (unsigned int i = 0; i < links; i++, maps++)
		b.addr[i + indirect] = map(w, 1 + rand() % 2000, DMA_FROM_DEVICE);
	if (indirect)
		b.addr[0] = map(w, links * 16, DMA_TO_DEVICE);
	maps += indirect;
	for (unsigned int i = 0; i < maps; i++)
		if (b.addr[i] == DMA_MAPPING_ERROR) {
			for (unsigned int j = 0; j < maps; j++)
				if (b.addr[j] != DMA_MAPPING_ERROR)
					vlb_bounce_unmap(&w->bounce, b.addr[j], 0);
			give_descs_back(q, &b, descs);
			return;
		}
	for (unsigned int i = 0; i < descs; i++)
		q->vring.desc[b.descs[i]].addr = b.addr[i];
	b.order = w->adds++;
	q->buffers[head] = b;
	q->vring.avail->ring[q->vring.avail->idx % q->num] = head;
	q->vring.avail->idx++;
}

/* virtqueue_get_buf() */
static void driver_take(struct world *w, struct queue *q)
{
	struct buffer *b;
	u16 head;

	if (q->last_used == q->vring.used->idx)
		return;
	head = q->vring.used->ring[q->last_used++ % q->num].id;
	b = &q->buffers[head];
	assert_true(b->out);
	for (unsigned int i = 0; i < b->links + b->indirect; i++)
		vlb_bounce_unmap(&w->bounce, b->addr[i], 0);
	give_descs_back(q, b, b->indirect ? 1 : b->links);
	b->out = false;
}

static void device_look(struct queue *q)
{
	while (q->seen_avail != q->vring.avail->idx)
		q->pending[q->nr_pending++] = q->vring.avail->ring[q->seen_avail++ % q->num];
}

static void device_use(struct queue *q)
{
	unsigned int victim;

	device_look(q);
	if (!q->nr_pending)
		return;
	/* One may be left lying for very long: the oldest goes last, mostly. */
	victim = rand() % 8 ? q->nr_pending - 1 : (unsigned int)rand() % q->nr_pending;
	q->vring.used->ring[q->vring.used->idx % q->num].id = q->pending[victim];
	q->vring.used->idx++;
	memmove(&q->pending[victim], &q->pending[victim + 1],
		(q->nr_pending - victim - 1) * sizeof(q->pending[0]));
	q->nr_pending--;
}

static void check(struct world *w, unsigned int index)
{
	struct queue *q = &w->queues[index];
	const struct vlb_outstanding *list;
	unsigned int count, out = 0;
	int before = -1;

	list = vlb_record_list(&w->bounce, index, &count);
	for (u16 head = 0; head < q->num; head++)
		out += q->buffers[head].out;
	if (count != out)
		fail_msg("queue %u: expected %u outstanding, the record says %u", index, out, count);
	for (unsigned int i = 0; i < count; i++) {
		const struct buffer *b = &q->buffers[list[i].head];

		if (!b->out)
			fail_msg("queue %u: head %u is in the record and not out", index, list[i].head);
		if ((int)b->order <= before)
			fail_msg("queue %u: head %u stands out of its order", index, list[i].head);
		before = b->order;
	}
	assert_int_equal(vlb_record_count(&w->bounce, index), out);
	assert_int_equal(vlb_record_used_index(&w->bounce, index), q->last_used);
	assert_int_equal(vlb_record_anomalies(&w->bounce), 0);
}

static void walk(unsigned int seed, unsigned int nr, const u16 *sizes, unsigned int check_every)
{
	static struct world w;

	srand(seed);
	set_up(&w, nr, sizes);
	for (int step = 0; step < 60000; step++) {
		struct queue *q = &w.queues[rand() % nr];
		int burst = 1 + rand() % (rand() % 8 ? 2 : 2 * MAX_NUM);

		switch (rand() % 3) {
		case 0:
			while (burst--)
				driver_add(&w, q);
			break;
		case 1:
			while (burst--)
				device_use(q);
			break;
		default:
			while (burst--)
				driver_take(&w, q);
		}
		if (!(rand() % check_every))
			check(&w, rand() % nr);
	}
	for (unsigned int i = 0; i < nr; i++)
		check(&w, i);
	tear_down(&w);
}

static void test_one_queue(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 8; seed++)
		walk(seed, 1, (const u16[]){ 64 }, 50);
}

static void test_small_queues(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 8; seed++)
		walk(seed, 4, (const u16[]){ 1, 2, 4, 16 }, 50);
}

/* Looked at once in a very long while: the record keeps itself complete. */
static void test_rarely_looked_at(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 8; seed++)
		walk(seed, 3, (const u16[]){ 64, 8, 32 }, 20000);
}

/* One is left lying while the others of the device come and go, some thousand million times. */
static void test_left_lying(void **state)
{
	static struct world w;

	(void)state;
	srand(5);
	set_up(&w, 1, (const u16[]){ 64 });
	for (u64 round = 0; round < 8; round++) {
		driver_add(&w, &w.queues[0]);
		check(&w, 0);
		w.bounce.record.seq += 3UL << 29;
	}
	tear_down(&w);
}

/* The device side scribbles: the record ends, and nothing else does. */
static void test_scribbles(void **state)
{
	static struct world w;
	unsigned int count;

	(void)state;
	srand(3);
	set_up(&w, 2, (const u16[]){ 16, 16 });
	for (int i = 0; i < 10; i++)
		driver_add(&w, &w.queues[0]);
	memset(w.queues[0].vring.avail, 0xee, vring_size(16, 64) - 16 * 16);
	vlb_record_list(&w.bounce, 0, &count);
	assert_true(count <= 16);
	assert_true(vlb_record_anomalies(&w.bounce) > 0);
	for (u16 head = 0; head < 16; head++) {
		struct buffer *b = &w.queues[0].buffers[head];

		for (unsigned int i = 0; b->out && i < b->links + b->indirect; i++)
			vlb_bounce_unmap(&w.bounce, b->addr[i], 0);
	}
	assert_int_equal(vlb_bounce_live(&w.bounce), 0);
	/* The next driver's rings are others. */
	vlb_record_del_queue(&w.bounce, 0);
	vlb_record_add_queue(&w.bounce, 0, &w.queues[1].vring);
	assert_true(vlb_record_anomalies(&w.bounce) > 0);
	vlb_record_del_queue(&w.bounce, 0);
	vlb_record_del_queue(&w.bounce, 1);
	vlb_record_add_queue(&w.bounce, 1, &w.queues[1].vring);
	assert_int_equal(vlb_record_anomalies(&w.bounce), 0);
	tear_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_queue),
		cmocka_unit_test(test_small_queues),
		cmocka_unit_test(test_rarely_looked_at),
		cmocka_unit_test(test_left_lying),
		cmocka_unit_test(test_scribbles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
