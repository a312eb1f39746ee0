// SPDX-License-Identifier: BSD-3-Clause
/* Whom the adapter becomes, and what of the state directory goes with it. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adapter/user.h"
#include "check.h"
#include "common/state-dir.h"
#include "common/util.h"

#define UID 12345
#define GID 54321
#define STRANGER 23456

static char dir[64];

static char *file(const char *name)
{
	static char path[4][128];
	static unsigned int turn;

	turn = (turn + 1) % ARRAY_SIZE(path);
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static struct adapter_options options(bool said)
{
	return (struct adapter_options){
		.name = "unit",
		.state_dir = dir,
		.sandbox = true,
		.user = { .given = said, .uid = UID, .gid = GID },
	};
}

static void need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("not root: nobody else can be become\n");
	skip();
}

/* ---- whom ---- */

static void choose(const struct adapter_options *o, int expected, bool given)
{
	struct failure failure = { 0 };
	struct run_as user = { .uid = 1 };
	int ret = user_choose(&user, o, &failure);

	if (ret != expected || user.given != given || (ret && !strstr(failure.text, "12345:54321")))
		fail_msg("expected %d, given %d; saw %d, given %d, '%s'", expected, given, ret,
			 user.given, failure.text);
	if (given) {
		assert_int_equal(user.uid, UID);
		assert_int_equal(user.gid, GID);
	}
}

static void test_said(void **state)
{
	struct adapter_options o = options(true);

	(void)state;
	need_root();
	choose(&o, 0, true);
	/* it could not say how the device is */
	assert_int_equal(chmod(dir, 0755), 0);
	choose(&o, -EACCES, false);
	o.takeover = true;
	choose(&o, 0, false);
	o.takeover = false;
	o.sandbox = false;
	choose(&o, 0, false);
	/* by the group */
	o.sandbox = true;
	assert_int_equal(chown(dir, 0, GID), 0);
	assert_int_equal(chmod(dir, STATE_DIR_MODE), 0);
	choose(&o, 0, true);
}

static void test_not_said(void **state)
{
	struct adapter_options o = options(false);

	(void)state;
	if (getpwnam(SERVICE_USER)) {
		print_message("there is a user " SERVICE_USER "\n");
		skip();
	}
	choose(&o, 0, false);
}

static void test_words(void **state)
{
	struct run_as user = { .given = true, .uid = UID, .gid = GID }, again;
	struct failure failure = { 0 };
	char word[USER_WORD_SIZE];

	(void)state;
	assert_string_equal(user_word(&user, word), "12345:54321");
	assert_int_equal(run_as_parse(&again, word, &failure), 0);
	assert_int_equal(again.uid, UID);
	assert_int_equal(again.gid, GID);
	user.given = false;
	assert_null(user_word(&user, word));
	user = (struct run_as){ .given = true, .uid = (uid_t)-2, .gid = (gid_t)-2 };
	assert_string_equal(user_word(&user, word), "4294967294:4294967294");
}

/* ---- becoming it ---- */

static void touch(const char *name, uid_t uid)
{
	int fd = open(file(name), O_CREAT | O_EXCL | O_WRONLY, 0640);

	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, uid, 0), 0);
	close(fd);
}

static void bind_socket(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", file(name));
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(sock);
}

static void check_owner(const char *name, uid_t expected)
{
	struct stat st;

	assert_int_equal(lstat(file(name), &st), 0);
	if (st.st_uid != expected)
		fail_msg("%s: expected it to be user %u's, saw %u", name, expected, st.st_uid);
}

/* In a child. Return: its exit status, 0: it can do its work. */
static int become(const struct adapter_options *o)
{
	struct failure failure = { 0 };
	struct run_as user = o->user;
	struct state_record record;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		if (user_become(&user, o, &failure))
			_exit(1);
		if (geteuid() != UID || getegid() != GID || getgroups(0, NULL))
			_exit(2);
		memset(&record, 0, sizeof(record));
		if (state_write(dir, "unit", &record))
			_exit(3);
		state_clean(dir, "unit", false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* What the adapter has made so far is that user's, who can remove it in the end. */
static void test_become(void **state)
{
	const struct adapter_options o = options(true);
	static const char *const ours[] = { "unit.lock", "unit.state", "unit.log" };
	size_t i;

	(void)state;
	need_root();
	for (i = 0; i < ARRAY_SIZE(ours); i++)
		touch(ours[i], 0);
	bind_socket("unit.ctl");
	touch("other.lock", 0);
	assert_int_equal(become(&o), 0);
	for (i = 0; i < ARRAY_SIZE(ours); i++)
		assert_int_not_equal(access(file(ours[i]), F_OK), 0);
	assert_int_not_equal(access(file("unit.ctl"), F_OK), 0);
	check_owner("other.lock", 0);
	unlink(file("other.lock"));
}

/*
 * Who may write to the directory leaves what he likes. It is not in the way, and nothing outside
 * becomes anybody's by it.
 */
static void test_traps(void **state)
{
	const struct adapter_options o = options(true);

	(void)state;
	need_root();
	touch("target", 0);
	touch("unit.lock", STRANGER);
	assert_int_equal(symlink(file("target"), file("unit.state")), 0);
	assert_int_equal(link(file("target"), file("unit.log")), 0);
	assert_int_equal(mkfifo(file("unit.state.new"), 0600), 0);
	assert_int_equal(mkdir(file("unit.ctl"), 0700), 0);
	assert_int_equal(become(&o), 0);
	check_owner("target", 0);
	assert_int_not_equal(access(file("unit.ctl"), F_OK), 0);
	assert_int_equal(unlink(file("target")), 0);
}

/* ---- the tests ---- */

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/vlb-user-XXXXXX");
	return mkdtemp(dir) && !chmod(dir, 01777) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_said, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_not_said, make_dir, remove_dir),
		cmocka_unit_test(test_words),
		cmocka_unit_test_setup_teardown(test_become, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_traps, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
