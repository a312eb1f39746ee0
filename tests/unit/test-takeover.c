// SPDX-License-Identifier: BSD-3-Clause
/* One adapter leaves its device, in good order or killed; another one goes on with it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter-rig.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

static const struct keeper_device device = { "unit", "/nonexistent", "/nonexistent", { 0 } };

static const char *yielded;

/* Requests are under way when the adapter ends, in good order or in the middle of something. */
static void leave(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	unsigned int i;

	if (r->step++)
		return;
	assert_null(adapter_yield(&r->adapter, SNAPSHOT_VERSION - 1) ? NULL : "it yielded");
	yielded = adapter_yield(&r->adapter, SNAPSHOT_VERSION);
	for (i = 0; i < MOCK_NUM; i++)
		mock_submit(k, true, i, (uint8_t)i);
	mock_kick(k);
	k->idle = NULL;
}

/* ... or none. */
static void leave_idle(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	yielded = adapter_yield(&r->adapter, SNAPSHOT_VERSION);
	k->idle = NULL;
}

/* As adapter_takeover() finds it: a name, and where its files are. */
static struct adapter_options heir_options(const struct rig *r)
{
	return (struct adapter_options){
		.name = "unit",
		.transport = &transport_loopback,
		.node = "/nonexistent",
		.state_dir = r->dir,
		.ready_fd = -1,
		.keep_ms = 1000,
		.takeover = true,
	};
}

static void more(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	assert_true(mock_take(k, -1) >= 0);
	if (k->num_order || r->adapter.recovery.waiting)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

#define KEEP_MS 900

static void run_with(struct rig *r, const char *script,
		     void (*idle)(struct mock_kernel *k, void *context))
{
	r->options.reconnect_ms = RECONNECT_FOREVER;
	r->options.keep_ms = KEEP_MS;
	r->options.node = "/nonexistent"; /* what is opened is the mock */
	assert_int_equal(rig_run(r, script, idle), 0);
	assert_null(yielded);
	assert_int_equal(r->kernel.created.orphan_timeout_ms, KEEP_MS);
}

/* The first adapter to where it leaves the device, which @idle has it do. */
static void run_first_until(struct rig *r, void (*idle)(struct mock_kernel *k, void *context))
{
	r->backend.options.order = ORDER_RANDOM;
	r->backend.options.hold = 6;
	run_with(r, "", idle);
}

static void run_first(struct rig *r)
{
	run_first_until(r, leave);
}

static void take_over(struct rig *r, void (*idle)(struct mock_kernel *k, void *context))
{
	static struct adapter_options options;

	adapter_finish(&r->adapter);
	assert_false(r->kernel.is_destroyed);
	options = heir_options(r);
	adapter_init(&r->adapter, &options);
	r->kernel.idle = idle;
	mock_reopen(&r->kernel, &r->adapter.device);
	assert_int_equal(adapter_takeover(&r->adapter), 0);
}

static void run_second(struct rig *r, unsigned int reconnects)
{
	take_over(r, more);
	assert_string_equal(r->adapter.options->socket, r->backend.path);
	assert_int_equal(r->adapter.plan.total, 1);
	assert_int_equal(adapter_run(&r->adapter), 0);
	assert_true(r->reached);
	assert_int_equal(r->kernel.twice, 0);
	assert_int_equal(r->adapter.recovery.count, reconnects);
	rig_finish(r);
	assert_true(r->kernel.is_destroyed);
}

/* The back-end's connection is handed on: it serves the requests and notices nothing. */
static void test_takeover(void **state)
{
	struct rig *r = *state;

	run_first(r);
	run_second(r, 0);
}

static int clients[2];

static void say(int client, const char *order)
{
	assert_int_equal(send(client, order, strlen(order), MSG_NOSIGNAL), strlen(order));
}

/* Two orders are there when the loop looks: the device is to be left, and to be ended. */
static void leave_and_detach(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	char order[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clients) && !r->step; i++)
		clients[i] = rig_connect_control(r);
	r->step = 1;
	if (r->adapter.control.clients[1] < 0)
		return;
	for (i = 0; i < MOCK_NUM; i++)
		mock_submit(k, true, (unsigned int)i, (uint8_t)i);
	mock_kick(k);
	k->idle = NULL;
	snprintf(order, sizeof(order), "yield %u", SNAPSHOT_VERSION);
	say(clients[0], order);
	say(clients[1], "detach");
}

