// SPDX-License-Identifier: BSD-3-Clause
/*
 * The adapter between a mock of the kernel module and the hostile back-end: the handshake, whatever
 * goes wrong in it, requests, the loss of the back-end and its return.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter-rig.h"
#include "adapter/adapter.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/state-dir.h"
#include "common/unix-socket.h"
#include "common/util.h"
/* ---- a device that works ---- */

static void io_and_end(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	unsigned int i;

	for (i = 0; i < MOCK_NUM; i++)
		assert_true(mock_submit(k, true, i, (uint8_t)(i + 1)));
	assert_false(mock_submit(k, true, 0, 0));
	mock_kick(k);
	assert_true(mock_wait(k, -1, 5000));
	for (i = 0; i < MOCK_NUM; i++) {
		assert_true(mock_submit(k, false, i, 0));
		mock_kick(k);
		assert_true(mock_wait(k, (int)i + 1, 5000));
	}
	assert_int_equal(k->twice, 0);
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* Whatever was in it before: the addresses that the back-end gets are those of the pool. */
static void check_memory(struct rig *r)
{
	struct adapter *a = &r->adapter;
	struct memory_map map;

	memset(&map, 0x5a, sizeof(map));
	assert_int_equal(device_memory(&a->device, &a->pool, &a->window, &map), 0);
	assert_int_equal(map.count, 1);
	assert_true(map.user_offset == 0 && map.regions[0].base == a->pool.base);
}

static void check_created(const struct rig *r)
{
	const struct virtio_loopback_create *c = &r->kernel.created;
	const struct virtio_blk_config *config = (const void *)r->kernel.config;

	assert_int_equal(c->device_id, 2);
	assert_string_equal(c->name, "unit");
	assert_int_equal(c->num_queues, 1);
	assert_int_equal(c->config_size, 60);
	assert_int_equal(config->capacity, DISK_SIZE / MOCK_SECTOR);
	assert_int_equal(config->num_queues, 1);
	assert_true(c->features & BIT_ULL(VIRTIO_F_VERSION_1));
	assert_true(c->features & BIT_ULL(VIRTIO_BLK_F_FLUSH));
	/* the back-end's business, or the kernel's */
	assert_false(c->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES));
	assert_false(c->features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM));
	assert_true(c->message_timeout_ms > TIMEOUT_MS);
}

static void test_works(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_run(r, "", io_and_end), 0);
	assert_true(r->reached);
	check_created(r);
	check_memory(r);
	assert_true(r->kernel.is_stopped);
	assert_false(r->kernel.is_failed);
	rig_finish(r);
	assert_true(r->kernel.is_destroyed);
}

/* A back-end without REPLY_ACK, MQ and a channel of its own. */
static void test_plain_backend(void **state)
{
	struct rig *r = *state;

	r->backend.options.protocol_features = BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG);
	r->backend.forked = true;
	assert_int_equal(rig_run(r, "", io_and_end), 0);
	assert_true(r->reached);
	rig_finish(r);
}

static void test_out_of_order(void **state)
{
	struct rig *r = *state;

	r->backend.options.order = ORDER_RANDOM;
	r->backend.options.hold = 8;
	r->backend.options.suppress = true;
	assert_int_equal(rig_run(r, "", io_and_end), 0);
	assert_true(r->reached);
	rig_finish(r);
}

/* ---- a handshake that does not come to its end ---- */

static const char handshake[][24] = {
	"GET_FEATURES",
	"GET_PROTOCOL_FEATURES",
	"SET_PROTOCOL_FEATURES",
	"GET_QUEUE_NUM",
	"SET_OWNER",
	"SET_BACKEND_REQ_FD",
	"GET_CONFIG",
	"SET_FEATURES",
	"SET_MEM_TABLE",
	"SET_VRING_NUM",
	"SET_VRING_BASE",
	"SET_VRING_ADDR",
	"SET_VRING_CALL",
	"SET_VRING_KICK",
	"SET_VRING_ENABLE",
};

/* Fails within its deadlines, says why in one line, and leaves nothing. */
static void check_fails(struct rig *r, const char *script)
{
	uint64_t begin = now_ns();
	unsigned int ms;

	assert_int_equal(rig_run(r, script, io_and_end), 1);
	rig_finish(r);
	ms = (unsigned int)((now_ns() - begin) / 1000000);
	if (r->reached || !r->adapter.failure.text[0] || strchr(r->adapter.failure.text, '\n') ||
	    ms > 2 * TIMEOUT_MS)
		fail_msg("%s: reached %d, '%s' after %u ms", script, r->reached,
			 r->adapter.failure.text, ms);
	if (r->kernel.is_created)
		assert_true(r->kernel.is_destroyed);
	memset(&r->backend, 0, sizeof(r->backend));
}

