// SPDX-License-Identifier: BSD-3-Clause
/* A relayed queue: what goes between the driver's ring and the device's, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include <linux/virtio_ids.h>

#include "bounce.h"
#include "pool.h"
#include "relay.h"
#include "zeroed.h"

#define POOL_SIZE	(1UL << 20)
#define BASE		0x200000000ULL
#define RINGS		(64 * PAGE_SIZE)
#define NUM		16

/* struct world - @device: the ring that the back-end is given */
struct world {
	struct vlb_pool pool;
	struct vlb_device dev;
	struct vlb_queue queue;
	struct virtqueue vq;
	struct vlb_relay *relay;
	struct vring device;
	u16 taken;
	u64 features;
	bool call;
};

static void find_ring(struct world *w)
{
	struct virtio_loopback_queue out = { 0 };
	u8 *pool = w->pool.vaddr;

	vlb_relay_get(w->relay, &out);
	assert_int_equal(out.num, NUM);
	w->device.num = NUM;
	w->device.desc = (void *)(pool + (out.desc_addr - BASE));
	w->device.avail = (void *)(pool + (out.driver_addr - BASE));
	w->device.used = (void *)(pool + (out.device_addr - BASE));
	assert_true(out.desc_addr >= BASE && out.device_addr < BASE + RINGS);
}

static struct world *make(u64 features)
{
	struct world *w = calloc(1, sizeof(*w));

	w->pool.size = POOL_SIZE;
	w->pool.vaddr = zeroed(PAGE_SIZE, POOL_SIZE);
	assert_int_equal(vlb_bounce_init(&w->dev.bounce, &w->pool, BASE, RINGS), 0);
	w->queue.dev = &w->dev;
	w->queue.vq = &w->vq;
	w->queue.max = NUM;
	w->features = features;
	w->vq.vdev = &w->features; /* see post-world.h */
	vring_init(&w->vq.vring, NUM, zeroed(64, vring_size(NUM, 64)), 64);
	w->relay = vlb_relay_create(&w->queue);
	assert_non_null(w->relay);
	assert_int_equal(vlb_relay_start(w->relay, &w->vq), 0);
	find_ring(w);
	return w;
}

static int set_up(void **state)
{
	*state = make(0);
	return 0;
}

static int set_up_events(void **state)
{
	*state = make(1ULL << VIRTIO_RING_F_EVENT_IDX);
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

	vlb_relay_stop(w->relay);
	vlb_relay_destroy(w->relay);
	vlb_bounce_finish(&w->dev.bounce);
	free(w->vq.vring.desc);
	free(w->pool.vaddr);
	free(w);
	return 0;
}

/* A chain of so many descriptors from @head on; returns what the kick said. */
static bool add(struct world *w, u16 head, unsigned int length)
{
	struct vring *vring = &w->vq.vring;
	unsigned int i;

	for (i = 0; i < length; i++)
		vring->desc[head + i] = (struct vring_desc){
			.addr = BASE + RINGS + 0x1000UL * (head + i),
			.len = 100 + head + i,
			.flags = i + 1 < length ? VRING_DESC_F_NEXT : VRING_DESC_F_WRITE,
			.next = head + i + 1,
		};
	vring->avail->ring[vring->avail->idx % NUM] = head;
	vring->avail->idx++;
	return vlb_relay_notify(w->relay, &w->vq);
}

static void use(struct world *w, u32 id, u32 len)
{
	w->device.used->ring[w->device.used->idx % NUM] = (vring_used_elem_t){ id, len };
	w->device.used->idx++;
}

/* Returns whether there is more; @w->call: whether the driver is to be called. */
static bool called(struct world *w)
{
	return vlb_relay_called(w->relay, &w->vq, &w->call);
}

/* The next one that the driver finds */
static void check_used(struct world *w, u32 id, u32 len)
{
	const struct vring_used *used = w->vq.vring.used;

	if (used->idx == w->taken)
		fail_msg("expected the buffer %u to be back, saw none", id);
	assert_int_equal(used->ring[w->taken % NUM].id, id);
	assert_int_equal(used->ring[w->taken % NUM].len, len);
	w->taken++;
}

