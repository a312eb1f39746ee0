// SPDX-License-Identifier: BSD-3-Clause
/* Whom a process becomes that root has started: in children, as a test stays who it is. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/run-as.h"
#include "common/util.h"

#define OTHER 12345
#define EXTRA 54321

/* ---- names ---- */

static void parse(const char *value, int expected, uid_t uid, gid_t gid)
{
	struct failure failure = { 0 };
	struct run_as who;
	int ret = run_as_parse(&who, value, &failure);

	if (ret != expected || (!ret && (who.uid != uid || who.gid != gid || !who.given)) ||
	    (ret && !failure.text[0]))
		fail_msg("%s: expected %d, user %u, group %u; saw %d, user %u, group %u, '%s'",
			 value, expected, uid, gid, ret, who.uid, who.gid, failure.text);
}

static void test_names(void **state)
{
	(void)state;
	parse("root", 0, 0, 0);
	parse("0", 0, 0, 0);
	parse("daemon", 0, 1, 1);
	parse("daemon:root", 0, 1, 0);
	parse("daemon:7", 0, 1, 7);
	parse("12345:54321", 0, OTHER, EXTRA);
	parse("12345", -EINVAL, 0, 0); /* of no group that the system knows */
	parse("nobody-of-that-name", -EINVAL, 0, 0);
	parse("daemon:nobody-of-that-name", -EINVAL, 0, 0);
	parse("", -EINVAL, 0, 0);
	parse("daemon:", -EINVAL, 0, 0);
	parse("-1:0", -EINVAL, 0, 0);
	parse("4294967295:0", -EINVAL, 0, 0);
	parse("0:4294967295", -EINVAL, 0, 0);
	parse("a-name-that-is-longer-than-any-name-of-a-user-can-be-on-a-linux-system", -EINVAL, 0,
	      0);
}

/* ---- in a child ---- */

/* What a child has found; shared with its parent. */
static struct report {
	int ret;
	char text[320];
	uid_t ids[3], thread;
	gid_t gids[3], groups[4];
	int num_groups;
	uint32_t effective, permitted;
	int dumpable, sig;
	uid_t peer;
	int removes[3]; /* sticky, everybody's, root's */
} *report;

static char folders[3][64];

static uint32_t capabilities(bool effective)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	syscall(SYS_capget, &header, data);
	return effective ? data[0].effective : data[0].permitted;
}

static void lose_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	syscall(SYS_capset, &header, data);
}

static pthread_barrier_t changed;

static void *other_thread(void *data)
{
	pthread_barrier_wait(&changed);
	report->thread = (uid_t)syscall(SYS_geteuid);
	return data;
}

static void look(void)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	int pair[2];
	size_t i;

	getresuid(&report->ids[0], &report->ids[1], &report->ids[2]);
	getresgid(&report->gids[0], &report->gids[1], &report->gids[2]);
	report->num_groups = getgroups(ARRAY_SIZE(report->groups), report->groups);
	report->effective = capabilities(true);
	report->permitted = capabilities(false);
	report->dumpable = prctl(PR_GET_DUMPABLE);
	prctl(PR_GET_PDEATHSIG, &report->sig);
	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &len);
	report->peer = peer.uid;
	for (i = 0; i < ARRAY_SIZE(folders); i++)
		report->removes[i] = run_as_removes(folders[i]);
}

static void become(const struct run_as *who, bool may)
{
	static const gid_t groups[] = { EXTRA };
	struct failure failure = { 0 };
	pthread_t thread;
	int status;
	pid_t pid;

	memset(report, 0, sizeof(*report));
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		pthread_barrier_init(&changed, NULL, 2);
		pthread_create(&thread, NULL, other_thread, NULL);
		prctl(PR_SET_PDEATHSIG, SIGUSR1);
		if (!may)
			lose_capabilities();
		report->ret = run_as_become(who, groups, ARRAY_SIZE(groups), &failure);
		strcpy(report->text, failure.text);
		pthread_barrier_wait(&changed);
		pthread_join(thread, NULL);
		look();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_user(uid_t uid, gid_t gid)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(report->ids[i], uid);
		assert_int_equal(report->gids[i], gid);
	}
	assert_int_equal(report->thread, uid);
	assert_int_equal(report->peer, uid);
	assert_int_equal(report->sig, SIGUSR1);
}

static void need_root(void)
{
	if (!geteuid() && capabilities(true) & 1U << CAP_SETUID)
		return;
	print_message("not root: nobody else can be become\n");
	skip();
}

static void test_another(void **state)
{
	const struct run_as who = { .given = true, .uid = OTHER, .gid = EXTRA + 1 };
	const uint32_t before = capabilities(false);

	(void)state;
	need_root();
	become(&who, true);
	assert_int_equal(report->ret, 0);
	check_user(OTHER, EXTRA + 1);
	assert_int_equal(report->num_groups, 1);
	assert_int_equal(report->groups[0], EXTRA);
	assert_int_equal(report->effective, 0);
	assert_int_equal(report->permitted, before);
	assert_int_not_equal(report->dumpable, 1);
	assert_false(report->removes[0]);
	assert_true(report->removes[1]);
	assert_false(report->removes[2]);
}

static void test_nobody(void **state)
{
	const struct run_as who = { 0 };
	struct failure failure = { 0 };
	struct run_as nobody;

	(void)state;
	need_root();
	assert_int_equal(run_as_parse(&nobody, RUN_AS_DEFAULT, &failure), 0);
	become(&who, true);
	assert_int_equal(report->ret, 0);
	check_user(nobody.uid, nobody.gid);
}

/* root:root is who it is already. */
static void test_root(void **state)
{
	const struct run_as who = { .given = true };

	(void)state;
	need_root();
	become(&who, true);
	assert_int_equal(report->ret, 0);
	check_user(0, 0);
	assert_int_not_equal(report->effective, 0);
	assert_true(report->removes[2]);
}

/* A container's root, or a service's, that may not change: goes on, unless it was asked for one. */
static void test_may_not(void **state)
{
	const struct run_as who = { .given = true, .uid = OTHER, .gid = OTHER }, none = { 0 };

	(void)state;
	need_root();
	become(&none, false);
	assert_int_equal(report->ret, 0);
	check_user(0, 0);
	become(&who, false);
	assert_int_equal(report->ret, -EPERM);
	assert_non_null(strstr(report->text, "cannot become user 12345"));
	check_user(0, 0);
}

/* ---- the tests ---- */

static int make_folders(void **state)
{
	static const mode_t modes[] = { 01777, 0777, 0755 };
	size_t i;

	(void)state;
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (report == MAP_FAILED)
		return -1;
	for (i = 0; i < ARRAY_SIZE(folders); i++) {
		strcpy(folders[i], "/tmp/vlb-run-as-XXXXXX");
		if (!mkdtemp(folders[i]) || chmod(folders[i], modes[i]))
			return -1;
	}
	return 0;
}

static int remove_folders(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(folders); i++)
		rmdir(folders[i]);
	return munmap(report, sizeof(*report));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_another),
		cmocka_unit_test(test_nobody), cmocka_unit_test(test_root),
		cmocka_unit_test(test_may_not),
	};

	return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
