// SPDX-License-Identifier: BSD-3-Clause
/* Commands as a whole, with a state directory of their own. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/control.h"
#include "check.h"
#include "cli/command.h"
#include "common/deadline.h"
#include "common/state-dir.h"
#include "common/util.h"
#include "own-run.h"
#include "stand-in.h"

#define NAME "unit"
#define HELD_NAMES 200

/* ---- an adapter, which answers when it comes to it ---- */

#define STATUS_ENDED 42
#define STATUS_CUT_OFF 43
#define LEAVE_MS 200 /* the driver's, to let go */

struct habits {
	unsigned int deaf_ms; /* before it looks for orders */
	unsigned int refusals; /* so many orders are answered with an error */
	unsigned int orders; /* that come to it, in all */
};

static void obey(void *context, const char *order, bool waits, char *answer, size_t size)
{
	struct habits *h = context;

	(void)waits;
	if (!strcmp(order, "stats")) {
		snprintf(answer, size, "phase \x1b]0;x\a\nbackend \xc2\x9b" "1m\n");
		return;
	}
	if (strcmp(order, "detach") != 0)
		_exit(1);
	if (++h->orders <= h->refusals) {
		snprintf(answer, size, "error the device is left to another adapter\n");
		return;
	}
	snprintf(answer, size, "ok\n");
}

static _Noreturn void be_adapter(struct habits *h, int ready)
{
	struct state_record record = { .adapter_pid = getpid(), .device_id = 2, .parent = -1 };
	deadline_t gone = DEADLINE_NOW;
	struct control control;
	size_t i;

	alarm(60); /* where the test has failed, nobody ends it */
	if (state_lock(STATE_DIR, NAME) < 0 || state_write(STATE_DIR, NAME, &record) ||
	    control_init(&control, STATE_DIR "/" NAME ".ctl") || write(ready, "", 1) != 1)
		_exit(1);
	close(ready);
	poll(NULL, 0, (int)h->deaf_ms);
	while (h->orders <= h->refusals || !deadline_passed(gone)) {
		control_accept(&control);
		for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
			if (control.clients[i] >= 0)
				control_ready(&control, (unsigned int)i, obey, h);
		if (h->orders > h->refusals && gone == DEADLINE_NOW)
			gone = deadline_after_ms(LEAVE_MS);
		poll(NULL, 0, 10);
	}
	state_clean(STATE_DIR, NAME, false);
	/* as the real one does, which ends the device at once when it is told again */
	_exit(h->orders > h->refusals + 1 ? STATUS_CUT_OFF : STATUS_ENDED);
}

