// SPDX-License-Identifier: BSD-3-Clause
/*
 * The in-flight record: a device process is killed at random moments, many times over, with each
 * layout of the ring; the next one has to take up exactly what was taken and not answered, in its
 * order, and nothing twice. What stands in the record is looked at here for split rings, in
 * test-inflight-packed.c for packed ones.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/common/virtqueue.h"
#include "check.h"
#include "common/deadline.h"
#include "driver.h"

#define NUM 64
#define FEATURES (BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC))
#define KILLS 400
#define HELD 4

static struct drv_mem dmem;
static struct drv_ring ring;
static struct mem_table mem;
static struct inflight_area area;
static struct vhost_user_inflight area_desc;
static int area_fd;

/* What the device process tells of itself, to compare with what its successor finds. */
struct journal {
	uint32_t order[1 << 20]; /* serial numbers in the order in which they were taken */
	uint32_t taken;
	uint32_t replayed;
	uint32_t running;
};
static struct journal *journal;

static int setup_layout(bool packed)
{
	struct vhost_user_memory_region region = { DRV_GPA, 1 << 20, DRV_UVA, 0 };

	assert_int_equal(drv_mem_init(&dmem, 1 << 20), 0);
	assert_int_equal(drv_ring_init_layout(&ring, &dmem, NUM, true, packed), 0);
	mem_init(&mem);
	assert_int_equal(mem_add(&mem, &region, dmem.fd), 0);
	inflight_area_init(&area);
	area_fd = inflight_area_create(1, NUM, &area_desc);
	assert_true(area_fd >= 0);
	assert_int_equal(inflight_area_attach(&area, &area_desc, area_fd), 0);
	journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_ptr_not_equal(journal, MAP_FAILED);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_layout(false);
}

static int setup_packed(void **state)
{
	(void)state;
	return setup_layout(true);
}

static int teardown(void **state)
{
	(void)state;
	munmap(journal, sizeof(*journal));
	inflight_area_finish(&area);
	close(area_fd);
	mem_finish(&mem);
	drv_ring_finish(&ring);
	drv_mem_finish(&dmem);
	return 0;
}

static int start(struct virtqueue *vq, uint32_t base)
{
	struct vq_setup s = {
		.num = NUM,
		.features = FEATURES | drv_features(&ring),
		.mem = &mem,
		.desc_uva = drv_uva(&dmem, ring.desc),
		.avail_uva = drv_uva(&dmem, ring.avail),
		.used_uva = drv_uva(&dmem, ring.used),
		.base = base,
		.call_fd = ring.call_fd,
		.err_fd = -1,
		.inflight = &area,
	};

	return vq_start(vq, &s);
}

static int add(uint8_t *data)
{
	struct drv_buf buf = { data, 64, true };

	return drv_add(&ring, &buf, 1, true);
}

/* In one to three descriptors of the ring, or one of a table; -1: there is no room */
static int add_some(uint8_t *data)
{
	struct drv_buf bufs[] = { { data, 32, true }, { data + 32, 16, true },
				  { data + 48, 16, true } };
	unsigned int n = (unsigned int)random() % 4;

	return n ? drv_add(&ring, bufs, n, false) : drv_add(&ring, bufs, 3, true);
}

static struct inflight_region *region_of_area(void)
{
	return (void *)area.base;
}

/*
 * Gone between two steps: there is nothing to be shown, so this leaves the shared memory as it is.
 */
static void die(struct virtqueue *vq)
{
	assert_int_equal(vq->npushed, 0);
	vq_stop(vq);
}

/* ---- step by step ---- */