/* One that wants the device has given up before it is heard; another one asks after it. */
static void give_up_and_detach(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	char order[32];

	if (!r->step++) {
		clients[0] = rig_connect_control(r);
		clients[1] = rig_connect_control(r);
		snprintf(order, sizeof(order), "yield %u", SNAPSHOT_VERSION);
		say(clients[0], order);
		close(clients[0]);
	}
	if (r->adapter.control.clients[1] < 0 || r->adapter.control.clients[0] >= 0)
		return;
	k->idle = NULL;
	say(clients[1], "detach");
}

static void test_yield_to_nobody(void **state)
{
	struct rig *r = *state;

	run_with(r, "", give_up_and_detach);
	if (r->adapter.leave)
		fail_msg("it left the device to one that had given up");
	close(clients[1]);
	rig_finish(r);
}

/* An order that came too late for this adapter is not said to be carried out. */
static void test_detach_behind_yield(void **state)
{
	char answer[2][64] = { "", "" };
	struct rig *r = *state;
	size_t i;

	run_first_until(r, leave_and_detach);
	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_true(recv(clients[i], answer[i], sizeof(answer[i]) - 1, MSG_DONTWAIT) >= 0);
		close(clients[i]);
	}
	assert_string_equal(answer[0], "ok\n");
	if (strncmp(answer[1], "error ", strlen("error ")) != 0)
		fail_msg("the device goes on, and 'detach' is answered '%s'", answer[1]);
	run_second(r, 0);
}

/* Half of a command may be on its way: only a new connection is sure. */
static void test_takeover_killed_busy(void **state)
{
	struct rig *r = *state;

	run_first(r);
	handover_begin(&r->adapter);
	run_second(r, 1);
}

/* An answer may still be on its way to the dead one: it is not taken for another's. */
static void test_takeover_killed_asking(void **state)
{
	struct vu_message msg;
	struct rig *r = *state;

	run_first(r);
	handover_ask(&r->adapter);
	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GET_FEATURES);
	assert_int_equal(vu_send(r->adapter.fe.sock, &msg, VU_REQUEST,
				 deadline_after_ms(TIMEOUT_MS)), 0);
	run_second(r, 0);
}

/* An adapter that was killed while its driver still probed was never told of. */
static void test_takeover_not_ready(void **state)
{
	struct rig *r = *state;
	struct adapter_options options;

	run_first(r);
	handover_begin(&r->adapter);
	r->adapter.reported = false;
	handover_end(&r->adapter);
	adapter_finish(&r->adapter);
	options = heir_options(r);
	adapter_init(&r->adapter, &options);
	mock_reopen(&r->kernel, &r->adapter.device);
	assert_int_equal(adapter_takeover(&r->adapter), 0);
	assert_int_equal(adapter_run(&r->adapter), 1);
	assert_non_null(strstr(r->adapter.failure.text, "before it was ready"));
	rig_finish(r);
	assert_true(r->kernel.is_failed);
	assert_true(r->kernel.is_destroyed);
}

static void reset_and_leave(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (!r->step++) {
		mock_push(k, VIRTIO_LOOPBACK_MSG_RESET, true);
		return;
	}
	assert_null(adapter_yield(&r->adapter, SNAPSHOT_VERSION));
	k->idle = NULL;
}