static void test_each_step(void **state)
{
	static const char *const actions[] = { "close",	     "garbage 64",
					       "short 6",    "claim 0x7fffffff",
					       "size 4000",  "fds 8",
					       "request 43", "flags 1" };
	struct rig *r = *state;
	char script[512];
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(handshake); i++) {
		for (n = 0; n < ARRAY_SIZE(actions); n++) {
			/* SET_PROTOCOL_FEATURES has no answer that could be spoiled */
			if (!strcmp(handshake[i], "SET_PROTOCOL_FEATURES") && n > 1)
				continue;
			snprintf(script, sizeof(script), "%s: %s", handshake[i], actions[n]);
			check_fails(r, script);
		}
	}
}

static void test_silence(void **state)
{
	struct rig *r = *state;
	char script[512];
	size_t i;

	r->options.timeout_ms = SHORT_MS;
	for (i = 0; i < ARRAY_SIZE(handshake); i++) {
		if (!strcmp(handshake[i], "SET_PROTOCOL_FEATURES"))
			continue;
		snprintf(script, sizeof(script), "%s: ignore", handshake[i]);
		check_fails(r, script);
		assert_non_null(strstr(r->adapter.failure.text, handshake[i]));
		assert_non_null(strstr(r->adapter.failure.text, "in time"));
	}
}

static void test_refusals(void **state)
{
	static const char *const steps[] = { "SET_OWNER", "SET_FEATURES", "SET_MEM_TABLE",
					     "SET_VRING_NUM", "SET_VRING_ENABLE" };
	struct rig *r = *state;
	char script[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		snprintf(script, sizeof(script), "%s: fail", steps[i]);
		check_fails(r, script);
		assert_non_null(strstr(r->adapter.failure.text, steps[i]));
		assert_non_null(strstr(r->adapter.failure.text, "refused"));
	}
}

static void test_lies(void **state)
{
	struct rig *r = *state;

	check_fails(r, "GET_QUEUE_NUM: value 0");
	check_fails(r, "GET_FEATURES: value 0");
	check_fails(r, "GET_PROTOCOL_FEATURES: value 0"); /* no configuration space */
	check_fails(r,
		    "GET_PROTOCOL_FEATURES: value -1"); /* an in-flight record that is not there */
	check_fails(r, "SET_MEM_TABLE: channel-garbage 64");
	check_fails(r, "SET_OWNER: twice");
	/* a number that is too large is taken for what it means */
	assert_int_equal(rig_run(r, "GET_QUEUE_NUM: value -1", io_and_end), 0);
	rig_finish(r);
}

static void test_nobody_there(void **state)
{
	struct rig *r = *state;
	struct adapter *a = &r->adapter;
	int listener;
	char path[96];

	snprintf(path, sizeof(path), "%s/none.sock", r->dir);
	r->options.socket = path;
	adapter_init(a, &r->options);
	mock_init(&r->kernel, &a->device);
	assert_int_equal(adapter_open(a), 0);
	assert_int_equal(adapter_connect(a), -ENOENT);
	assert_non_null(strstr(a->failure.text, path));
	/* a listener that takes nobody */
	r->options.timeout_ms = SHORT_MS;
	failure_clear(&a->failure);
	listener = unix_listen(path);
	assert_true(listener >= 0);
	assert_int_equal(adapter_connect(a), -ETIMEDOUT);
	assert_non_null(strstr(a->failure.text, "GET_FEATURES"));
	close(listener);
	failure_clear(&a->failure);
	assert_int_equal(adapter_connect(a), -ECONNREFUSED);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	a->exit_status = 1;
	adapter_finish(a);
	mock_finish(&r->kernel);
}

static void test_name_taken(void **state)
{
	struct rig *r = *state;
	struct adapter second;
	struct mock_kernel kernel;

	adapter_init(&r->adapter, &r->options);
	mock_init(&r->kernel, &r->adapter.device);
	r->options.socket = "/nowhere";
	assert_int_equal(adapter_open(&r->adapter), 0);
	adapter_init(&second, &r->options);
	mock_init(&kernel, &second.device);
	assert_int_equal(adapter_open(&second), -EEXIST);
	assert_non_null(strstr(second.failure.text, "unit is taken"));
	second.exit_status = 1;
	adapter_finish(&second);
	mock_finish(&kernel);
	/* what the first one has is still there */
	assert_true(state_alive(r->dir, "unit"));
	adapter_finish(&r->adapter);
	mock_finish(&r->kernel);
}