static void test_replay_in_order(void **state)
{
	uint8_t *data = drv_alloc(&dmem, 64, 64);
	struct virtqueue vq;
	uint16_t ids[8], id;
	int i;

	(void)state;
	for (i = 0; i < 8; i++)
		add(data);
	assert_int_equal(start(&vq, 0), 0);
	for (i = 0; i < 6; i++)
		assert_int_equal(vq_pop(&vq, &ids[i]), 1);
	vq_push(&vq, ids[4], 0);
	vq_push(&vq, ids[1], 0);
	vq_flush(&vq);
	die(&vq); /* 0, 2, 3, 5 were taken and not answered; 6, 7 not taken */
	assert_int_equal(start(&vq, 4711), 0); /* a base that is wrong does not matter */
	assert_true(vq_replay_pending(&vq));
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, ids[0]);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, ids[2]);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, ids[3]);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, ids[5]);
	assert_false(vq_replay_pending(&vq));
	assert_int_equal(vq_pop(&vq, &ids[6]), 1);
	assert_int_equal(vq_pop(&vq, &ids[7]), 1);
	assert_int_equal(vq_pop(&vq, &id), 0);
	assert_int_equal(vq.taken, 6);
	die(&vq);
	/* after a second death the order is still that of the first taking */
	assert_int_equal(start(&vq, 0), 0);
	for (i = 0; i < 8; i++) {
		if (i == 1 || i == 4)
			continue;
		assert_int_equal(vq_pop(&vq, &id), 1);
		assert_int_equal(id, ids[i]);
		vq_push(&vq, id, 0);
	}
	assert_int_equal(vq_stop(&vq), 8);
}

/* Death between the used index and the marks: the batch must not be done again. */
static void test_unfinished_batch(void **state)
{
	uint8_t *data = drv_alloc(&dmem, 64, 64);
	struct inflight_region *region = region_of_area();
	struct virtqueue vq;
	uint16_t ids[6], id;
	int i;

	(void)state;
	for (i = 0; i < 6; i++)
		add(data);
	assert_int_equal(start(&vq, 0), 0);
	for (i = 0; i < 6; i++)
		vq_pop(&vq, &ids[i]);
	vq_push(&vq, ids[0], 0);
	vq_flush(&vq);
	vq_push(&vq, ids[2], 0);
	vq_push(&vq, ids[5], 0);
	vq_push(&vq, ids[3], 0);
	vq_flush(&vq);
	die(&vq);
	/* as if it had died right behind the store of the used index: only some marks cleared */
	region->desc[ids[5]].inflight = 1;
	region->desc[ids[3]].inflight = 1;
	region->used_idx = 1;
	assert_int_equal(start(&vq, 0), 0);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, ids[1]);
	assert_int_equal(vq_pop(&vq, &id), 1);
	assert_int_equal(id, ids[4]);
	assert_int_equal(vq_pop(&vq, &id), 0);
	assert_int_equal(region->used_idx, 4);
	vq_stop(&vq);
	/* ... and one that had not come to the used index is done again, linked or not */
	region->last_batch_head = ids[1];
	assert_int_equal(start(&vq, 0), 0);
	assert_int_equal(vq.replay_count, 2);
	vq_stop(&vq);
}

static void test_hostile_record(void **state)
{
	struct inflight_region *region = region_of_area();
	struct virtqueue vq;
	uint16_t id;
	unsigned int i;

	(void)state;
	assert_int_equal(start(&vq, 0), 0);
	vq_stop(&vq);
	region->version = 2;
	assert_int_equal(start(&vq, 0), -EINVAL);
	region->version = 1;
	region->desc_num = 65535;
	assert_int_equal(start(&vq, 0), -EINVAL);
	region->desc_num = NUM;
	/* a batch that links out of range, and in a circle */
	region->desc[3].inflight = 1;
	region->used_idx = (uint16_t)-2;
	region->last_batch_head = 60000;
	assert_int_equal(start(&vq, 0), -EINVAL);
	region->last_batch_head = 5;
	region->desc[5].next = 5;
	assert_int_equal(start(&vq, 0), 0);
	vq_stop(&vq);
	/* rings that the record was not written for */
	region->used_idx = 30000;
	assert_int_equal(start(&vq, 0), -EINVAL);
	region->desc[3].inflight = 0;
	assert_int_equal(start(&vq, 0), 0); /* nothing in flight: the driver began anew */
	vq_stop(&vq);
	/* everything marked, with equal counters and marks of all values */
	for (i = 0; i < NUM; i++)
		region->desc[i] = (struct inflight_desc){ .inflight = (uint8_t)(i + 1),
							  .counter = UINT64_MAX };
	assert_int_equal(start(&vq, 0), 0);
	assert_int_equal(vq.replay_count, NUM);
	for (i = 0; i < NUM; i++)
		assert_int_equal(vq_pop(&vq, &id), 1);
	/* while it runs the record is not read any more */
	memset(region, 0xff, sizeof(*region) + NUM * sizeof(region->desc[0]));
	for (i = 0; i < NUM; i++)
		vq_push(&vq, (uint16_t)i, 0);
	vq_flush(&vq);
	vq_stop(&vq);
}

