// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-blk from outside: load, stopping, killing, coming back. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blk-tester.h"
#include "common/unix-socket.h"

/* Many in flight on several rings, random sizes and places, checked against a copy. */
#define SLOTS 32
#define SLOT_SECTORS 128

static void test_many(void **state)
{
	const char *const extra[] = { "--queues", "4", NULL };
	unsigned int todo = 20000, seed = 1, ring, i;
	struct request reqs[4][SLOTS];
	int head_slot[4][128];
	struct fe fe;

	(void)state;
	bt_start_with(&fe, extra, ALL_FEATURES, 4);
	for (ring = 0; ring < 4; ring++)
		for (i = 0; i < SLOTS; i++)
			bt_make_request(&fe, &reqs[ring][i], 4096);
	/* each slot writes its own place, and reads it back the next time */
	for (ring = 0; ring < 4; ring++) {
		for (i = 0; i < SLOTS; i++) {
			uint64_t sector = (ring * SLOTS + i) * SLOT_SECTORS;
			int head;

			bt_fill(reqs[ring][i].data, 4096, ring * SLOTS + i);
			head = bt_submit_cut(&fe, ring, &reqs[ring][i], VIRTIO_BLK_T_OUT, sector,
					     4096, 4096);
			assert_true(head >= 0);
			head_slot[ring][head] = (int)i;
		}
		drv_kick(&fe.rings[ring]);
	}
	for (i = 0; i < todo; i++) {
		struct request *req;
		unsigned int slot;
		uint8_t want[4096];
		int head;

		ring = i % 4;
		head = drv_wait(&fe.rings[ring], NULL, FE_TIMEOUT_MS);
		assert_true(head >= 0);
		slot = (unsigned int)head_slot[ring][head];
		req = &reqs[ring][slot];
		assert_int_equal(*req->status, VIRTIO_BLK_S_OK);
		bt_fill(want, sizeof(want), ring * SLOTS + slot);
		assert_memory_equal(req->data, want, sizeof(want));
		seed = seed * 1103515245 + 12345;
		if (req->header->type == VIRTIO_BLK_T_OUT)
			memset(req->data, 0, 4096);
		head = bt_submit_cut(
			&fe, ring, req,
			req->header->type == VIRTIO_BLK_T_OUT ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
			(ring * SLOTS + slot) * SLOT_SECTORS, 4096, (seed >> 16) % 4000 + 96);
		assert_true(head >= 0);
		head_slot[ring][head] = (int)slot;
		drv_kick(&fe.rings[ring]);
	}
	bt_finish(&fe);
}