/* ---- what the driver asks for ---- */

static void write_config(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	struct virtio_loopback_msg *msg;

	switch (r->step++) {
	case 0: /* past the end: refused, and nothing happens to the device */
		r->seq = mock_push(k, VIRTIO_LOOPBACK_MSG_SET_CONFIG, true);
		msg = &k->messages[k->num_messages - 1];
		msg->config.offset = 59;
		msg->config.length = 2;
		break;
	case 1:
		assert_int_equal(k->answers[r->seq], -EINVAL);
		r->backend.disk.size = DISK_SIZE / 2; /* what a new look at it brings */
		r->seq = mock_push(k, VIRTIO_LOOPBACK_MSG_SET_CONFIG, true);
		msg = &k->messages[k->num_messages - 1];
		msg->config.offset = 32;
		msg->config.length = 1;
		break;
	default:
		assert_int_equal(k->answers[r->seq], 0);
		/*
		 * the copy is up to date before the answer, and the driver is not told of its own
		 * write
		 */
		assert_int_equal(((struct virtio_blk_config *)k->config)->capacity,
				 DISK_SIZE / 2 / MOCK_SECTOR);
		assert_int_equal(k->config_notified, 0);
		r->reached = true;
		k->idle = NULL;
		adapter_end(&r->adapter);
	}
}

static void test_config_write(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_run(r, "", write_config), 0);
	assert_true(r->reached);
	r->backend.disk.size = DISK_SIZE;
	rig_finish(r);
}

/* ---- what the driver has written is kept ---- */

#define WCE offsetof(struct virtio_blk_config, wce)

static void push_write_through(struct rig *r)
{
	struct virtio_loopback_msg *msg;

	r->seq = mock_push(&r->kernel, VIRTIO_LOOPBACK_MSG_SET_CONFIG, true);
	msg = &r->kernel.messages[r->kernel.num_messages - 1];
	msg->config.offset = WCE;
	msg->config.length = 1;
	msg->config.data[0] = 0;
}

/* The driver relies on it, and sends no more flushes. */
static void lose_backend(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	switch (r->step) {
	case 0:
		push_write_through(r);
		r->step++;
		break;
	case 1:
		assert_int_equal(k->answers[r->seq], 0);
		assert_int_equal(k->config[WCE], 0);
		shutdown(r->adapter.fe.sock, SHUT_RDWR);
		r->step++;
		break;
	default:
		if (!r->adapter.recovery.count || r->adapter.recovery.waiting)
			return;
		if (k->config[WCE])
			fail_msg("the driver has set write-through, and its new back-end caches");
		r->reached = true;
		k->idle = NULL;
		adapter_end(&r->adapter);
	}
}

/* ... until it resets the device: then the next one looks how it is. */
static void reset_device(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	switch (r->step++) {
	case 0:
		push_write_through(r);
		break;
	case 1:
		assert_int_equal(k->answers[r->seq], 0);
		r->seq = mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
		break;
	default:
		assert_int_equal(k->answers[r->seq], 0);
		if (!k->config[WCE])
			fail_msg("the back-end caches after its reset, and the driver is told that "
				 "it writes through");
		r->reached = true;
		k->idle = NULL;
		adapter_end(&r->adapter);
	}
}

static void run_cache_mode(struct rig *r, void (*idle)(struct mock_kernel *k, void *context))
{
	r->backend.options.features =
		BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES) |
		BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE);
	r->backend.options.protocol_features = BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
					       BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG) |
					       BIT_ULL(VHOST_USER_PROTOCOL_F_RESET_DEVICE);
	r->options.reconnect_ms = RECONNECT_FOREVER;
	assert_int_equal(rig_run(r, "", idle), 0);
	assert_true(r->reached);
	rig_finish(r);
}

static void test_cache_mode_outlives_backend(void **state)
{
	run_cache_mode(*state, lose_backend);
}

static void test_cache_mode_after_reset(void **state)
{
	run_cache_mode(*state, reset_device);
}