static void check_out(struct world *w, const u16 *heads, unsigned int count)
{
	struct vlb_outstanding list[NUM];
	unsigned int i, seen = vlb_relay_list(w->relay, list);

	if (seen != count)
		fail_msg("expected %u buffers to be out, saw %u", count, seen);
	for (i = 0; i < count; i++)
		if (list[i].head != heads[i])
			fail_msg("place %u: expected the buffer %u, saw %u", i, heads[i],
				 list[i].head);
}

static void test_both_ways(void **state)
{
	struct world *w = *state;

	assert_true(add(w, 2, 3));
	assert_true(add(w, 0, 1));
	assert_int_equal(w->device.avail->idx, 2);
	assert_int_equal(w->device.avail->ring[0], 2);
	assert_int_equal(w->device.avail->ring[1], 0);
	assert_memory_equal(w->device.desc, w->vq.vring.desc, 5 * sizeof(struct vring_desc));
	use(w, 0, 77);
	use(w, 2, 5);
	assert_int_equal(w->vq.vring.used->idx, 0);
	assert_false(called(w));
	check_used(w, 0, 77);
	check_used(w, 2, 5);
	assert_int_equal(w->vq.vring.used->idx, 2);
}

/* What the device side makes of its ring the driver does not see. */
static void test_out_of_sight(void **state)
{
	struct vring_desc before[NUM];
	struct world *w = *state;

	add(w, 0, 2);
	add(w, 2, 1);
	memcpy(before, w->vq.vring.desc, sizeof(before));
	memset(w->device.desc, 0xff, NUM * sizeof(*w->device.desc));
	w->device.avail->idx += 9;
	memset(w->device.avail->ring, 0xff, NUM * sizeof(w->device.avail->ring[0]));
	use(w, 2, 1);
	called(w);
	check_used(w, 2, 1);
	assert_memory_equal(w->vq.vring.desc, before, sizeof(before));
	assert_int_equal(w->vq.vring.avail->idx, 2);
	assert_int_equal(w->vq.vring.avail->ring[1], 2);
	/* and the next one is what the driver says */
	add(w, 2, 1);
	assert_int_equal(w->device.avail->idx, 3);
	assert_memory_equal(&w->device.desc[2], &before[2], sizeof(before[2]));
}

/* Kicks that the device does not want, by the flag; calls it is to give, always. */
static void test_flags(void **state)
{
	struct world *w = *state;

	w->device.used->flags = VRING_USED_F_NO_NOTIFY;
	assert_false(add(w, 0, 1));
	assert_int_equal(w->device.avail->idx, 1);
	w->device.used->flags = 0;
	assert_true(add(w, 1, 1));
	w->device.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	called(w);
	assert_int_equal(w->device.avail->flags, 0);
	/* nothing is new: nobody is kicked */
	assert_false(vlb_relay_notify(w->relay, &w->vq));
}

/* ... and by the index. The driver is to kick for each, whatever the device wants. */
static void test_events(void **state)
{
	struct world *w = *state;

	vring_avail_event(&w->device) = 1;
	assert_false(add(w, 0, 1));
	assert_int_equal(vring_avail_event(&w->vq.vring), 1);
	assert_true(add(w, 1, 1));
	assert_int_equal(vring_avail_event(&w->vq.vring), 2);
	use(w, 1, 0);
	called(w);
	assert_int_equal(vring_used_event(&w->device), 1);
	check_used(w, 1, 0);
}

/* The driver is called when it wants to be, by the flag ... */
static void test_driver_flag(void **state)
{
	struct world *w = *state;

	for (u16 i = 0; i < 3; i++)
		add(w, i, 1);
	use(w, 0, 1);
	called(w);
	assert_true(w->call);
	called(w); /* nothing is new */
	assert_false(w->call);
	w->vq.vring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	use(w, 1, 2);
	called(w);
	assert_false(w->call);
	assert_int_equal(w->vq.vring.used->idx, 2);
	w->vq.vring.avail->flags = 0;
	use(w, 2, 3);
	called(w);
	assert_true(w->call);
	/* who stands in for the device calls it always */
	vlb_relay_cut(w->relay);
	called(w);
	assert_true(w->call);
}