static void start_over(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	if (r->step++ == 2) {
		mock_push_status(k, VIRTIO_CONFIG_S_FEATURES_OK);
		mock_push_status(k, VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		return;
	}
	if (r->adapter.recovery.waiting)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* Killed while a driver starts over: there is no record, and no back-end has had these rings. */
static void test_takeover_of_fresh_rings(void **state)
{
	struct rig *r = *state;

	rig_pack(r);
	run_with(r, "", reset_and_leave);
	handover_begin(&r->adapter);
	take_over(r, start_over);
	if (adapter_run(&r->adapter))
		fail_msg("expected it to go on, saw: %s", r->adapter.failure.text);
	assert_true(r->reached);
	rig_finish(r);
}

/* What describes another device is not believed, and that device is left alone. */
static void test_takeover_of_another(void **state)
{
	struct rig *r = *state;
	struct adapter_options options;

	run_first(r);
	adapter_finish(&r->adapter);
	options = heir_options(r);
	adapter_init(&r->adapter, &options);
	mock_reopen(&r->kernel, &r->adapter.device);
	r->kernel.created.num_queues++;
	assert_int_equal(adapter_takeover(&r->adapter), -EINVAL);
	assert_non_null(strstr(r->adapter.failure.text, "another device"));
	adapter_finish(&r->adapter);
	assert_false(r->kernel.is_destroyed);
	r->kernel.created.num_queues--;
	/* ... for one that fits */
	adapter_init(&r->adapter, &options);
	mock_reopen(&r->kernel, &r->adapter.device);
	assert_int_equal(adapter_takeover(&r->adapter), 0);
	adapter_end(&r->adapter);
	adapter_run(&r->adapter);
	rig_finish(r);
	assert_true(r->kernel.is_destroyed);
}

/* What was asked for, and half of what the driver writes in two, is not forgotten. */
static void test_takeover_remembers(void **state)
{
	struct rig *r = *state;

	r->options.pool_given = true;
	run_first(r);
	handover_begin(&r->adapter);
	r->adapter.together[0] = 0x11;
	r->adapter.together[1] = 0xa2;
	handover_end(&r->adapter);
	take_over(r, more);
	assert_true(r->adapter.options->pool_given);
	assert_int_equal(r->adapter.options->keep_ms, KEEP_MS);
	assert_int_equal(r->adapter.together[0], 0x11);
	assert_int_equal(r->adapter.together[1], 0xa2);
	assert_int_equal(adapter_run(&r->adapter), 0);
	rig_finish(r);
}

#define STILL_MS 500

static void keep_still(struct mock_kernel *k, void *context)
{
	static deadline_t until;
	struct rig *r = context;

	if (!r->step++)
		until = deadline_after_ms(STILL_MS);
	if (r->adapter.recovery.waiting || r->adapter.recovery.count)
		r->reached = true;
	if (!deadline_passed(until) && !r->reached)
		return;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* Some back-ends hang when a queue is kicked that the driver has never kicked. */
static void test_takeover_kicks_nothing_new(void **state)
{
	struct rig *r = *state;

	r->quiet = true;
	run_with(r, "kick: close", leave_idle);
	take_over(r, keep_still);
	assert_int_equal(adapter_run(&r->adapter), 0);
	if (r->reached)
		fail_msg("expected no kick, saw one");
	rig_finish(r);
}

/* Killed when the connection was let go of, and before that was written down. */
static void test_takeover_without_connection(void **state)
{
	struct rig *r = *state;

	run_first(r);
	fd_close(&r->kernel.store[HANDOVER_BACKEND]);
	run_second(r, 1);
}

/* Killed just when the connection is no longer the back-end's. */
static void let_go_and_die(struct mock_kernel *k, void *context)
{
	struct adapter *a = &((struct rig *)context)->adapter;

	k->dies_at = HANDOVER_BACKEND;
	backend_lost(a);
	assert_true(k->died);
	assert_int_equal(k->store[HANDOVER_BACKEND], -1);
	if (k->store[HANDOVER_CLOSING] < 0)
		fail_msg("expected that a successor sees whether the other end is closed");
	k->idle = NULL;
	adapter_end(a);
}

/* A back-end that has hung, and may go on, is not forgotten by who takes the device over. */
static void test_takeover_letting_go(void **state)
{
	struct rig *r = *state;

	run_with(r, "", let_go_and_die);
	rig_finish(r);
}

/* ---- a write into the configuration space ---- */

#define WCE offsetof(struct virtio_blk_config, wce)

/* The driver's write is carried out, but for its end: the adapter is killed there. */
static void leave_writing(struct mock_kernel *k, void *context)
{
	struct adapter *a = &((struct rig *)context)->adapter;
	const uint8_t mode = 0;

	yielded = adapter_yield(a, SNAPSHOT_VERSION);
	handover_begin(a);
	assert_int_equal(frontend_set_config(&a->fe, WCE, &mode, 1,
					     deadline_after_ms(TIMEOUT_MS)), 0);
	assert_int_equal(config_refresh(a, 0, deadline_after_ms(TIMEOUT_MS)), 0);
	assert_int_equal(k->config[WCE], mode);
	k->idle = NULL;
}

/* What it reads then is what the back-end does. */
static void compare_modes(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	struct adapter *a = &r->adapter;
	uint8_t config[CONFIG_SIZE_MAX];

	if (a->recovery.waiting)
		return;
	assert_int_equal(frontend_get_config(&a->fe, config, a->config_size,
					     deadline_after_ms(TIMEOUT_MS)), 0);
	if (k->config[WCE] != config[WCE])
		fail_msg("the driver reads the cache mode %u, the back-end has %u", k->config[WCE],
			 config[WCE]);
	r->reached = true;
	k->idle = NULL;
	adapter_end(a);
}

/* A driver that reads a cache mode which its disk has not flushes too little. */
static void test_takeover_killed_writing(void **state)
{
	struct hostile_options *o = &((struct rig *)*state)->backend.options;
	struct rig *r = *state;
	struct virtio_loopback_msg *msg;

	o->features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES) |
		      BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE);
	o->protocol_features = BIT_ULL(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			       BIT_ULL(VHOST_USER_PROTOCOL_F_CONFIG) |
			       BIT_ULL(VHOST_USER_PROTOCOL_F_RESET_DEVICE);
	run_with(r, "", leave_writing);
	/* the module asks for it once more */
	mock_push(&r->kernel, VIRTIO_LOOPBACK_MSG_SET_CONFIG, true);
	msg = &r->kernel.messages[r->kernel.num_messages - 1];
	msg->config.offset = WCE;
	msg->config.length = 1;
	msg->config.data[0] = 0;
	take_over(r, compare_modes);
	adapter_run(&r->adapter);
	assert_true(r->reached);
	rig_finish(r);
}

/*
 * A back-end without a record follows one with a record, and the adapter is killed before it wrote
 * that down: what the last one had in flight is not what this one has.
 */
static void test_takeover_record_is_over(void **state)
{
	struct rig *r = *state;
	struct adapter *a = &r->adapter;

	run_first(r);
	a->fe.protocol &= ~BIT_ULL(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	handover_begin(a);
	inflight_finish(&a->inflight);
	a->inflight.fd = memfd_create("record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	handover_end(a);
	assert_true(r->kernel.store[HANDOVER_INFLIGHT] >= 0);
	handover_begin(a);
	assert_int_equal(queues_start_all(a, true, deadline_after_ms(TIMEOUT_MS)), 0);
	if (r->kernel.store[HANDOVER_INFLIGHT] >= 0)
		fail_msg("expected that a successor finds no record, saw one");
	run_second(r, 1);
}

/* ---- a configuration that was edited ---- */

/* It writes what there is to say, or what it likes, into its snapshot. */
static void lie(struct rig *r)
{
	handover_begin(&r->adapter);
	handover_end(&r->adapter);
	adapter_finish(&r->adapter);
}

#define KEPT_COMMAND "sh -c 'exec sleep 100' {socket}"

/* As a service manager starts it, which describes the whole device. */
static void follow_with(struct rig *r, const char *command, const char *expected, bool listens)
{
	struct adapter_options options = heir_options(r);

	options.type = r->options.type;
	options.exec = command;
	adapter_init(&r->adapter, &options);
	mock_reopen(&r->kernel, &r->adapter.device);
	assert_int_equal(adapter_takeover(&r->adapter), 0);
	assert_string_equal(r->adapter.options->exec, expected);
	if (!r->adapter.supervisor.path == listens)
		fail_msg("'%s': the keeper starts it, and its socket is %s", expected,
			 r->adapter.supervisor.path ? "one that it listens on" : "inherited");
}

/* The keeper goes on with the command that it has; the next one has the new one. */
static void test_takeover_other_command(void **state)
{
	struct rig *r = *state;
	struct failure f = { 0 };
	char path[96];

	snprintf(path, sizeof(path), "%s/unit.sock", r->dir);
	run_first(r);
	r->options.exec = KEPT_COMMAND;
	r->options.socket = NULL;
	assert_int_equal(supervisor_init(&r->adapter.supervisor, KEPT_COMMAND, path, &device, NULL,
					 &f),
			 0);
	lie(r);
	follow_with(r, "sleep 100 {fd}", KEPT_COMMAND, true);
	adapter_yield(&r->adapter, SNAPSHOT_VERSION);
	adapter_finish(&r->adapter);
	/* also where that one is followed by another */
	follow_with(r, "sleep 100 {fd}", KEPT_COMMAND, true);
	adapter_yield(&r->adapter, SNAPSHOT_VERSION);
	kill(r->adapter.supervisor.keeper, SIGKILL);
	adapter_finish(&r->adapter);
	follow_with(r, "sleep 100 {fd}", "sleep 100 {fd}", false);
	adapter_end(&r->adapter);
	adapter_run(&r->adapter);
	rig_finish(r);
}

/* ---- a predecessor that was taken over ---- */

static int try_to_take_over(struct rig *r, const struct adapter_options *options)
{
	adapter_init(&r->adapter, options);
	mock_reopen(&r->kernel, &r->adapter.device);
	return adapter_takeover(&r->adapter);
}

/* The device is there still, for another one. */
static void check_refused(struct rig *r, const struct adapter_options *options, const char *word)
{
	int ret = try_to_take_over(r, options);

	if (ret != -EPERM || !strstr(r->adapter.failure.text, word))
		fail_msg("expected %d and a word on %s, saw %d and '%s'", -EPERM, word, ret,
			 r->adapter.failure.text);
	/* whatever it says, this one gives its privileges up */
	assert_true(r->adapter.options->sandbox);
	adapter_finish(&r->adapter);
	assert_false(r->kernel.is_destroyed);
}

/* ... who was told the same, and is believed. */
static void finish_refused(struct rig *r)
{
	struct adapter_options options = heir_options(r);

	options.state_dir = r->options.state_dir;
	options.node = r->options.node;
	options.exec = r->options.exec;
	options.socket = r->options.socket;
	assert_int_equal(try_to_take_over(r, &options), 0);
	adapter_end(&r->adapter);
	adapter_run(&r->adapter);
	rig_finish(r);
}

/* The keeper and the old adapter name different back-ends: only one of them can be believed. */
static void test_takeover_of_a_liar(void **state)
{
	struct rig *r = *state;
	struct adapter_options options;

	run_first(r);
	r->options.exec = "sleep 100 {socket}";
	r->options.socket = NULL;
	lie(r);
	options = heir_options(r);
	options.sandbox = true;
	options.socket = r->backend.path;
	check_refused(r, &options, "--socket");
	options.socket = NULL;
	options.exec = "true";
	check_refused(r, &options, "--exec");
	/* upgrade names none, and there is no keeper: it does not get one for this command */
	options.exec = NULL;
	options.replace = true;
	check_refused(r, &options, "upgrade --exec");
	finish_refused(r);
}

/* What stays open to it afterwards is not the old one's to say either. */
static void test_takeover_elsewhere(void **state)
{
	struct rig *r = *state;
	struct adapter_options options;
	char other[96];

	run_first(r);
	snprintf(other, sizeof(other), "%s/.", r->dir);
	r->options.state_dir = other;
	lie(r);
	options = heir_options(r);
	options.sandbox = true;
	check_refused(r, &options, "--state-dir");
	options.state_dir = other;
	options.node = "/dev/null";
	check_refused(r, &options, "--node");
	finish_refused(r);
}

/* A file is written to because it was open, and not by its name. */
static void test_takeover_log(void **state)
{
	struct rig *r = *state;
	struct adapter_options options;
	char path[96], evil[96], text[256] = "";
	int err = dup(STDERR_FILENO), fd;

	snprintf(path, sizeof(path), "%s/first.log", r->dir);
	snprintf(evil, sizeof(evil), "%s/evil.log", r->dir);
	r->options.log = path;
	run_first(r);
	r->options.log = evil;
	lie(r);
	dup2(err, STDERR_FILENO);
	options = heir_options(r);
	options.replace = true;
	assert_int_equal(try_to_take_over(r, &options), 0);
	log_error("the second one");
	adapter_end(&r->adapter);
	adapter_run(&r->adapter);
	rig_finish(r);
	dup2(err, STDERR_FILENO);
	close(err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	unlink(path);
	if (!unlink(evil))
		fail_msg("the file that the snapshot names was made");
	if (!strstr(text, "the second one"))
		fail_msg("expected the second adapter's words in the log, saw '%s'", text);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_takeover),
		RIG_TEST(test_yield_to_nobody),
		RIG_TEST(test_takeover_of_fresh_rings),
		RIG_TEST(test_detach_behind_yield),
		RIG_TEST(test_takeover_killed_busy),
		RIG_TEST(test_takeover_killed_asking),
		RIG_TEST(test_takeover_not_ready),
		RIG_TEST(test_takeover_of_another),
		RIG_TEST(test_takeover_remembers),
		RIG_TEST(test_takeover_kicks_nothing_new),
		RIG_TEST(test_takeover_without_connection),
		RIG_TEST(test_takeover_letting_go),
		RIG_TEST(test_takeover_killed_writing),
		RIG_TEST(test_takeover_record_is_over),
		RIG_TEST(test_takeover_other_command),
		RIG_TEST(test_takeover_of_a_liar),
		RIG_TEST(test_takeover_elsewhere),
		RIG_TEST(test_takeover_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