/*
 * All was answered, and the driver set the queue up anew: the indices may look as if a batch had
 * been under way, which the last one's links do not fit.
 */
static void test_begun_anew(void **state)
{
	struct inflight_region *region = region_of_area();
	struct virtqueue vq;

	(void)state;
	assert_int_equal(start(&vq, 0), 0);
	vq_stop(&vq);
	region->used_idx = (uint16_t)-3;
	region->last_batch_head = NUM + 1; /* of when the queue was larger */
	assert_int_equal(start(&vq, 0), 0);
	assert_int_equal(vq.replay_count, 0);
	assert_int_equal(region->used_idx, 0);
	vq_stop(&vq);
}

static void test_area(void **state)
{
	struct vhost_user_inflight desc = area_desc;
	struct inflight_area other;
	struct virtqueue vq;

	(void)state;
	inflight_area_init(&other);
	assert_int_equal(ftruncate(area_fd, 0), -1); /* sealed */
	assert_int_equal(inflight_area_create(0, 64, &desc), -EINVAL);
	assert_int_equal(inflight_area_create(1, 0, &desc), -EINVAL);
	desc = area_desc;
	desc.mmap_size += 4096;
	assert_int_equal(inflight_area_attach(&other, &desc, area_fd), -EINVAL);
	desc.mmap_size = UINT64_MAX;
	assert_int_equal(inflight_area_attach(&other, &desc, area_fd), -EINVAL);
	desc = area_desc;
	desc.mmap_offset = UINT64_MAX & ~4095ULL;
	assert_int_equal(inflight_area_attach(&other, &desc, area_fd), -EINVAL);
	desc = area_desc;
	desc.num_queues = 2;
	assert_int_equal(inflight_area_attach(&other, &desc, area_fd), -EINVAL);
	desc = area_desc;
	desc.queue_size = 32768;
	assert_int_equal(inflight_area_attach(&other, &desc, area_fd), -EINVAL);
	/* a queue that is larger than the record */
	desc = area_desc;
	desc.queue_size = NUM / 2;
	assert_int_equal(inflight_area_attach(&area, &desc, area_fd), 0);
	assert_int_equal(start(&vq, 0), -EINVAL);
}

/* ---- by killing ---- */

/*
 * The serial number of a request is in its buffer, so that the device can write down what it took.
 */
static uint32_t serial_of(struct virtqueue *vq, uint16_t id)
{
	struct iovec iov[4];
	struct vq_buffers bufs = { .iov = iov, .max = 4 };
	uint32_t serial;

	if (vq_chain(vq, id, &bufs))
		_exit(3);
	memcpy(&serial, iov[0].iov_base, sizeof(serial));
	return serial;
}

/*
 * Takes requests, holds some of them, answers them out of order and in batches, until it is
 * killed.
 */
