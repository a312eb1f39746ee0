// SPDX-License-Identifier: BSD-3-Clause
/*
 * The in-flight record, at each instruction: a device process is gone through step by step with
 * ptrace(). Whenever the memory that it shares has changed, that is what a kill at this moment
 * would leave; the next one has to find each request answered, to be taken up again, or not taken
 * yet: exactly one of them.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "backends/common/virtqueue.h"
#include "check.h"
#include "driver.h"

#define MEMORY (1U << 20)
#define RING_BYTES 256 /* at the start of the memory: the ring, whichever it is */
#define AREA_BYTES 320
#define REQUESTS 16
#define MOST_STEPS 3000000
#define MOST_STATES 400

/* A split ring has 8 descriptors, a packed one 7, so that it is no power of two. */
static bool packed;

static struct drv_mem dmem;
static struct drv_ring ring;
static struct mem_table mem;
static struct inflight_area area;
static uint8_t *data;
static int serial_of_head[8];
static int next_serial;

/* Memory at one moment */
struct moment {
	uint8_t ring[RING_BYTES];
	uint8_t area[AREA_BYTES];
};
static struct moment moments[MOST_STATES];

static void keep(struct moment *m)
{
	memcpy(m->ring, dmem.base, sizeof(m->ring));
	memcpy(m->area, area.base, sizeof(m->area));
}

static void put_back(const struct moment *m)
{
	memcpy(dmem.base, m->ring, sizeof(m->ring));
	memcpy(area.base, m->area, sizeof(m->area));
}

static bool is_now(const struct moment *m)
{
	return !memcmp(m->ring, dmem.base, sizeof(m->ring)) &&
	       !memcmp(m->area, area.base, sizeof(m->area));
}

static int start(struct virtqueue *vq)
{
	struct vq_setup s = {
		.num = ring.num,
		.features = drv_features(&ring),
		.mem = &mem,
		.desc_uva = drv_uva(&dmem, ring.desc),
		.avail_uva = drv_uva(&dmem, ring.avail),
		.used_uva = drv_uva(&dmem, ring.used),
		.base = drv_base_at(&ring, 0),
		.call_fd = -1,
		.err_fd = -1,
		.inflight = &area,
	};

	return vq_start(vq, &s);
}

static void add(unsigned int n)
{
	struct drv_buf bufs[8];
	unsigned int i;
	int head;

	for (i = 0; i < n; i++)
		bufs[i] = (struct drv_buf){ data, i ? 8 : 100 + (uint32_t)next_serial, false };
	head = drv_add(&ring, bufs, n, false);
	assert_true(head >= 0);
	serial_of_head[head] = next_serial++;
}

/* Everything new, with the ring @offset descriptors from its start */
static void begin(unsigned int offset)
{
	struct vhost_user_memory_region region = { DRV_GPA, MEMORY, DRV_UVA, 0 };
	struct vhost_user_inflight desc;
	unsigned int num = packed ? 7 : 8;
	struct virtqueue vq;
	uint16_t id;
	int fd;

	assert_int_equal(drv_mem_init(&dmem, MEMORY), 0);
	assert_int_equal(drv_ring_init_layout(&ring, &dmem, num, false, packed), 0);
	data = drv_alloc(&dmem, 4096, 64);
	mem_init(&mem);
	assert_int_equal(mem_add(&mem, &region, dmem.fd), 0);
	inflight_area_init(&area);
	fd = inflight_area_create(1, num, &desc);
	assert_int_equal(inflight_area_attach(&area, &desc, fd), 0);
	close(fd);
	assert_true(area.len <= AREA_BYTES);
	if (offset) {
		assert_int_equal(start(&vq), 0);
		while (offset--) {
			add(1);
			assert_int_equal(vq_pop(&vq, &id), 1);
			vq_push(&vq, id, 0);
			vq_flush(&vq);
			assert_true(drv_get(&ring, NULL) >= 0);
		}
		vq_stop(&vq);
	}
	next_serial = 0;
}

static void end(void)
{
	inflight_area_finish(&area);
	mem_finish(&mem);
	drv_ring_finish(&ring);
	drv_mem_finish(&dmem);
}

/* ---- what the device does ---- */

static uint16_t take(struct virtqueue *vq)
{
	uint16_t id;

	if (vq_pop(vq, &id) != 1)
		_exit(2);
	return id;
}

static void answers_out_of_order(struct virtqueue *vq)
{
	uint16_t a = take(vq), b = take(vq), c, d;

	vq_push(vq, b, 0);
	vq_flush(vq);
	c = take(vq);
	d = take(vq);
	vq_push(vq, d, 0);
	vq_push(vq, a, 0);
	vq_flush(vq);
	vq_push(vq, c, 0);
	vq_flush(vq);
}

static void gives_back(struct virtqueue *vq)
{
	uint16_t a = take(vq), b;

	vq_untake(vq, a);
	a = take(vq);
	b = take(vq);
	vq_push(vq, a, 0);
	vq_flush(vq);
	vq_untake(vq, b);
	b = take(vq);
	vq_push(vq, b, 0);
	take(vq);
	vq_flush(vq);
}

/* The whole ring is one request: the used index is the same before and after. */
static void answers_one(struct virtqueue *vq)
{
	vq_push(vq, take(vq), 0);
	vq_flush(vq);
}

static void starts(struct virtqueue *vq)
{
	(void)vq;
}

struct script {
	const char *name;
	void (*run)(struct virtqueue *vq);
	unsigned int lengths[4]; /* of the requests */
	bool with_start; /* the start of the device is looked at as well */
};

