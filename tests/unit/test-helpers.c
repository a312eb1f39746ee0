// SPDX-License-Identifier: BSD-3-Clause
/* src/common: words, JSON, device types, the state directory. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/cleanup.h"
#include "common/device-types.h"
#include "common/failure.h"
#include "common/json-writer.h"
#include "common/state-dir.h"
#include "common/util.h"
#include "common/word-split.h"

/* ---- words ---- */

static void check_words(const char *text, int count, ...)
{
	_cleanup_(word_list_cleanup) char **words = NULL;
	va_list ap;
	int i;

	assert_int_equal(word_split(text, &words), count);
	va_start(ap, count);
	for (i = 0; i < count; i++)
		assert_string_equal(words[i], va_arg(ap, const char *));
	va_end(ap);
	assert_null(words[count]);
}

static void test_words(void **state)
{
	char **words = NULL;

	(void)state;
	check_words("", 0);
	check_words(" \t\n ", 0);
	check_words("a", 1, "a");
	check_words("  a  bc\td\n", 3, "a", "bc", "d");
	check_words("'a b' \"c d\" e\\ f", 3, "a b", "c d", "e f");
	check_words("a'b'\"c\"d", 1, "abcd");
	check_words("'' \"\"", 2, "", "");
	check_words("'a\\b' \"a\\b\\\"\\\\\\$\\`\" \\a", 3, "a\\b", "a\\b\"\\$`", "a");
	check_words("a\\\nb \"c\\\nd\"", 2, "ab", "cd");
	check_words("$HOME `x` * ~ ; | > <&", 8, "$HOME", "`x`", "*", "~", ";", "|", ">", "<&");
	assert_int_equal(word_split("'a", &words), -EINVAL);
	assert_int_equal(word_split("\"a", &words), -EINVAL);
	assert_int_equal(word_split("a\\", &words), -EINVAL);
	assert_null(words);
}

/* A line that comes apart into the same words, and that a shell understands as well. */
static void test_join(void **state)
{
	static const char *const lists[][4] = {
		{ "plain", "--fd=3", "{socket}" }, { "/usr/bin/x", "", "a b" },
		{ "it's", "\"q\"", "\\" },	   { "$HOME", "`x`", "a\n\tb" },
		{ "'", "''", "\xc3\xa4;*" },	   { NULL },
	};
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_(word_list_cleanup) char **given = calloc(1, sizeof(*given));
		_cleanup_(word_list_cleanup) char **words = NULL;
		_cleanup_free_ char *line = NULL;

		assert_non_null(given);
		for (n = 0; lists[i][n]; n++)
			assert_int_equal(word_list_append(&given, lists[i][n]), 0);
		assert_int_equal(word_join(given, &line), 0);
		assert_int_equal(word_split(line, &words), n);
		for (n = 0; lists[i][n]; n++)
			assert_string_equal(words[n], lists[i][n]);
		if (i == 0)
			assert_string_equal(line, "plain --fd=3 {socket}");
		if (i == 3)
			assert_string_equal(line, "'$HOME' '`x`' 'a\n\tb'");
	}
}