/* ... or by the index. */
static void test_driver_event(void **state)
{
	struct world *w = *state;

	for (u16 i = 0; i < 4; i++)
		add(w, i, 1);
	vring_used_event(&w->vq.vring) = 2;
	use(w, 0, 1);
	use(w, 1, 1);
	called(w);
	assert_false(w->call);
	assert_int_equal(w->vq.vring.used->idx, 2);
	use(w, 2, 1);
	called(w);
	assert_true(w->call);
	use(w, 3, 1);
	called(w);
	assert_false(w->call);
}

/* Further than it was given: nothing comes back, and nobody is to come again for it. */
static void test_counts_too_far(void **state)
{
	struct world *w = *state;

	w->device.used->idx = 40000;
	assert_false(called(w));
	assert_true(w->vq.broken);
	w->vq.broken = false;
	add(w, 0, 1);
	add(w, 1, 1);
	assert_false(called(w));
	assert_true(w->vq.broken);
	assert_int_equal(w->vq.vring.used->idx, 0);
	check_out(w, (u16[]){ 0, 1 }, 2);
}

static void test_wraps(void **state)
{
	struct world *w = *state;
	unsigned int i;

	for (i = 0; i < 70000; i++) {
		add(w, i % 14, 2);
		assert_int_equal(w->device.avail->ring[i % NUM], i % 14);
		assert_int_equal(w->device.avail->idx, (u16)(i + 1));
		use(w, i % 14, i);
		assert_false(called(w));
		check_used(w, i % 14, i);
	}
}

/* What the device has, in the order in which it was given, whatever comes back first. */
static void test_outstanding(void **state)
{
	struct world *w = *state;

	check_out(w, NULL, 0);
	add(w, 3, 2);
	add(w, 0, 1);
	add(w, 5, 3);
	check_out(w, (u16[]){ 3, 0, 5 }, 3);
	use(w, 0, 1);
	check_out(w, (u16[]){ 3, 0, 5 }, 3);
	called(w);
	check_out(w, (u16[]){ 3, 5 }, 2);
	add(w, 0, 1);
	check_out(w, (u16[]){ 3, 5, 0 }, 3);
	vlb_relay_cut(w->relay);
	check_out(w, NULL, 0);
}

/* What the device does not have is not the driver's to see, and no more comes of that queue. */
static void check_refused(struct world *w, u32 id, u16 more)
{
	const u16 used = w->vq.vring.used->idx;
	const u32 anomalies = vlb_relay_anomalies(w->relay);

	use(w, id, 1);
	w->device.used->idx += more;
	called(w);
	assert_true(w->vq.broken);
	assert_int_equal(w->vq.vring.used->idx, used);
	assert_int_equal(vlb_relay_anomalies(w->relay), anomalies + 1);
	called(w);
	assert_int_equal(vlb_relay_anomalies(w->relay), anomalies + 1);
	w->vq.broken = false;
	w->device.used->idx -= 1 + more;
}

static void test_nonsense(void **state)
{
	struct world *w = *state;

	add(w, 3, 2);
	add(w, 0, 1);
	check_refused(w, NUM, 0);
	check_refused(w, 0xffffffff, 0);
	check_refused(w, 4, 0); /* of the same buffer, and not its head */
	check_refused(w, 5, 0);
	check_refused(w, 3, 2); /* more than it was given */
	use(w, 3, 1);
	called(w);
	check_used(w, 3, 1);
	check_refused(w, 3, 0); /* a second time */
	check_out(w, (u16[]){ 0 }, 1);
}

/* At the end what is out, and what was added since, is the kernel's to give back; once. */
static void test_take_back(void **state)
{
	struct vlb_outstanding list[NUM];
	struct world *w = *state;

	add(w, 3, 2);
	add(w, 0, 1);
	use(w, 3, 1);
	called(w);
	vlb_relay_cut(w->relay);
	add(w, 5, 3);
	assert_int_equal(vlb_relay_take_back(w->relay, &w->vq, list), 2);
	assert_int_equal(list[0].head, 0);
	assert_int_equal(list[1].head, 5);
	assert_int_equal(vlb_relay_seen(w->relay), 3);
	assert_int_equal(vlb_relay_take_back(w->relay, &w->vq, list), 0);
	add(w, 3, 2);
	assert_int_equal(vlb_relay_take_back(w->relay, &w->vq, list), 1);
	assert_int_equal(list[0].head, 3);
}