static void resize(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	switch (r->step) {
	case 0:
		r->backend.disk.size = DISK_SIZE / 4;
		/* the back-end announces the change behind its answer to this */
		mock_push(k, VIRTIO_LOOPBACK_MSG_QUEUE_RESET, true);
		mock_push(k, VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE, true);
		r->step++;
		break;
	default:
		if (!k->config_notified)
			return; /* it is on its way */
		assert_int_equal(((struct virtio_blk_config *)k->config)->capacity,
				 DISK_SIZE / 4 / MOCK_SECTOR);
		r->reached = true;
		k->idle = NULL;
		adapter_end(&r->adapter);
	}
}

static void test_config_change(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_run(r, "GET_VRING_BASE#1: config-change 3", resize), 0);
	assert_true(r->reached);
	r->backend.disk.size = DISK_SIZE;
	rig_finish(r);
}

static void reset_unanswered(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	r->options.timeout_ms = SHORT_MS;
	if (!r->step++)
		r->seq = mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
}

/* A back-end that does not let go of its rings: the driver must not believe that it did. */
static void test_reset_unanswered(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_run(r, "GET_VRING_BASE: ignore", reset_unanswered), 1);
	assert_int_equal(r->kernel.answers[r->seq], -EIO);
	rig_finish(r);
	assert_true(r->kernel.is_failed);
	assert_true(r->kernel.is_destroyed);
	state_clean(r->dir, "unit", false);
}

static void queue_broken(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (!r->step++)
		mock_push(k, VIRTIO_LOOPBACK_MSG_BROKEN, false);
}

static void test_broken(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_run(r, "", queue_broken), 1);
	assert_non_null(strstr(r->adapter.failure.text, "virtqueue 0"));
	rig_finish(r);
	assert_true(r->kernel.is_failed);
}

/* ---- the back-end goes away ---- */

static void submit_all(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	unsigned int i;

	if (r->step++)
		return;
	for (i = 0; i < MOCK_NUM; i++)
		mock_submit(k, true, i, (uint8_t)i);
	mock_kick(k);
}

static void test_lost_off(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_run(r, "complete#3: close", submit_all), 1);
	assert_non_null(strstr(r->adapter.failure.text, "closed the connection"));
	rig_finish(r);
	assert_true(r->kernel.is_failed);
	assert_true(r->kernel.is_destroyed);
}