static void test_replace(void **state)
{
	_cleanup_(word_list_cleanup) char **words = NULL;

	(void)state;
	assert_int_equal(word_split("x {fd} --fd={fd},{fd} {f}", &words), 4);
	assert_int_equal(word_list_replace(words, "{fd}", "{fd}7"), 3);
	assert_string_equal(words[1], "{fd}7");
	assert_string_equal(words[2], "--fd={fd}7,{fd}7");
	assert_string_equal(words[3], "{f}");
	assert_int_equal(word_list_replace(words, "{none}", "x"), 0);
	assert_int_equal(word_list_append(&words, "last"), 0);
	assert_string_equal(words[4], "last");
	assert_null(words[5]);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct json_writer w;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	json_init(&w, f);
	json_object_begin(&w, NULL);
	json_string(&w, "a", "q\"b\\n\nt\tc\001\x7f");
	json_string(&w, "utf8", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	/* a lone byte, an overlong form, a surrogate, too large, cut off */
	json_string(&w, "bad", "\xff \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82");
	json_string(&w, "none", NULL);
	json_array_begin(&w, "list");
	json_u64(&w, NULL, UINT64_MAX);
	json_i64(&w, NULL, INT64_MIN);
	json_bool(&w, NULL, true);
	json_end(&w);
	json_array_begin(&w, "empty");
	json_end(&w);
	json_end(&w);
	fclose(f);
	assert_string_equal(
		text,
		"{\n  \"a\": \"q\\\"b\\\\n\\nt\\tc\\u0001\\u007f\",\n"
		"  \"utf8\": \"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\",\n"
		"  \"bad\": \"\\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd "
		"\\ufffd\\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\",\n"
		"  \"none\": null,\n"
		"  \"list\": [\n    18446744073709551615,\n    -9223372036854775808,\n    true\n"
		"  ],\n  \"empty\": []\n}\n");
}

static void test_json_empty(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct json_writer w;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	json_init(&w, f);
	json_array_begin(&w, NULL);
	json_end(&w);
	fclose(f);
	assert_string_equal(text, "[]\n");
}

/* ---- device types ---- */

static void test_types(void **state)
{
	struct device_type type;
	char text[16];

	(void)state;
	assert_int_equal(device_type_find("blk", &type), 0);
	assert_int_equal(type.id, 2);
	assert_string_equal(type.module, "virtio_blk");
	assert_int_equal(device_type_find("0x2", &type), 0);
	assert_string_equal(type.name, "blk");
	assert_int_equal(device_type_find("99", &type), 0);
	assert_int_equal(type.id, 99);
	assert_null(type.name);
	assert_int_equal(type.layout, QUEUES_BACKEND);
	assert_int_equal(device_type_find("0", &type), -ERANGE);
	assert_int_equal(device_type_find("65536", &type), -ERANGE);
	assert_int_equal(device_type_find("disk", &type), -ENOENT);
	assert_int_equal(device_type_find("", &type), -ENOENT);
	assert_string_equal(device_type_name(4, text, sizeof(text)), "rng");
	assert_string_equal(device_type_name(99, text, sizeof(text)), "99");
	assert_non_null(strstr(device_type_names(), "gpio"));
}

/* The document's sizes: virtio 5.2.4 with zones and secure erase, 5.14.4 with controls. */
static void test_config_sizes(void **state)
{
	const struct device_type *blk = device_type_by_id(2), *sound = device_type_by_id(25);

	(void)state;
	assert_int_equal(device_type_config_size(blk, 0), 60);
	assert_int_equal(device_type_config_size(blk, BIT_ULL(16)), 72);
	assert_int_equal(device_type_config_size(blk, BIT_ULL(17)), 96);
	assert_int_equal(device_type_config_size(blk, BIT_ULL(16) | BIT_ULL(17)), 96);
	assert_int_equal(device_type_config_size(sound, 0), 12);
	assert_int_equal(device_type_config_size(sound, 1), 16);
	assert_int_equal(device_type_config_size(device_type_by_id(4), UINT64_MAX), 0);
}

/* ---- the state directory ---- */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/vlb-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir); /* fails unless all is cleaned */
}

static void test_record(void **state)
{
	struct state_record in = {
		.adapter_pid = 4711,
		.device_id = 2,
		.parent = 3,
		.queues = 4,
		.queue_size = 128,
		.pool = 1ULL << 32,
		.waiting = true,
		.reconnect = "forever",
		.backend = "exec a\\b 'c\nd' = e\\n",
	};
	struct state_record out;

	(void)state;
	assert_int_equal(state_read(dir, "x", &out), -ENOENT);
	assert_int_equal(state_write(dir, "x", &in), 0);
	assert_int_equal(state_read(dir, "x", &out), 0);
	assert_int_equal(out.adapter_pid, 4711);
	assert_int_equal(out.device_id, 2);
	assert_int_equal(out.parent, 3);
	assert_int_equal(out.queues, 4);
	assert_int_equal(out.queue_size, 128);
	assert_true(out.pool == 1ULL << 32);
	assert_true(out.waiting);
	assert_string_equal(out.reconnect, "forever");
	assert_string_equal(out.backend, in.backend);
	in.parent = -1;
	assert_int_equal(state_write(dir, "x", &in), 0);
	assert_int_equal(state_read(dir, "x", &out), 0);
	assert_int_equal(out.parent, -1);
	state_clean(dir, "x", false);
}