/* Stopping returns the base and leaves nothing in flight; the ring goes on where it was. */
static void test_stop_and_go(void **state)
{
	struct request reqs[16];
	unsigned int round, i;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	for (i = 0; i < ARRAY_SIZE(reqs); i++)
		bt_make_request(&fe, &reqs[i], 65536);
	for (round = 0; round < 50; round++) {
		uint32_t base;

		for (i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_true(bt_submit(&fe, &reqs[i],
					      i & 1 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i * 128,
					      65536) >= 0);
		drv_kick(&fe.rings[0]);
		assert_int_equal(fe_get_base(&fe, 0, &base), 0);
		/* what was taken has been answered */
		assert_int_equal(drv_base(&fe.rings[0]), base);
		if (round % 2) {
			assert_int_equal(fe_set_memory(&fe), 0);
			assert_int_equal(fe_set_u64(&fe, VHOST_USER_SET_FEATURES, fe.acked), 0);
		}
		assert_int_equal(fe_start_ring(&fe, 0, base), 0);
		for (i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_true(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
		assert_int_equal(drv_get(&fe.rings[0], NULL), -1);
		for (i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_int_equal(*reqs[i].status, VIRTIO_BLK_S_OK);
	}
	bt_finish(&fe);
}

struct feeder {
	struct fe fe;
	struct request req;
	unsigned int open; /* requests that the device owes an answer */
	bool over;
};

/* A driver that has the next request there before the device is done with the last one. */
static void *feed(void *data)
{
	struct feeder *f = data;
	struct drv_ring *ring = &f->fe.rings[0];

	while (!__atomic_load_n(&f->over, __ATOMIC_RELAXED)) {
		while (drv_get(ring, NULL) >= 0)
			f->open--;
		while (bt_submit_cut(&f->fe, 0, &f->req, VIRTIO_BLK_T_IN, 0, 32 << 20, 1 << 20) >=
		       0)
			f->open++;
		drv_kick(ring);
	}
	return NULL;
}

/* A stop ends although the ring is never empty, also where I/O is done in the queue's thread. */
static void test_stop_under_load(void **state)
{
	static struct feeder f;
	pthread_t thread;
	uint64_t ns;
	uint32_t base = 0;
	int ret;

	(void)state;
	snprintf(bt_image, sizeof(bt_image), "null:1G");
	assert_int_equal(fe_init(&f.fe, MEMORY, 1, 64, true), 0);
	bt_spawn(&f.fe, NULL);
	assert_int_equal(fe_handshake(&f.fe, ALL_FEATURES), 0);
	bt_make_request(&f.fe, &f.req, 32 << 20);
	assert_int_equal(pthread_create(&thread, NULL, feed, &f), 0);
	poll(NULL, 0, 300);
	ns = now_ns();
	ret = fe_get_base(&f.fe, 0, &base);
	print_message("stopped after %lu ms: %d\n", (unsigned long)((now_ns() - ns) / 1000000),
		      ret);
	__atomic_store_n(&f.over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (ret)
		fe_kill(&f.fe, SIGKILL);
	assert_int_equal(ret, 0);
	while (drv_get(&f.fe.rings[0], NULL) >= 0)
		f.open--;
	assert_int_equal(base, drv_base(&f.fe.rings[0]));
	/* the rest has its turn when the queue goes on */
	assert_int_equal(fe_start_ring(&f.fe, 0, base), 0);
	for (; f.open; f.open--)
		assert_true(drv_wait(&f.fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	bt_finish(&f.fe);
}

/* The call goes somewhere else while requests are in flight: none of them is waited for in vain. */
static void test_other_call_under_load(void **state)
{
	struct request reqs[16];
	unsigned int round, i;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	for (i = 0; i < ARRAY_SIZE(reqs); i++)
		bt_make_request(&fe, &reqs[i], 65536);
	for (round = 0; round < 200; round++) {
		int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		assert_true(call >= 0);
		for (i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_true(bt_submit(&fe, &reqs[i], VIRTIO_BLK_T_IN, i * 128, 65536) >= 0);
		drv_kick(&fe.rings[0]);
		assert_int_equal(fe_set_vring_fd(&fe, VHOST_USER_SET_VRING_CALL, 0, call), 0);
		close(fe.rings[0].call_fd);
		fe.rings[0].call_fd = call;
		for (i = 0; i < ARRAY_SIZE(reqs); i++)
			assert_true(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	}
	bt_finish(&fe);
}

/*
 * Killed at random moments with requests in flight: the next instance answers each of them, once,
 * and no write is lost.
 */
#define KILLS 60

struct kill_test {
	struct fe fe;
	struct request reqs[SLOTS];
	bool open[128]; /* heads that the device owes an answer */
	int slot_of[128];
	unsigned int inflight;
	unsigned int answered;
};

static void submit_all(struct kill_test *t, unsigned int generation)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		int head;

		bt_fill(t->reqs[i].data, 8192, i + 100 * generation);
		head = bt_submit(&t->fe, &t->reqs[i], VIRTIO_BLK_T_OUT, i * 16, 8192);
		assert_true(head >= 0);
		assert_false(t->open[head]);
		t->open[head] = true;
		t->slot_of[head] = (int)i;
		t->inflight++;
		if (i % 8 == 7)
			drv_kick(&t->fe.rings[0]);
	}
}

/* Takes up to @n answers: each must be to a request that is open, and a good one. */
static void take(struct kill_test *t, unsigned int n)
{
	while (n-- && t->inflight) {
		int head = drv_wait(&t->fe.rings[0], NULL, FE_TIMEOUT_MS);

		if (head < 0)
			fail_msg("%u requests are never answered", t->inflight);
		assert_true(t->open[head]);
		assert_int_equal(*t->reqs[t->slot_of[head]].status, VIRTIO_BLK_S_OK);
		t->open[head] = false;
		t->inflight--;
		t->answered++;
	}
}

static void check_image(const struct kill_test *t)
{
	uint8_t file[8192];
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		bt_image_read((uint64_t)i * 16 * SECTOR, file, sizeof(file));
		assert_memory_equal(file, t->reqs[i].data, sizeof(file));
	}
}

static void test_kill_and_replay(void **state)
{
	static struct kill_test t;
	unsigned int kills, i;
	uint64_t ns = 0;

	(void)state;
	memset(&t, 0, sizeof(t));
	bt_start(&t.fe, NULL);
	for (i = 0; i < SLOTS; i++)
		bt_make_request(&t.fe, &t.reqs[i], 8192);
	for (kills = 0; kills < KILLS; kills++) {
		uint64_t before;

		submit_all(&t, kills);
		take(&t, (unsigned int)random() % SLOTS); /* it comes some of the way */
		before = now_ns();
		assert_true(WIFSIGNALED(fe_kill(&t.fe, SIGKILL)));
		bt_spawn(&t.fe, NULL);
		assert_int_equal(fe_handshake(&t.fe, ALL_FEATURES), 0);
		take(&t, 1);
		ns += now_ns() - before;
		take(&t, SLOTS);
		assert_int_equal(drv_get(&t.fe.rings[0], NULL), -1);
		check_image(&t);
	}
	print_message("%u requests answered over %u kills; %.1f ms from kill to the first answer\n",
		      t.answered, KILLS, (double)ns / 1e6 / KILLS);
	assert_int_equal(t.answered, KILLS * SLOTS);
	bt_finish(&t.fe);
}

/*
 * An instance that died between an answer and its call: the next one calls, although it has nothing
 * to answer itself.
 */
static void test_call_after_death(void **state)
{
	struct request req;
	uint64_t count;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	fe_kill(&fe, SIGKILL);
	while (read(fe.rings[0].call_fd, &count, sizeof(count)) > 0)
		;
	bt_spawn(&fe, NULL);
	assert_int_equal(fe_handshake(&fe, ALL_FEATURES), 0);
	assert_true(poll_fd(fe.rings[0].call_fd, POLLIN, deadline_after_ms(FE_TIMEOUT_MS)) > 0);
	assert_int_equal(drv_get(&fe.rings[0], NULL), -1);
	bt_finish(&fe);
}

/* A kick descriptor that is none: its queue breaks, and nothing spins. */
static void test_no_eventfd(void **state)
{
	struct fe fe;
	int good;

	(void)state;
	bt_make_image(IMAGE_SIZE);
	assert_int_equal(fe_init(&fe, MEMORY, 1, 128, true), 0);
	bt_spawn(&fe, NULL);
	good = fe.rings[0].kick_fd;
	fe.rings[0].kick_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(fe_handshake(&fe, ALL_FEATURES), 0);
	close(fe.rings[0].kick_fd);
	fe.rings[0].kick_fd = good;
	bt_finish(&fe);
}

/* Rubbish in the ring: the queue stops, the program lives, and a new start works. */
static void test_broken_ring(void **state)
{
	struct request req;
	struct fe fe;
	uint32_t base;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &req, 4096);
	drv_spoil(&fe.rings[0]);
	uint64_t one = 1;
	assert_int_equal(write(fe.rings[0].kick_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(drv_wait(&fe.rings[0], NULL, 200), -1);
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	drv_mend(&fe.rings[0]);
	assert_int_equal(fe_start_ring(&fe, 0, drv_base_at(&fe.rings[0], 0)), 0);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

/* A queue cannot start for lack of descriptors: the front-end hears of it, and tries again. */
static void test_start_fails(void **state)
{
	struct rlimit limit, none;
	struct request req;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(prlimit(fe.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	assert_int_equal(prlimit(fe.pid, RLIMIT_NOFILE, &none, NULL), 0);
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_ENABLE, 0, 1), 1);
	assert_int_equal(prlimit(fe.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

/* Sizes and bases that only a packed ring can have, and those that none can have */
static void test_ring_setup(void **state)
{
	struct request req;
	uint32_t base;
	int packed;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	packed = fe.rings[0].is_packed;
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	assert_int_equal(base, drv_base_at(&fe.rings[0], 1));
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_NUM, 0, 0), 1);
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_NUM, 0, 65536), 1);
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_NUM, 0, 100), !packed);
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_BASE, 0, 0x80008000), !packed);
	assert_int_equal(fe_start_ring(&fe, 0, base), 0);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

/*
 * A queue that broke: a reset makes it as new. Nothing of before is taken up again, although the
 * in-flight record is the same memory.
 */
static void test_reset(void **state)
{
	struct drv_ring *ring;
	struct vu_message msg;
	struct drv_buf buf;
	struct request req;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	ring = &fe.rings[0];
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	buf = (struct drv_buf){ req.data, 64, true }; /* no header */
	assert_true(drv_add(ring, &buf, 1, false) >= 0);
	drv_kick(ring);
	assert_int_equal(drv_wait(ring, NULL, 200), -1);

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_RESET_DEVICE);
	assert_int_equal(
		vu_transact(fe.sock, &msg, VU_REQUEST, true, deadline_after_ms(FE_TIMEOUT_MS)), 0);
	drv_ring_finish(ring);
	assert_int_equal(drv_ring_init(ring, &fe.mem, 128, true), 0);
	assert_int_equal(fe_set_u64(&fe, VHOST_USER_SET_FEATURES, fe.acked), 0);
	assert_int_equal(fe_start_ring(&fe, 0, FE_NO_BASE), 0); /* as new, it begins at its start */
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, 0, 4096), VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

/* The driver resets a queue in which nothing is in flight: it begins where it is said to begin. */
static void test_queue_reset(void **state)
{
	struct drv_ring *ring;
	struct request req;
	unsigned int i;
	uint32_t base;
	struct fe fe;
	int head;

	(void)state;
	bt_start(&fe, NULL);
	ring = &fe.rings[0];
	bt_make_request(&fe, &req, 4096);
	for (i = 0; i < 3; i++)
		assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	/* as front-ends do it: disabled, and then asked where it was */
	assert_int_equal(fe_set_state(&fe, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	assert_int_equal(base, drv_base(ring));
	drv_ring_finish(ring);
	assert_int_equal(drv_ring_init(ring, &fe.mem, 128, true), 0);
	assert_int_equal(fe_start_ring(&fe, 0, drv_base_at(ring, 0)), 0);
	head = bt_submit(&fe, &req, VIRTIO_BLK_T_OUT, 0, 4096);
	assert_true(head >= 0);
	drv_kick(ring);
	if (drv_wait(ring, NULL, FE_TIMEOUT_MS) != head)
		fail_msg("the first request behind the reset: expected an answer, saw none");
	assert_int_equal(*req.status, VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

/* Messages of features that no back-end of this library offers, in their proper form */
static const struct {
	uint32_t request;
	size_t size;
	bool fd;
} foreign[] = {
	{ VHOST_USER_SET_LOG_BASE, sizeof(struct vhost_user_log), true },
	{ VHOST_USER_SET_LOG_FD, 0, true },
	{ VHOST_USER_SEND_RARP, 8, false },
	{ VHOST_USER_NET_SET_MTU, 8, false },
	{ VHOST_USER_IOTLB_MSG, sizeof(struct vhost_user_iotlb), false },
	{ VHOST_USER_SET_VRING_ENDIAN, sizeof(struct vhost_user_vring_state), false },
	{ VHOST_USER_CREATE_CRYPTO_SESSION, 64, false },
	{ VHOST_USER_CLOSE_CRYPTO_SESSION, 8, false },
	{ VHOST_USER_POSTCOPY_ADVISE, 0, false },
	{ VHOST_USER_POSTCOPY_LISTEN, 0, false },
	{ VHOST_USER_POSTCOPY_END, 0, false },
	{ VHOST_USER_GPU_SET_SOCKET, 0, true },
	{ VHOST_USER_VRING_KICK, sizeof(struct vhost_user_vring_state), false },
	{ VHOST_USER_SET_STATUS, 8, false },
	{ VHOST_USER_GET_STATUS, 0, false },
	{ VHOST_USER_GET_SHARED_OBJECT, sizeof(struct vhost_user_shared), false },
	{ VHOST_USER_SET_DEVICE_STATE_FD, sizeof(struct vhost_user_transfer_state), true },
	{ VHOST_USER_CHECK_DEVICE_STATE, 0, false },
	{ VHOST_USER_GET_SHMEM_CONFIG, 0, false },
};

/* The back-end has had enough of this front-end. */
static void ended(struct fe *fe)
{
	assert_true(WIFEXITED(fe_wait(fe)));
	fe_finish(fe);
	unlink(bt_image);
}

/* Refused by an answer where one is to be had; else there is none, and the connection ends. */
static void test_refused(void **state)
{
	struct request req;
	struct fe fe;
	size_t i;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &req, 4096);
	for (i = 0; i < ARRAY_SIZE(foreign); i++) {
		struct vu_message msg;
		int ret;

		vu_message_init(&msg, VU_REQUEST, foreign[i].request);
		memset(&msg.payload, 0, foreign[i].size);
		vu_message_set_size(&msg, foreign[i].size);
		if (foreign[i].fd)
			vu_message_add_fd(&msg, fe.mem.fd);
		ret = vu_transact(fe.sock, &msg, VU_REQUEST, true,
				  deadline_after_ms(FE_TIMEOUT_MS));
		if (!vu_request_has_reply(VU_REQUEST, foreign[i].request)) {
			if (ret != 1)
				fail_msg("request %u: expected a refusal, saw %d",
					 foreign[i].request, ret);
			assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096),
					 VIRTIO_BLK_S_OK);
			continue;
		}
		if (ret != -ECONNRESET)
			fail_msg("request %u: expected the end of the connection, saw %d",
				 foreign[i].request, ret);
		ended(&fe);
		bt_start(&fe, NULL);
		bt_make_request(&fe, &req, 4096);
	}
	bt_finish(&fe);
}

static pid_t launch(const char *path, const char *wait_s)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl(bt_program, bt_program, "--image", bt_image, "--socket-path", path,
		      "--lock-wait", wait_s, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int connect_soon(const char *path)
{
	deadline_t deadline = deadline_after_ms(FE_TIMEOUT_MS);
	int fd;

	while ((fd = unix_connect(path, deadline)) < 0 && !deadline_passed(deadline))
		poll(NULL, 0, 5);
	return fd;
}

static int end_of(pid_t pid, int sig)
{
	struct fe fe = { .pid = pid };

	return fe_kill(&fe, sig);
}

/*
 * One front-end after the other on one path; a stale socket is replaced; a live one and its image
 * are not.
 */
static void test_listening(void **state)
{
	const char *path = "test-blk.sock";
	int status, round;
	struct fe fe;
	pid_t pid;

	(void)state;
	bt_make_image(IMAGE_SIZE);
	pid = launch(path, "30");
	for (round = 0; round < 3; round++) {
		struct request req;

		assert_int_equal(fe_init(&fe, MEMORY, 1, 128, true), 0);
		fe.sock = connect_soon(path);
		assert_true(fe.sock >= 0);
		assert_int_equal(fe_handshake(&fe, ALL_FEATURES), 0);
		bt_make_request(&fe, &req, 4096);
		assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, 0, 4096), VIRTIO_BLK_S_OK);
		fe_finish(&fe);
	}
	status = end_of(launch(path, "0"), 0); /* the path is taken */
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	status = end_of(launch("test-blk-other.sock", "0"), 0); /* the image is taken */
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_int_equal(access("test-blk-other.sock", F_OK), -1);
	status = end_of(pid, SIGKILL); /* leaves its socket behind */
	assert_true(WIFSIGNALED(status));
	pid = launch(path, "30");
	fe.sock = connect_soon(path);
	assert_true(fe.sock >= 0);
	close(fe.sock);
	status = end_of(pid, SIGTERM);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(access(path, F_OK), -1);
	unlink(bt_image);
}

/* What it writes to @fd, up to a line with @text; with NULL up to its end. Return: it came */
static bool said(int fd, const char *text, char *buf, size_t size)
{
	deadline_t deadline = deadline_after_ms(FE_TIMEOUT_MS);
	size_t have = 0;

	buf[0] = '\0';
	while (have < size - 1 && poll_fd(fd, POLLIN, deadline) > 0) {
		ssize_t n = read(fd, buf + have, size - 1 - have);

		if (n <= 0)
			return !text;
		have += (size_t)n;
		buf[have] = '\0';
		if (text && strstr(buf, text))
			return true;
	}
	return false;
}

/* It waits for the image, and is told to end: at once, with nothing said, and nothing left. */
static void test_ended_while_it_waits(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };
	struct fe fe;
	size_t i;

	(void)state;
	bt_start(&fe, NULL);
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		int status, ends[2], saved = dup(STDERR_FILENO);
		char buf[512];
		pid_t pid;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		dup2(ends[1], STDERR_FILENO);
		pid = launch("test-blk-other.sock", "20");
		dup2(saved, STDERR_FILENO);
		close(saved);
		close(ends[1]);
		assert_true(said(ends[0], "waiting for the last I/O", buf, sizeof(buf)));
		status = end_of(pid, signals[i]);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			fail_msg("signal %d: expected its end with status 0, saw %#x", signals[i],
				 (unsigned int)status);
		assert_true(said(ends[0], NULL, buf, sizeof(buf)));
		assert_string_equal(buf, "");
		assert_int_equal(access("test-blk-other.sock", F_OK), -1);
		close(ends[0]);
	}
	bt_finish(&fe);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_stop_and_go),
		cmocka_unit_test(test_stop_under_load),
		cmocka_unit_test(test_other_call_under_load),
		cmocka_unit_test(test_kill_and_replay),
		cmocka_unit_test(test_call_after_death),
		cmocka_unit_test(test_no_eventfd),
		cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_ring_setup),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_queue_reset),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_listening),
		cmocka_unit_test(test_ended_while_it_waits),
	};

	return bt_main(tests, argc, argv);
}