/* Many requests, out of order, and a back-end that ends again and again. */
static void storm(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	uint64_t count;

	assert_true(mock_take(k, -1) >= 0);
	if (read(k->call_fd, &count, sizeof(count)) < 0)
		count = 0;
	while (r->step < 400 && mock_submit(k, r->step % 3 != 0, r->step % 64, (uint8_t)r->step)) {
		r->step++;
		if (!r->adapter.recovery.waiting)
			mock_kick(k);
	}
	if (r->step < 400 || k->num_order)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

static void test_replay(void **state)
{
	struct rig *r = *state;

	r->options.reconnect_ms = RECONNECT_FOREVER;
	r->backend.options.order = ORDER_RANDOM;
	r->backend.options.hold = 6;
	assert_int_equal(rig_run(r,
				 "complete#50: close; complete#97: close; complete#201: close;"
				 "SET_VRING_ADDR#3: close; GET_FEATURES#5: close",
				 storm),
			 0);
	assert_true(r->reached);
	/* each taken back once, whoever completed it */
	assert_int_equal(r->kernel.twice, 0);
	assert_true(r->adapter.recovery.count >= 3);
	rig_finish(r);
}

/* It comes to the socket again and again, and never through the handshake. */
static void test_gives_up(void **state)
{
	struct rig *r = *state;

	r->options.reconnect_ms = 1000;
	assert_int_equal(
		rig_run(r,
			"complete#3: close; SET_VRING_ENABLE#2: close; SET_VRING_NUM#3: close;"
			"SET_OWNER#4: close; GET_CONFIG#5: close; SET_MEM_TABLE#6: close;"
			"SET_OWNER#6: close; SET_OWNER#7: close; SET_OWNER#8: close",
			submit_all),
		1);
	assert_non_null(strstr(r->adapter.failure.text, "did not come back within 1 s"));
	rig_finish(r);
	assert_true(r->kernel.is_failed);
	assert_true(r->kernel.is_destroyed);
}

/* The one that comes back cannot do what the driver uses. */
static void test_incompatible(void **state)
{
	struct rig *r = *state;

	r->options.reconnect_ms = 1500;
	assert_int_equal(
		rig_run(r,
			"complete#3: close; GET_FEATURES#2: value 0x140000000;"
			"GET_FEATURES#3: value 0x140000000; GET_FEATURES#4: value 0x140000000;"
			"GET_FEATURES#5: value 0x140000000; GET_FEATURES#6: value 0x140000000;"
			"GET_FEATURES#7: value 0x140000000; GET_FEATURES#8: value 0x140000000",
			submit_all),
		1);
	assert_non_null(strstr(r->adapter.failure.text, "did not come back within 1 s"));
	rig_finish(r);
	assert_true(r->kernel.is_failed);
}

static void lose_until_back(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (!r->step++) {
		mock_push(k, VIRTIO_LOOPBACK_MSG_BROKEN, false);
		k->messages[k->num_messages - 1].queue.reason = VIRTIO_LOOPBACK_BROKEN_FULL;
	}
	if (!r->adapter.recovery.count || r->adapter.recovery.waiting)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* Where it stood in a packed ring is in the record alone: one that takes none is not the last. */
static void test_packed_without_record(void **state)
{
	struct rig *r = *state;
	char script[64];

	rig_pack(r);
	snprintf(script, sizeof(script), "GET_PROTOCOL_FEATURES#2: value %#llx",
		 r->backend.options.protocol_features &
			 ~BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
	r->options.reconnect_ms = RECONNECT_FOREVER;
	if (rig_run(r, script, lose_until_back))
		fail_msg("expected the device back, saw: %s", r->adapter.failure.text);
	assert_true(r->reached);
	assert_true(r->adapter.accepted & BIT_ULL(VIRTIO_F_RING_PACKED));
	rig_finish(r);
}

static void punched(struct mock_kernel *k, void *context)
{
	k->check_pool_error = ESTALE;
	submit_all(k, context);
}

static void test_holes(void **state)
{
	struct rig *r = *state;

	r->options.reconnect_ms = RECONNECT_FOREVER;
	assert_int_equal(rig_run(r, "complete#3: close", punched), 1);
	assert_non_null(strstr(r->adapter.failure.text, "holes"));
	rig_finish(r);
	assert_true(r->kernel.is_failed);
}

/* ---- losing one that is lost already ---- */

static void full_again_and_again(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	static deadline_t next, end;

	if (!r->step) {
		submit_all(k, context);
		next = DEADLINE_NOW;
		end = deadline_after_ms(TIMEOUT_MS);
	}
	if (deadline_passed(end))
		adapter_end(&r->adapter); /* without an error, which is one */
	if (!r->adapter.recovery.waiting || !deadline_passed(next))
		return;
	next = deadline_after_ms(200);
	mock_push(k, VIRTIO_LOOPBACK_MSG_BROKEN, false);
	k->messages[k->num_messages - 1].queue.reason = VIRTIO_LOOPBACK_BROKEN_FULL;
}

static void test_lost_again(void **state)
{
	struct rig *r = *state;

	r->options.reconnect_ms = 1000;
	assert_int_equal(rig_run(r,
				 "complete#3: close; connect#2: close; connect#3: close;"
				 "connect#4: close; connect#5: close; connect#6: close;"
				 "connect#7: close; connect#8: close; connect#9: close;"
				 "connect#10: close; connect#11: close; connect#12: close;"
				 "connect#13: close; connect#14: close; connect#15: close",
				 full_again_and_again),
			 1);
	assert_non_null(strstr(r->adapter.failure.text, "did not come back within 1 s"));
	rig_finish(r);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_works),	      RIG_TEST(test_plain_backend),
		RIG_TEST(test_out_of_order),  RIG_TEST(test_each_step),
		RIG_TEST(test_silence),	      RIG_TEST(test_refusals),
		RIG_TEST(test_lies),	      RIG_TEST(test_nobody_there),
		RIG_TEST(test_name_taken),    RIG_TEST(test_config_write),
		RIG_TEST(test_config_change), RIG_TEST(test_reset_unanswered),
		RIG_TEST(test_cache_mode_outlives_backend), RIG_TEST(test_cache_mode_after_reset),
		RIG_TEST(test_broken),	      RIG_TEST(test_lost_off),
		RIG_TEST(test_replay),	      RIG_TEST(test_gives_up),
		RIG_TEST(test_incompatible),  RIG_TEST(test_holes),
		RIG_TEST(test_lost_again),    RIG_TEST(test_packed_without_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