/* One element for a batch; what it skips in the ring is of no meaning (virtio 2.7.9). */
static void test_in_order(void **state)
{
	struct world *w = *state;
	const u16 heads[] = { 4, 2, 0, 6, 1 };

	memset(w->device.used->ring, 0xee, NUM * sizeof(w->device.used->ring[0]));
	for (unsigned int i = 0; i < 5; i++)
		add(w, heads[i], 1);
	use(w, 0, 70); /* 4 and 2 as well */
	w->device.used->idx += 2;
	called(w);
	check_used(w, 0, 70);
	assert_int_equal(w->vq.vring.used->idx, 3);
	check_out(w, &heads[3], 2);
	w->taken = 3;
	use(w, 6, 71);
	use(w, 1, 72);
	called(w);
	check_used(w, 6, 71);
	check_used(w, 1, 72);
	check_out(w, NULL, 0);
}

/* Of what is none of its batch the virtio core would wait for the end. */
static void test_out_of_order(void **state)
{
	const u32 forged[] = { 3, NUM - 1, 5, 0xffffffff };
	struct world *w = *state;

	for (unsigned int i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		add(w, 1, 1);
		add(w, 2, 1);
		add(w, 3, 1);
		use(w, forged[i], 7); /* the first two; 3 is none of them */
		w->device.used->idx++;
		called(w);
		check_used(w, 2, 7);
		check_out(w, (u16[]){ 3 }, 1);
		use(w, forged[i], 8);
		called(w);
		w->taken++;
		check_used(w, 3, 8);
		check_out(w, NULL, 0);
	}
}

/* A driver that takes back what the device has, and adds something else: nobody knows which. */
static void test_taken_back(void **state)
{
	struct world *w = *state;

	add(w, 0, 1);
	w->vq.vring.avail->idx -= 2;
	assert_false(add(w, 1, 1));
	assert_true(w->vq.broken);
	assert_int_equal(w->queue.work.queued, 1);
	assert_int_equal(w->device.avail->idx, 1);
}

/* A ring that is set up anew has none of the last one's. */
static void test_set_up_again(void **state)
{
	struct world *w = *state;

	add(w, 3, 2);
	vlb_relay_stop(w->relay);
	check_out(w, NULL, 0);
	memset(w->vq.vring.desc, 0, vring_size(NUM, 64));
	w->vq.vring.num = NUM / 2;
	assert_int_equal(vlb_relay_start(w->relay, &w->vq), 0);
	check_out(w, NULL, 0);
	w->vq.vring.num = NUM;
}

/* At the end of the device the driver's ring is somebody else's to write. */
static void test_cut(void **state)
{
	struct world *w = *state;

	add(w, 0, 1);
	vlb_relay_cut(w->relay);
	use(w, 0, 1);
	assert_false(called(w));
	assert_int_equal(w->vq.vring.used->idx, 0);
	/* who stands in for the device hears of what is added */
	assert_true(add(w, 1, 1));
	assert_int_equal(w->device.avail->idx, 1);
}

static void test_wanted(void **state)
{
	(void)state;
	assert_true(vlb_relay_wanted(0));
	assert_false(vlb_relay_wanted(1ULL << VIRTIO_F_RING_PACKED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_sight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flags, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_events, set_up_events, tear_down),
		cmocka_unit_test_setup_teardown(test_driver_flag, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_driver_event, set_up_events, tear_down),
		cmocka_unit_test_setup_teardown(test_counts_too_far, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wraps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_outstanding, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_take_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_order, set_up_in_order, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_order, set_up_in_order, tear_down),
		cmocka_unit_test_setup_teardown(test_taken_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_set_up_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut, set_up, tear_down),
		cmocka_unit_test(test_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
