// SPDX-License-Identifier: BSD-3-Clause
/* A queue that a request broke, and that is started again: the request is not lost. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "backends/common/virtqueue.h"
#include "check.h"
#include "driver.h"

#define NUM 16
#define MEMORY (1U << 20)
#define INDIRECT BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC)
#define PACKED BIT_ULL(VIRTIO_F_RING_PACKED)

struct world {
	struct drv_mem dmem;
	struct drv_ring ring;
	struct mem_table mem;
	struct inflight_area inflight;
	struct vq_setup setup;
	struct virtqueue vq;
};

static struct world w;

/* Half of the memory, as it is added while the queue is stopped */
static void add_half(unsigned int which)
{
	const uint64_t at = which * (uint64_t)MEMORY / 2;
	struct vhost_user_memory_region region = { DRV_GPA + at, MEMORY / 2, DRV_UVA + at, at };

	assert_int_equal(mem_add(&w.mem, &region, w.dmem.fd), 0);
}

static void keep_record(void)
{
	struct vhost_user_inflight desc;
	int fd = inflight_area_create(1, NUM, &desc);

	assert_true(fd >= 0);
	assert_int_equal(inflight_area_attach(&w.inflight, &desc, fd), 0);
	close(fd);
}

/* With the first half of the memory, in which the ring is */
static void begin(uint64_t layout, bool record)
{
	memset(&w, 0, sizeof(w));
	assert_int_equal(drv_mem_init(&w.dmem, MEMORY), 0);
	assert_int_equal(drv_ring_init_layout(&w.ring, &w.dmem, NUM, false, layout), 0);
	mem_init(&w.mem);
	add_half(0);
	if (record)
		keep_record();
	w.setup = (struct vq_setup){
		.num = NUM,
		.features = layout | INDIRECT,
		.mem = &w.mem,
		.desc_uva = drv_uva(&w.dmem, w.ring.desc),
		.avail_uva = drv_uva(&w.dmem, w.ring.avail),
		.used_uva = drv_uva(&w.dmem, w.ring.used),
		.base = drv_base(&w.ring),
		.call_fd = w.ring.call_fd,
		.err_fd = -1,
		.inflight = &w.inflight,
	};
	assert_int_equal(vq_start(&w.vq, &w.setup), 0);
}

static void end(void)
{
	vq_stop(&w.vq);
	inflight_area_finish(&w.inflight);
	mem_finish(&w.mem);
	drv_ring_finish(&w.ring);
	drv_mem_finish(&w.dmem);
}

static void stop(void)
{
	w.setup.base = vq_stop(&w.vq);
	/* behind what was answered: nothing else is */
	assert_int_equal(w.setup.base, drv_base(&w.ring));
}

static void add(uint8_t *p, bool indirect)
{
	struct drv_buf buf = { p, 8, true };

	assert_true(drv_add(&w.ring, &buf, 1, indirect) >= 0);
}

static int look_up(uint16_t id)
{
	struct iovec iov[4];
	struct vq_buffers got = { .iov = iov, .max = 4 };

	return vq_chain(&w.vq, id, &got);
}

/* Takes the next one and answers it; the driver sees that answer and no other. */
static void serve(int head)
{
	uint16_t id;

	assert_int_equal(vq_pop(&w.vq, &id), 1);
	assert_int_equal(look_up(id), 0);
	vq_push(&w.vq, id, 0);
	vq_flush(&w.vq);
	assert_int_equal(drv_get(&w.ring, NULL), head);
}

/*
 * What cannot be served with the memory that is there is taken once the memory has come, before
 * those behind it. What had been taken before it is answered.
 */
static void given_back(uint64_t layout, bool indirect, bool record)
{
	uint16_t first, second;

	begin(layout, record);
	add(w.dmem.base, indirect);
	add(w.dmem.base + MEMORY / 2, indirect);
	add(w.dmem.base, indirect);
	assert_int_equal(vq_pop(&w.vq, &first), 1);
	assert_int_equal(vq_pop(&w.vq, &second), 1);
	assert_int_equal(look_up(second), -EPROTO);
	assert_true(w.vq.broken);
	assert_int_equal(w.vq.taken, 1);
	vq_push(&w.vq, first, 0);
	vq_flush(&w.vq);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	stop();
	/* nothing has changed: it breaks once more */
	assert_int_equal(vq_start(&w.vq, &w.setup), 0);
	assert_int_equal(vq_pop(&w.vq, &second), 1);
	assert_int_equal(look_up(second), -EPROTO);
	stop();
	add_half(1);
	assert_int_equal(vq_start(&w.vq, &w.setup), 0);
	serve(1);
	serve(2);
	assert_int_equal(vq_pop(&w.vq, &first), 0);
	end();
}

static void test_given_back(void **state)
{
	unsigned int how;

	(void)state;
	for (how = 0; how < 8; how++)
		given_back(how & 1 ? PACKED : 0, how & 2, how & 4);
}

/* One that is not the last that was taken cannot be given back; nor is the last in its place. */
static void kept(uint64_t layout)
{
	uint16_t first, last;

	begin(layout, false);
	add(w.dmem.base, true);
	add(w.dmem.base, false);
	assert_int_equal(vq_pop(&w.vq, &first), 1);
	assert_int_equal(vq_pop(&w.vq, &last), 1);
	memset(w.ring.tables, 0xff, sizeof(struct vring_desc)); /* it was good when it was taken */
	assert_int_equal(look_up(first), -EPROTO);
	assert_int_equal(w.vq.taken, 2);
	assert_int_equal(look_up(last), 0);
	/* what a device finds wrong by itself is given back as well, and once */
	assert_int_equal(vq_refuse(&w.vq, last, "it is of no use"), -EPROTO);
	assert_int_equal(vq_give_back(&w.vq, last), -EPROTO);
	assert_int_equal(w.vq.taken, 1);
	vq_push(&w.vq, first, 0);
	vq_flush(&w.vq);
	assert_int_equal(drv_get(&w.ring, NULL), 0);
	stop();
	assert_int_equal(vq_start(&w.vq, &w.setup), 0);
	serve(1);
	end();
}

static void test_kept(void **state)
{
	(void)state;
	kept(0);
	kept(PACKED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