static pid_t start_adapter(const struct habits *habits)
{
	struct habits h = *habits;
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid)
		be_adapter(&h, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void check_detach_by(char *again, pid_t adapter, const char *what)
{
	static char program[] = "detach", name[] = NAME;
	char *args[] = { program, name, again, NULL };
	deadline_t begin = now_ns();
	int status, ret;

	optind = 0;
	ret = command_detach(again ? 3 : 2, args);
	waitpid(adapter, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS_ENDED)
		fail_msg("%s: expected an end in good order, saw wait status %#x after %u ms", what,
			 (unsigned int)status, (unsigned int)((now_ns() - begin) / 1000000));
	assert_int_equal(ret, 0);
}

static void check_detach(pid_t adapter, const char *what)
{
	check_detach_by(NULL, adapter, what);
}

/* Who names it twice wants it ended in good order, too. */
static void test_detach_twice(void **state)
{
	static char name[] = NAME;

	(void)state;
	own_run_need();
	check_detach_by(name, start_adapter(&(struct habits){ 0 }), "named twice");
}

/* It may be waiting for its back-end, which has 5 s for its answer. */
static void test_detach_late(void **state)
{
	(void)state;
	own_run_need();
	check_detach(start_adapter(&(struct habits){ .deaf_ms = 4000 }), "an answer after 4 s");
}

/* ... and others ask it at the same time. */
static void test_detach_full_queue(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = STATE_DIR "/" NAME ".ctl" };
	int others[CONTROL_CLIENTS_MAX + 1];
	pid_t adapter;
	size_t i;

	(void)state;
	own_run_need();
	adapter = start_adapter(&(struct habits){ .deaf_ms = 1000 });
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(others[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
	}
	/* a child holds them open, past the time when it looks */
	if (fork() == 0) {
		poll(NULL, 0, 1500);
		_exit(0);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++)
		close(others[i]);
	check_detach(adapter, "a queue that is full");
	wait(NULL);
}

/* One that leaves its device does not end it, but its successor does. */
static void test_detach_behind_yield(void **state)
{
	(void)state;
	own_run_need();
	check_detach(start_adapter(&(struct habits){ .refusals = 2 }), "two refusals");
}

/* ---- a process that is none of the device's ---- */

/* Whoever wrote the record names somebody else in it as the adapter. */
static _Noreturn void be_liar(pid_t victim, int ready)
{
	struct state_record record = { .adapter_pid = victim, .device_id = 2, .parent = -1 };

	if (state_lock(STATE_DIR, NAME) < 0 || state_write(STATE_DIR, NAME, &record) ||
	    write(ready, "", 1) != 1)
		_exit(1);
	poll(NULL, 0, 1000);
	_exit(0);
}

static void test_detach_of_a_liar(void **state)
{
	static char program[] = "detach", force[] = "--force", name[] = NAME;
	char *args[] = { program, force, name, NULL }, byte;
	pid_t victim, liar;
	int ready[2];

	(void)state;
	own_run_need();
	victim = fork();
	if (!victim) {
		alarm(60);
		for (;;)
			pause();
	}
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	liar = fork();
	if (!liar)
		be_liar(victim, ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	optind = 0;
	assert_int_equal(command_detach(3, args), 0);
	waitpid(liar, NULL, 0);
	if (waitpid(victim, NULL, WNOHANG) != 0)
		fail_msg("a process was killed that is not the device's");
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

/* ---- an adapter that cannot be killed ---- */

/* As this program is called by adapter_spawn(): what it says is heard, and its end is not. */
static int be_stuck(int argc, char **argv)
{
	pid_t self = getpid();
	int i, ready[2];
	char byte;

	alarm(20);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (pipe2(ready, O_CLOEXEC) < 0)
		return 1;
	/* one that is traced is its tracer's to reap */
	if (fork() == 0) {
		alarm(10);
		if (ptrace(PTRACE_SEIZE, self, NULL, NULL) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	for (i = 1; i < argc - 1 && strcmp(argv[i], "--ready-fd") != 0; i++)
		;
	dprintf((int)strtol(argv[i + 1], NULL, 10), "error %d %s\n", EIO,
		read(ready[0], &byte, 1) == 1 ? "a word" : "no ptrace");
	for (;;)
		pause();
}

static int run_upgrade(void)
{
	static char program[] = "upgrade", name[] = NAME;
	char *args[] = { program, name, NULL };

	optind = 0;
	return command_upgrade(2, args);
}

static int run_attach(void)
{
	return run_attach_with(NULL);
}

static void check_stuck(int (*command)(void), const char *what)
{
	deadline_t begin = now_ns();
	pid_t child = fork();
	int status;

	if (!child) {
		alarm(8);
		_exit(command());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail_msg("%s: expected exit status 1, saw wait status %#x after %u ms", what,
			 (unsigned int)status, (unsigned int)((now_ns() - begin) / 1000000));
}

/* Its failure is told, whatever becomes of the process. */
static void test_adapter_stuck(void **state)
{
	char self[PATH_MAX] = "";
	pid_t adapter;

	(void)state;
	stand_in(self);
	adapter = start_adapter(&(struct habits){ 0 });
	check_stuck(run_upgrade, "upgrade");
	check_detach(adapter, "at once");
	check_stuck(run_attach, "attach");
	stand_down(self);
}

/* ---- what is shown ---- */

/* What a command says, in a static buffer */
static const char *said_by(int (*command)(int argc, char **argv))
{
	static char program[] = "command", text[8192];
	char *args[] = { program, NULL };
	FILE *out = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t n;

	assert_non_null(out);
	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	optind = 0;
	command(1, args);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(out);
	n = fread(text, 1, sizeof(text) - 1, out);
	text[n] = '\0';
	fclose(out);
	return text;
}

static void put_device(const char *name, const char *backend)
{
	struct state_record record = { .adapter_pid = getpid(), .device_id = 2, .parent = -1 };

	assert_true(state_lock(STATE_DIR, name) >= 0);
	snprintf(record.backend, sizeof(record.backend), "%s", backend);
	assert_int_equal(state_write(STATE_DIR, name, &record), 0);
}

/* What others wrote is text on this terminal, and no order to it. */
static void check_harmless(const char *text)
{
	const char *c;

	for (c = text; *c; c++) {
		if ((*c < ' ' && *c >= 0 && *c != '\n') || *c == '\x7f' ||
		    (*c == '\xc2' && c[1] == '\x9b') || (*c == '\x9b' && c[-1] != '\xc3'))
			fail_msg("byte %#x at %zu of '%s'", (unsigned char)*c,
				 (size_t)(c - text), text);
	}
}

static void test_list_of_lies(void **state)
{
	const char *text;

	(void)state;
	own_run_need();
	put_device("plain", "exec \x1b]0;x\a\x9b" "31m a\nb \xc3\xa4\xc2\x9b");
	put_device("a\x1b[2Jb", "");
	text = said_by(command_list);
	assert_non_null(strstr(text, "plain"));
	assert_non_null(strstr(text, "\xc3\xa4"));
	check_harmless(text);
	assert_null(strstr(text, "2Jb"));
	state_clean(STATE_DIR, "plain", false);
	state_clean(STATE_DIR, "a\x1b[2Jb", false);
}

/* A lock that somebody only looks at is no device, and 100 ms for each would be 20 s. */
static void test_list_of_held_names(void **state)
{
	deadline_t deadline = deadline_after_ms(5000);
	int fds[HELD_NAMES];
	char path[PATH_MAX];
	const char *text;
	size_t i;

	(void)state;
	own_run_need();
	for (i = 0; i < HELD_NAMES; i++) {
		snprintf(path, sizeof(path), STATE_DIR "/held%zu.lock", i);
		fds[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fds[i] >= 0);
		assert_int_equal(flock(fds[i], LOCK_SH), 0);
	}
	text = said_by(command_list);
	assert_false(deadline_passed(deadline));
	assert_null(strstr(text, "held"));
	for (i = 0; i < HELD_NAMES; i++) {
		snprintf(path, sizeof(path), STATE_DIR "/held%zu.lock", i);
		unlink(path);
		close(fds[i]);
	}
}

static void put_file(const char *suffix)
{
	char path[PATH_MAX];
	FILE *f;

	assert_int_equal(state_path(path, sizeof(path), STATE_DIR, NAME, suffix), 0);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
}

/* Who looks which devices there are clears what a dead one left, but not what it said. */
static void test_log_of_a_dead_one(void **state)
{
	(void)state;
	own_run_need();
	put_file("lock");
	put_file("state");
	put_file("ctl");
	put_file("log");
	said_by(command_list);
	assert_int_equal(access(STATE_DIR "/" NAME ".lock", F_OK), -1);
	assert_int_equal(access(STATE_DIR "/" NAME ".state", F_OK), -1);
	assert_int_equal(access(STATE_DIR "/" NAME ".ctl", F_OK), -1);
	if (access(STATE_DIR "/" NAME ".log", F_OK) < 0)
		fail_msg("the log of a device that died is gone");
	state_clean(STATE_DIR, NAME, false);
}

/* ... nor is what an adapter answers, which may be another user's. */
static void test_answer_of_lies(void **state)
{
	char answer[CONTROL_PACKET_MAX];
	pid_t adapter;

	(void)state;
	own_run_need();
	adapter = start_adapter(&(struct habits){ 0 });
	assert_int_equal(control_order(STATE_DIR "/" NAME ".ctl", "stats", answer, sizeof(answer),
				       deadline_after_ms(5000)),
			 0);
	assert_string_equal(answer, "phase ?]0;x?\nbackend \xc2?1m\n");
	check_harmless(answer);
	check_detach(adapter, "at once");
}

/* What stats says to who is in the group, and may not ask this adapter; in a static buffer */
static const char *said_to_a_member(char *option)
{
	static char program[] = "stats", name[] = NAME, text[8192];
	char *args[] = { program, name, option, NULL };
	FILE *out = tmpfile();
	pid_t child;

	assert_non_null(out);
	fflush(stdout);
	child = fork();
	if (!child) {
		dup2(fileno(out), STDOUT_FILENO);
		optind = 0;
		if (setresuid(65534, 65534, 65534) == 0)
			command_stats(option ? 3 : 2, args);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	rewind(out);
	text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
	fclose(out);
	return text;
}

static void check_said(const char *text, const char *expected, const char *unexpected)
{
	if (!strstr(text, expected) || strstr(text, unexpected))
		fail_msg("expected '%s' and no '%s', saw:\n%s", expected, unexpected, text);
}

/* An adapter that may not be asked is not said to be deaf. */
static void test_stats_of_another_user(void **state)
{
	static char json[] = "--json", prometheus[] = "--prometheus";
	pid_t adapter;

	(void)state;
	own_run_need();
	adapter = start_adapter(&(struct habits){ 0 });
	check_said(said_to_a_member(NULL), "permission denied: it is another user's: run as root",
		   "does not answer");
	check_said(said_to_a_member(json), "\"adapter_error\": \"permission denied",
		   "does not answer");
	check_said(said_to_a_member(prometheus), "virtio_loopback_running{device=\"" NAME "\"}",
		   "adapter_answers");
	check_detach(adapter, "at once");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detach_late),
		cmocka_unit_test(test_detach_twice),
		cmocka_unit_test(test_detach_full_queue),
		cmocka_unit_test(test_detach_behind_yield),
		cmocka_unit_test(test_detach_of_a_liar),
		cmocka_unit_test(test_adapter_stuck),
		cmocka_unit_test(test_list_of_lies),
		cmocka_unit_test(test_list_of_held_names),
		cmocka_unit_test(test_answer_of_lies),
		cmocka_unit_test(test_log_of_a_dead_one),
		cmocka_unit_test(test_stats_of_another_user),
	};

	if (argc > 1)
		return be_stuck(argc, argv);
	return cmocka_run_group_tests(tests, own_run_make, NULL);
}