/* Another process holds the name; when it is killed the name is free and its files are stale. */
static void test_lock(void **state)
{
	char path[PATH_MAX], byte;
	int ready[2], fd;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_false(state_alive(dir, "n"));
	child = fork();
	if (child == 0) {
		fd = state_lock(dir, "n");
		byte = fd >= 0 ? 'y' : 'n';
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_true(state_alive(dir, "n"));
	assert_int_equal(state_lock(dir, "n"), -EEXIST);
	state_clean_dead(dir, "n", false, DEADLINE_NOW); /* nothing to it while the other one lives */
	assert_true(state_alive(dir, "n"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_false(state_alive(dir, "n"));
	assert_int_equal(state_path(path, sizeof(path), dir, "n", "lock"), 0);
	assert_int_equal(access(path, F_OK), 0);
	state_clean_dead(dir, "n", false, DEADLINE_NOW);
	assert_int_equal(access(path, F_OK), -1);
	fd = state_lock(dir, "n");
	assert_true(fd >= 0);
	state_clean(dir, "n", false);
	/* the lock of a file that was removed is no lock of the name */
	assert_false(state_alive(dir, "n"));
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

/* Whoever looks for the devices that there are has each lock for a moment. */
static void test_lock_looked_at(void **state)
{
	char path[PATH_MAX], byte;
	int ready[2], fd;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(state_path(path, sizeof(path), dir, "n", "lock"), 0);
	close(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640));
	child = fork();
	if (child == 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (flock(fd, LOCK_SH) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		poll(NULL, 0, 30);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	fd = state_lock(dir, "n");
	waitpid(child, NULL, 0);
	if (fd < 0)
		fail_msg("expected the lock, saw %d: the name is taken by who looks", fd);
	state_clean(dir, "n", false);
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

/* In a process of its own, which an alarm ends if it waits. */
static int in_time(int (*look)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		alarm(5);
		_exit(-look());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status))
		fail_msg("it waits: signal %d ended it", WTERMSIG(status));
	return -WEXITSTATUS(status);
}

static int look_alive(void)
{
	return state_alive(dir, "x");
}

static int look_read(void)
{
	struct state_record record;

	return state_read(dir, "x", &record);
}

static int look_lock(void)
{
	return MIN(state_lock(dir, "x"), 0);
}

static void put_fifo(const char *suffix)
{
	char path[PATH_MAX];

	assert_int_equal(state_path(path, sizeof(path), dir, "x", suffix), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
}

/* Who may write to the directory leaves what he likes: nobody waits for it, or believes it. */
static void test_foreign_files(void **state)
{
	char path[PATH_MAX], target[PATH_MAX];
	int fd;

	(void)state;
	put_fifo("lock");
	assert_int_equal(in_time(look_alive), 0);
	assert_int_equal(in_time(look_lock), -EINVAL);
	put_fifo("state");
	assert_int_equal(in_time(look_read), -EINVAL);
	state_clean(dir, "x", false);
	/* what has no end, nor lines */
	assert_int_equal(state_path(path, sizeof(path), dir, "x", "state"), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	close(fd);
	assert_int_equal(in_time(look_read), -EFBIG);
	/* another one's words */
	snprintf(target, sizeof(target), "%s/y", dir);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(truncate(target, 0), 0);
	assert_int_equal(symlink("y", path), 0);
	assert_int_equal(in_time(look_read), -ELOOP);
	unlink(target);
	state_clean(dir, "x", false);
}

/* A device may be called as another one's socket is. */
static void test_names_like_files(void **state)
{
	int lock = state_lock(dir, "foo.sock");

	(void)state;
	assert_true(lock >= 0);
	state_clean(dir, "foo", false);
	assert_true(state_alive(dir, "foo.sock"));
	close(lock);
	state_clean(dir, "foo.sock", false);
}

static void test_unsafe_directory(void **state)
{
	struct failure failure = { 0 };
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/sub", dir);
	assert_int_equal(state_dir_make(path, &failure), 0);
	assert_int_equal(state_dir_make(path, &failure), 0);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(state_dir_make(path, &failure), -EPERM);
	assert_non_null(strstr(failure.text, path));
	rmdir(path);
}

static void test_failure(void **state)
{
	struct failure failure = { 0 };

	(void)state;
	assert_string_equal(failure_text(&failure, -ENOENT), strerror(ENOENT));
	assert_int_equal(failure_set(&failure, -EIO, "first %d", 1), -EIO);
	assert_int_equal(failure_set(&failure, -EPERM, "second"), -EPERM);
	assert_string_equal(failure_text(&failure, -EPERM), "first 1");
	failure_clear(&failure);
	assert_int_equal(failure_set(NULL, -EIO, "nobody"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_empty),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_config_sizes),
		cmocka_unit_test_setup_teardown(test_record, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_lock, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_lock_looked_at, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_foreign_files, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_names_like_files, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_unsafe_directory, make_dir, remove_dir),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
