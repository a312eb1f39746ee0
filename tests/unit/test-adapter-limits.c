// SPDX-License-Identifier: BSD-3-Clause
/*
 * What nobody can make of an adapter, between a mock of the kernel module and the hostile back-end:
 * one that waits, that is silent or that speaks for longer than is its part.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter-rig.h"
#include "adapter/adapter.h"
#include "adapter/manager.h"
#include "adapter/report.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/notify.h"
#include "common/unix-socket.h"
#include "common/util.h"

static int open_log(const char *path)
{
	const struct adapter_options options = { .name = "unit", .log = path };
	static struct adapter a;

	adapter_init(&a, &options);
	return adapter_open_log(&a, true);
}

/* A pipe in the place of the log: nobody waits for its reader, and none gets the messages. */
static void test_log_is_a_pipe(void **state)
{
	struct rig *r = *state;
	char path[96];
	int reader, i;

	snprintf(path, sizeof(path), "%s/unit.log", r->dir);
	assert_int_equal(mkfifo(path, 0666), 0);
	for (i = 0, reader = -1; i < 2; i++) {
		int status;
		pid_t child = fork();

		if (!child) {
			alarm(5);
			_exit(open_log(path) == 0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status)
			fail_msg("%s a reader: %s", reader < 0 ? "without" : "with",
				 WIFSIGNALED(status) ? "it waits" : "it is taken");
		if (reader < 0)
			reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	}
	close(reader);
	unlink(path);
}

#define LAST_WORDS "\033]0;title\007no such disk"

static void leave_it(const char *path)
{
	(void)path;
}

static void put_pipe(const char *path)
{
	assert_int_equal(rename(path, "old"), 0);
	assert_int_equal(mkfifo(path, 0666), 0);
}

static void put_link(const char *path)
{
	assert_int_equal(rename(path, "old"), 0);
	assert_int_equal(symlink("old", path), 0);
}

static void put_link_to_zeros(const char *path)
{
	assert_int_equal(rename(path, "old"), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
}

static void put_file(const char *path)
{
	int fd;

	assert_int_equal(rename(path, "old"), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "a secret\n", 9), 9);
	close(fd);
}

static void grow(const char *path)
{
	static const char line[] = "line\n";
	unsigned int i;

	(void)path;
	for (i = 0; i < 10000; i++)
		assert_int_equal(write(STDERR_FILENO, line, strlen(line)), strlen(line));
	assert_int_equal(write(STDERR_FILENO, LAST_WORDS, strlen(LAST_WORDS)), strlen(LAST_WORDS));
}

/* In a process of its own: standard error is the log. */
static _Noreturn void quote(const char *dir, void (*change)(const char *path), int to)
{
	struct failure f = { 0 };

	alarm(20);
	if (chdir(dir) < 0 || open_log("unit.log") < 0 ||
	    write(STDERR_FILENO, LAST_WORDS "\n", strlen(LAST_WORDS) + 1) < 0)
		_exit(2);
	change("unit.log");
	failure_set(&f, -EIO, "failed");
	report_quote("unit.log", PROGRAM, &f);
	_exit(write(to, f.text, strlen(f.text)) < 0);
}

/* The last words of a back-end: from the log and no other file, and none that a terminal obeys. */
static void test_last_words(void **state)
{
	static const struct {
		const char *name;
		void (*change)(const char *path);
		const char *expected;
	} logs[] = {
		{ "the log", leave_it, "failed; it said: ?]0;title?no such disk" },
		{ "a long log", grow, "failed; it said: ?]0;title?no such disk" },
		{ "a pipe", put_pipe, "failed" },
		{ "a link", put_link, "failed" },
		{ "a link to /dev/zero", put_link_to_zeros, "failed" },
		{ "another file", put_file, "failed" },
	};
	struct rig *r = *state;
	char path[96], old[96];
	size_t i;

	snprintf(path, sizeof(path), "%s/unit.log", r->dir);
	snprintf(old, sizeof(old), "%s/old", r->dir);
	for (i = 0; i < ARRAY_SIZE(logs); i++) {
		char text[512] = "";
		int pair[2], status;
		pid_t child;

		assert_int_equal(pipe(pair), 0);
		child = fork();
		if (!child)
			quote(r->dir, logs[i].change, pair[1]);
		close(pair[1]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(read(pair[0], text, sizeof(text) - 1) >= 0);
		close(pair[0]);
		unlink(path);
		unlink(old);
		if (status || strcmp(text, logs[i].expected) != 0)
			fail_msg("%s: expected '%s', saw '%s', status %#x", logs[i].name,
				 logs[i].expected, text, (unsigned int)status);
	}
}

/* ---- who watches it ---- */

#define SLOW_MESSAGES 12

static void many_slow(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	unsigned int i;

	if (r->step++) {
		r->reached = true;
		k->idle = NULL;
		adapter_end(&r->adapter);
		return;
	}
	for (i = 0; i < SLOW_MESSAGES; i++) {
		mock_push(k, VIRTIO_LOOPBACK_MSG_SET_CONFIG, true);
		k->messages[k->num_messages - 1].config.offset = 32;
		k->messages[k->num_messages - 1].config.length = 1;
	}
}

/* The manager's part: the longest time without a sign of life, in milliseconds */
static void *watch(void *arg)
{
	int sock = *(int *)arg;
	static unsigned int longest;
	deadline_t last = 0;
	char text[512] = "";

	longest = 0;
	while (recv(sock, text, sizeof(text) - 1, 0) > 0 && strcmp(text, "end") != 0) {
		if (!strncmp(text, "READY=1", 7) || !strcmp(text, "WATCHDOG=1")) {
			if (last)
				longest = MAX(longest, (unsigned int)((now_ns() - last) / 1000000));
			last = now_ns();
		}
		memset(text, 0, sizeof(text));
	}
	return &longest;
}

/* A slow back-end, and a driver with much to ask: each command is in time, and the adapter too. */
static void test_watched_while_slow(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct rig *r = *state;
	pthread_t thread;
	void *longest;
	int sock;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", r->dir);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(pthread_create(&thread, NULL, watch, &sock), 0);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	setenv("WATCHDOG_USEC", "1000000", 1);
	manager_init();
	r->options.timeout_ms = 1500; /* the manager is told to wait for four of them */
	if (rig_run(r, "SET_CONFIG: delay 600", many_slow) || !r->reached)
		fail_msg("%s", r->adapter.failure.text);
	assert_int_equal(notify_send("end"), 1);
	manager_finish();
	pthread_join(thread, &longest);
	rig_finish(r);
	close(sock);
	unlink(addr.sun_path);
	if (*(unsigned int *)longest > 6000)
		fail_msg("expected a sign of life each 6 s, saw none for %u ms",
			 *(unsigned int *)longest);
}

/* ---- a back-end or a display that announces changes without end ---- */

#define STORM_MS 1000
#define STORM_AT_ONCE 10
#define STORM_A_SECOND 10

static void change_without_end(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	static deadline_t until;

	if (!r->step++)
		until = deadline_after_ms(STORM_MS);
	if (!deadline_passed(until)) {
		r->backend.disk.size = DISK_SIZE / 2 - r->step % 2 * SECTOR;
		return;
	}
	/* the last one is told, however many there were */
	r->backend.disk.size = DISK_SIZE / 4;
	if (((struct virtio_blk_config *)k->config)->capacity != DISK_SIZE / 4 / MOCK_SECTOR)
		return;
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

static void test_config_storm(void **state)
{
	deadline_t began = now_ns();
	struct rig *r = *state;
	uint64_t most;

	assert_int_equal(rig_run(r, "GET_CONFIG: config-change 1", change_without_end), 0);
	assert_true(r->reached);
	most = STORM_AT_ONCE + 1 + (now_ns() - began) * STORM_A_SECOND / 1000000000;
	if (r->kernel.config_notified < 2 || r->kernel.config_notified > most)
		fail_msg("expected 2 to %u interrupts, saw %u", (unsigned int)most,
			 r->kernel.config_notified);
	r->backend.disk.size = DISK_SIZE;
	rig_finish(r);
}

static int display; /* the other end of what the adapter takes for one */

static void resize_without_end(struct mock_kernel *k, void *context)
{
	struct rig *r = context;
	static deadline_t until;
	int pair[2];

	if (!r->step++) {
		until = deadline_after_ms(STORM_MS);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		r->adapter.display.sock = pair[0];
		display = pair[1];
	}
	if (!deadline_passed(until)) {
		send(display, "resize 0 8 8", 12, MSG_DONTWAIT);
		return;
	}
	r->reached = true;
	k->idle = NULL;
	adapter_end(&r->adapter);
}

/* The same of the display: its windows change their sizes. */
static void test_resize_storm(void **state)
{
	deadline_t began = now_ns();
	struct rig *r = *state;
	uint64_t most;

	assert_int_equal(rig_run(r, "", resize_without_end), 0);
	assert_true(r->reached);
	most = STORM_AT_ONCE + 1 + (now_ns() - began) * STORM_A_SECOND / 1000000000;
	if (r->kernel.config_notified < 2 || r->kernel.config_notified > most)
		fail_msg("expected 2 to %u interrupts, saw %u", (unsigned int)most,
			 r->kernel.config_notified);
	rig_finish(r);
	close(display);
}

/* ---- when a back-end that went away counts as quiet ---- */

/*
 * Who listened has ended, and left the connection to another process. That one (here: this one)
 * still writes.
 */
static void test_quiet_when_closed(void **state)
{
	struct rig *r = *state;
	struct adapter *a = &r->adapter;
	pid_t child;
	int pair[2];

	adapter_init(a, &r->options);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	if (!child)
		_exit(0);
	a->recovery.waiting = true;
	a->recovery.closing = pair[0];
	a->recovery.backend = (int)syscall(SYS_pidfd_open, child, 0);
	assert_true(a->recovery.backend >= 0);
	assert_true(poll_fd(a->recovery.backend, POLLIN, deadline_after_ms(TIMEOUT_MS)) > 0);
	shutdown(pair[0], SHUT_WR);
	assert_false(backend_wait_quiet(a, deadline_after_ms(100)));
	/* it closes it: that is enough with the other one's end, and takes some time without */
	close(pair[1]);
	a->recovery.quiet_by = deadline_after_ms(2000);
	assert_true(backend_wait_quiet(a, DEADLINE_NOW));
	fd_close(&a->recovery.backend);
	assert_false(backend_wait_quiet(a, DEADLINE_NOW));
	assert_true(backend_wait_quiet(a, deadline_after_ms(TIMEOUT_MS)));
	fd_close(&a->recovery.closing);
	waitpid(child, NULL, 0);
}

static void leave(struct mock_kernel *k, void *context)
{
	struct rig *r = context;

	assert_null(adapter_yield(&r->adapter, SNAPSHOT_VERSION));
	k->idle = NULL;
}

static int follow(struct rig *r, const struct adapter_options *heir)
{
	adapter_finish(&r->adapter);
	adapter_init(&r->adapter, heir);
	mock_reopen(&r->kernel, &r->adapter.device);
	return adapter_takeover(&r->adapter);
}

/* What a successor cannot have for now was left all the same: the next try finds it. */
static void test_successor_is_short(void **state)
{
	struct rig *r = *state;
	const struct adapter_options heir = {
		.name = "unit", .transport = &transport_loopback, .node = "/nonexistent",
		.state_dir = r->dir, .ready_fd = -1, .keep_ms = 1000, .takeover = true,
	};

	r->options.reconnect_ms = RECONNECT_FOREVER;
	r->options.keep_ms = 1000;
	r->options.node = heir.node;
	assert_int_equal(rig_run(r, "", leave), 0);
	r->kernel.refused_slot = HANDOVER_BACKEND;
	assert_int_equal(follow(r, &heir), -EMFILE);
	assert_non_null(strstr(r->adapter.failure.text, "cannot be had"));
	assert_int_equal(follow(r, &heir), 0);
	if (r->adapter.recovery.waiting)
		fail_msg("the back-end's connection was left, and is gone");
	adapter_end(&r->adapter);
	assert_int_equal(adapter_run(&r->adapter), 0);
	rig_finish(r);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_log_is_a_pipe),
		RIG_TEST(test_last_words),
		RIG_TEST(test_watched_while_slow),
		RIG_TEST(test_config_storm),
		RIG_TEST(test_resize_storm),
		RIG_TEST(test_quiet_when_closed),
		RIG_TEST(test_successor_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