static void device(unsigned int seed)
{
	uint16_t held[NUM];
	unsigned int n = 0;
	struct virtqueue vq;

	srandom(seed);
	if (start(&vq, drv_base_at(&ring, 0))) /* where the first one began */
		_exit(2);
	journal->taken = 0;
	journal->replayed = vq.replay_count;
	WRITE_ONCE(journal->running, 1);
	for (;;) {
		unsigned int batch = (unsigned int)random() % 8;
		uint16_t id;

		while (n < NUM && vq_pop(&vq, &id) > 0) {
			journal->order[journal->taken % (1 << 20)] = serial_of(&vq, id);
			journal->taken++;
			held[n++] = id;
			if (random() % 4 == 0)
				break;
		}
		if (vq.broken)
			_exit(4);
		while (n > HELD && batch--) { /* so that there is something to take up again */
			unsigned int which = (unsigned int)random() % n;

			vq_push(&vq, held[which], 0);
			held[which] = held[--n];
		}
		vq_flush(&vq);
		vq_arm(&vq); /* it polls; the driver's suppression is what matters */
	}
}

/* What the driver knows */
struct driver {
	uint8_t *data; /* 64 bytes for each head */
	bool in_flight[NUM];
	uint32_t serial_of_head[NUM];
	uint32_t serial; /* of the next request */
	uint32_t answered;
};

static void take_answers(struct driver *d)
{
	int head;

	while ((head = drv_get(&ring, NULL)) != -1) {
		if (head < 0 || !d->in_flight[head])
			fail_msg("head %d is answered twice", head);
		d->in_flight[head] = false;
		d->answered++;
	}
}

/* Keeps the ring fairly full, and suppresses calls now and then. */
static void drive(struct driver *d, deadline_t until)
{
	while (!deadline_passed(until)) {
		int head;

		drv_event(&ring, (unsigned int)random() % NUM);
		take_answers(d);
		if (ring.nfree < 3 || random() % 4 == 0)
			continue;
		memcpy(d->data + 64 * ring.free_head, &d->serial, sizeof(d->serial));
		head = add_some(d->data + 64 * ring.free_head);
		assert_true(head >= 0);
		d->in_flight[head] = true;
		d->serial_of_head[head] = d->serial++;
	}
}

/* Requests are made in the order of their serial numbers, so they are taken in it. */
static void check_order(unsigned int kills)
{
	uint32_t i;

	for (i = 1; i < journal->taken; i++)
		if (journal->order[i] <= journal->order[i - 1])
			fail_msg("kill %u: request %u is taken behind %u, %u of %u replayed", kills,
				 journal->order[i], journal->order[i - 1], journal->replayed,
				 journal->taken);
}

/* The last instance answers everything that is there. */
static void finish_all(struct driver *d)
{
	struct virtqueue vq;
	uint16_t id;
	int head;

	assert_int_equal(start(&vq, drv_base_at(&ring, 0)), 0);
	while (vq_pop(&vq, &id) > 0)
		vq_push(&vq, id, 0);
	vq_stop(&vq);
	take_answers(d);
	for (head = 0; head < NUM; head++)
		if (d->in_flight[head])
			fail_msg("head %d (request %u) is never answered", head,
				 d->serial_of_head[head]);
}

static void test_kills(void **state)
{
	struct driver d = { .serial = 1, .data = drv_alloc(&dmem, NUM * 64, 64) };
	uint32_t replays = 0;
	unsigned int kills;

	(void)state;
	for (kills = 0; kills < KILLS; kills++) {
		deadline_t begun = deadline_after_ms(10000);
		pid_t pid = fork();
		int status;

		if (pid == 0)
			device(kills + 1);
		assert_true(pid > 0);
		/* some die before they have begun; on a busy machine it would be all of them */
		while (kills % 4 && !READ_ONCE(journal->running) && !deadline_passed(begun))
			sched_yield();
		drive(&d, now_ns() + (uint64_t)(random() % 2000) * 1000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status))
			fail_msg("the device ended by itself: status %d", WEXITSTATUS(status));
		check_order(kills);
		replays += journal->replayed;
		journal->taken = 0;
		journal->replayed = 0;
		journal->running = 0;
	}
	finish_all(&d);
	print_message("%u requests, %u kills, %u taken up again\n", d.answered, KILLS, replays);
	assert_int_equal(d.answered, d.serial - 1);
	assert_true(replays > KILLS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replay_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begun_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_area, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kills, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kills, setup_packed, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