static const struct script scripts[] = {
	{ "answers out of order", answers_out_of_order, { 2, 1, 3, 1 }, false },
	{ "gives back", gives_back, { 1, 3, 2 }, false },
	{ "a request as long as the ring", answers_one, { 7 }, false },
	{ "begins", answers_one, { 2, 3 }, true },
};

/* ---- step by step ---- */

static void device(const struct script *script)
{
	struct virtqueue vq;

	if (!script->with_start && start(&vq))
		_exit(3);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	raise(SIGSTOP);
	if (script->with_start && start(&vq))
		_exit(4);
	script->run(&vq);
	raise(SIGSTOP);
	_exit(5);
}

/* Return: number of moments, 0: it cannot be traced here. */
static unsigned int step_through(const struct script *script)
{
	unsigned int n = 0;
	pid_t pid = fork();
	int status, step;

	if (pid == 0)
		device(script);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return 0;
	assert_true(WIFSTOPPED(status));
	keep(&moments[n++]);
	for (step = 0; step < MOST_STEPS; step++) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			fail_msg("%s: the device ended: %x", script->name, (unsigned int)status);
		if (WSTOPSIG(status) == SIGSTOP)
			break;
		if (is_now(&moments[n - 1]))
			continue;
		assert_true(n < MOST_STATES);
		keep(&moments[n++]);
	}
	assert_true(step < MOST_STEPS);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return n;
}

/* ---- the next one ---- */

static void get_answers(unsigned int *seen)
{
	int head;

	while ((head = drv_get(&ring, NULL)) != -1) {
		assert_true(head >= 0);
		seen[serial_of_head[head]]++;
	}
}

/* @go_on: the driver makes use of what was given back before the next device comes */
static void check_moment(const struct script *script, unsigned int at, bool go_on)
{
	unsigned int seen[REQUESTS] = { 0 }, i, n = 0;
	int last = -1, serial;
	struct virtqueue vq;
	uint16_t held[8];

	put_back(&moments[at]);
	if (go_on) {
		get_answers(seen);
		while (ring.nfree)
			add(1);
	}
	if (start(&vq))
		fail_msg("%s: at moment %u it does not start", script->name, at);
	while (vq_pop(&vq, &held[n]) > 0) {
		struct iovec iov[8];
		struct vq_buffers bufs = { .iov = iov, .max = 8 };

		assert_int_equal(vq_chain(&vq, held[n], &bufs), 0);
		serial = (int)iov[0].iov_len - 100;
		if (serial <= last)
			fail_msg("%s: at moment %u: request %d comes behind %d", script->name, at,
				 serial, last);
		last = serial;
		n++;
		assert_true(n <= ring.num);
	}
	assert_false(vq.broken);
	while (n) {
		unsigned int which = n > 1 ? n - 2 : 0;

		vq_push(&vq, held[which], 0);
		held[which] = held[--n];
		if (n % 2)
			vq_flush(&vq);
	}
	vq_stop(&vq);
	get_answers(seen);
	for (i = 0; i < (unsigned int)next_serial; i++)
		if (seen[i] != 1)
			fail_msg("%s: at moment %u: request %u is answered %u times", script->name,
				 at, i, seen[i]);
	assert_int_equal(ring.nfree, ring.num);
}

static unsigned int check_moments(const struct script *script, unsigned int n)
{
	const struct drv_ring before = ring;
	int serial = next_serial, of_head[8];
	unsigned int i;

	memcpy(of_head, serial_of_head, sizeof(of_head));
	for (i = 0; i < 2 * n; i++) {
		check_moment(script, i / 2, i % 2);
		ring = before;
		next_serial = serial;
		memcpy(serial_of_head, of_head, sizeof(of_head));
	}
	return n;
}

static void prepare(const struct script *script)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(script->lengths) && script->lengths[i]; i++)
		add(script->lengths[i]);
}

/* Each script, from places all over the ring, in both laps. A step takes its time. */
static void test_scripts(void **state)
{
	unsigned int s, offset, sum = 0;

	(void)state;
	for (s = 0; s < ARRAY_SIZE(scripts); s++)
		for (offset = 0; offset < 14; offset += 5) {
			unsigned int n;

			if (scripts[s].with_start && offset % 10)
				continue;
			begin(offset);
			prepare(&scripts[s]);
			n = step_through(&scripts[s]);
			if (!n) {
				end();
				skip();
			}
			assert_true(n > 3);
			sum += check_moments(&scripts[s], n);
			end();
		}
	print_message("%s: %u moments\n", packed ? "packed" : "split", sum);
}

/* The next one dies as well, while it settles what the first one left. */
static void test_dies_again(void **state)
{
	static const struct script again = { "starts", starts, { 0 }, true };
	static struct moment first[MOST_STATES];
	unsigned int n, i, sum = 0;

	(void)state;
	begin(packed ? 4 : 6); /* so that it goes over the end of the ring */
	prepare(&scripts[0]);
	n = step_through(&scripts[0]);
	if (!n) {
		end();
		skip();
	}
	memcpy(first, moments, n * sizeof(first[0]));
	for (i = 0; i < n; i += 4) {
		put_back(&first[i]);
		sum += check_moments(&again, step_through(&again));
	}
	print_message("%s: %u moments behind %u\n", packed ? "packed" : "split", sum, n);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_dies_again),
	};
	int failed;

	failed = cmocka_run_group_tests_name("split", tests, NULL, NULL);
	packed = true;
	return failed + cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
