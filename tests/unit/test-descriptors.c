// SPDX-License-Identifier: BSD-3-Clause
/* Back-ends that are looked for: descriptors in folders made for it, programs that are asked. */
#include <errno.h>
#include <limits.h>
#include <linux/virtio_ids.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cli/backend-search.h"
#include "cli/capabilities.h"
#include "cli/descriptor.h"
#include "cli/json-text.h"
#include "common/cleanup.h"
#include "common/device-types.h"
#include "common/log.h"
#include "common/util.h"
#include "common/word-split.h"

static char root[64], general[80], local[80], users[80];
static char *folders[] = { general, local, users, NULL };

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/vlb-descriptors-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(general, sizeof(general), "%s/share", root);
	snprintf(local, sizeof(local), "%s/etc", root);
	snprintf(users, sizeof(users), "%s/home", root);
	log_set_level(LOG_LEVEL_ERROR); /* warnings are looked for in the guest's test */
	return mkdir(general, 0755) || mkdir(local, 0755) || mkdir(users, 0755);
}

static int remove_root(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void make_file(const char *folder, const char *name, const char *text, size_t size)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void make_text(const char *folder, const char *name, const char *text)
{
	make_file(folder, name, text, strlen(text));
}

static void make_descriptor(const char *folder, const char *name, const char *type,
			    const char *binary)
{
	char text[PATH_MAX + 200];

	snprintf(text, sizeof(text),
		 "{ \"description\": \"of %s\", \"type\": \"%s\", \"binary\": \"%s\", "
		 "\"tags\": [ \"x\" ] }\n",
		 name, type, binary);
	make_text(folder, name, text);
}

/* A back-end that answers with this. Return: its path, in a buffer of the caller's. */
static char *make_program(char path[PATH_MAX], const char *name, const char *script)
{
	char text[1024];

	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
	make_text(root, name, text);
	snprintf(path, PATH_MAX, "%s/%s", root, name);
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

/* The names of all that are found, those of no use with a '!' before them. */
static const char *found(void)
{
	static char names[512];
	struct descriptor_list list;
	size_t i, used = 0;

	names[0] = '\0';
	assert_int_equal(descriptor_list_read(folders, &list), 0);
	for (i = 0; i < list.count; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s%s",
					 i ? " " : "", list.entries[i].problem.text[0] ? "!" : "",
					 list.entries[i].path + strlen(root) + 1);
	descriptor_list_free(&list);
	return names;
}

/* ---- the folders ---- */

static void test_order(void **state)
{
	(void)state;
	assert_string_equal(found(), "");
	make_descriptor(general, "50-b.json", "block", "/bin/true");
	make_descriptor(general, "60-a.json", "rng", "/bin/true");
	make_descriptor(local, "55-c.json", "block", "/bin/true");
	make_descriptor(users, "50-a.json", "block", "/bin/true");
	assert_string_equal(found(),
			    "home/50-a.json share/50-b.json etc/55-c.json share/60-a.json");
}

static void test_override(void **state)
{
	(void)state;
	make_descriptor(general, "50-a.json", "block", "/bin/true");
	make_descriptor(general, "50-b.json", "block", "/bin/true");
	make_descriptor(local, "50-b.json", "rng", "/bin/true");
	assert_string_equal(found(), "share/50-a.json etc/50-b.json");
	make_descriptor(users, "50-b.json", "gpu", "/bin/true");
	assert_string_equal(found(), "share/50-a.json home/50-b.json");
	/* one that is wrong stands for the others all the same: somebody wants it instead */
	make_text(users, "50-b.json", "{");
	assert_string_equal(found(), "share/50-a.json !home/50-b.json");
}

static void test_disable(void **state)
{
	char path[PATH_MAX];

	(void)state;
	make_descriptor(general, "50-a.json", "block", "/bin/true");
	make_descriptor(general, "50-b.json", "block", "/bin/true");
	make_descriptor(general, "50-c.json", "block", "/bin/true");
	make_text(local, "50-a.json", "");
	snprintf(path, sizeof(path), "%s/50-b.json", users);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_string_equal(found(), "share/50-c.json");
	/* what hides is hidden as well */
	make_descriptor(users, "50-a.json", "block", "/bin/true");
	assert_string_equal(found(), "home/50-a.json share/50-c.json");
}

static void test_other_files(void **state)
{
	char path[PATH_MAX];

	(void)state;
	make_descriptor(general, "50-a.json~", "block", "/bin/true");
	make_descriptor(general, ".50-a.json", "block", "/bin/true");
	make_descriptor(general, "50-a.json.dpkg-old", "block", "/bin/true");
	make_descriptor(general, ".json", "block", "/bin/true");
	assert_string_equal(found(), "");
	/* nobody will ever write into it */
	snprintf(path, sizeof(path), "%s/50-b.json", general);
	assert_int_equal(mkfifo(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/50-c.json", general);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/50-d.json", general);
	assert_int_equal(symlink("nowhere", path), 0);
	make_descriptor(general, "50-e.json", "block", "/bin/true");
	assert_string_equal(found(), "!share/50-b.json !share/50-c.json !share/50-d.json "
				     "share/50-e.json");
}

static void test_folder_of_no_use(void **state)
{
	(void)state;
	make_descriptor(general, "10-a.json", "block", "/bin/true");
	assert_int_equal(rmdir(local), 0); /* which is nothing unusual */
	assert_string_equal(found(), "share/10-a.json");
	make_text(root, "etc", "a file");
	assert_string_equal(found(), "!etc share/10-a.json");
}

static void test_usual_folders(void **state)
{
	static const struct {
		const char *config, *home, *last;
	} users_folder[] = {
		{ "/xdg", "/home/me", "/xdg/qemu/vhost-user" },
		{ NULL, "/home/me", "/home/me/.config/qemu/vhost-user" },
		{ "", "/home/me", "/home/me/.config/qemu/vhost-user" },
		{ "xdg", "/home/me", "/home/me/.config/qemu/vhost-user" },
		{ NULL, NULL, "/etc/qemu/vhost-user" },
		{ NULL, "me", "/etc/qemu/vhost-user" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(users_folder); i++) {
		_cleanup_(word_list_cleanup) char **list = NULL;
		bool system = false;
		char **last;

		unsetenv("XDG_CONFIG_HOME");
		unsetenv("HOME");
		if (users_folder[i].config)
			setenv("XDG_CONFIG_HOME", users_folder[i].config, 1);
		if (users_folder[i].home)
			setenv("HOME", users_folder[i].home, 1);
		assert_int_equal(descriptor_folders(&list), 0);
		assert_string_equal(list[0], "/usr/share/qemu/vhost-user");
		for (last = list; last[1]; last++)
			system |= !strcmp(last[1], "/etc/qemu/vhost-user");
		assert_true(system);
		assert_string_equal(*last, users_folder[i].last);
	}
}

/* ---- one descriptor ---- */

/* What is said of one with this text. */
static void check_problem(const char *text, size_t size, const char *says)
{
	struct descriptor_list list;
	const char *seen;

	make_file(general, "50-x.json", text, size);
	assert_int_equal(descriptor_list_read(folders, &list), 0);
	assert_int_equal(list.count, 1);
	seen = list.entries[0].problem.text;
	if (!strstr(seen, says) || !says[0] != !seen[0])
		fail_msg("%s: expected '%s', saw '%s'", text, says, seen);
	descriptor_list_free(&list);
}

static void test_texts(void **state)
{
	static const char *const texts[][2] = {
		{ "{ \"type\": \"block\", \"binary\": \"/bin/true\" }", "" },
		{ " \n{\"x\":[[1]],\"binary\":\"/bin/true\",\"type\":\"rng\"}\n \t\n", "" },
		{ " ", "it ends too early" },
		{ "{", "it ends too early" },
		{ "{ \"type\": \"block\",\n \"binary\": /bin/true }", "no JSON: line 2" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin/true\", }", "no JSON: line 1" },
		{ "{ 'type': 'block', 'binary': '/bin/true' }", "no JSON" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin/true\" } x", "no JSON" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin/true\" } {}", "no JSON" },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "no JSON" },
		{ "[ \"type\", \"block\" ]", "expected an object" },
		{ "\"block\"", "expected an object" },
		{ "null", "no JSON" },
		{ "{ \"binary\": \"/bin/true\" }", "\"type\" is missing" },
		{ "{ \"type\": \"block\" }", "\"binary\" is missing" },
		{ "{ \"type\": 2, \"binary\": \"/bin/true\" }", "\"type\": expected a string" },
		{ "{ \"type\": null, \"binary\": \"/bin/true\" }", "\"type\": expected a string" },
		{ "{ \"type\": \"block\", \"binary\": [] }", "\"binary\": expected a string" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin/true\", \"description\": {} }",
		  "\"description\": expected a string" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin/true\\u0000x\" }",
		  "\"binary\": expected a string" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin/\\u001b[2J\" }", "control character" },
		{ "{ \"type\": \"blo\\u0007ck\", \"binary\": \"/bin/true\" }", "control character" },
		{ "{ \"type\": \"block\", \"binary\": \"bin/true\" }", "no absolute path" },
		{ "{ \"type\": \"block\", \"binary\": \"\" }", "no absolute path" },
		{ "{ \"type\": \"block\", \"binary\": \"/none/there\" }", "is not there" },
		{ "{ \"type\": \"block\", \"binary\": \"/etc/passwd\" }", "cannot be executed" },
		{ "{ \"type\": \"block\", \"binary\": \"/bin\" }", "cannot be executed" },
		{ "{ \"type\": \"sound\", \"binary\": \"/bin/true\" }", "no type \"sound\"" },
		{ "{ \"type\": \"blk\", \"binary\": \"/bin/true\" }", "no type \"blk\"" },
		{ "{ \"type\": \"\xff\", \"binary\": \"/bin/true\" }", "no JSON" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		check_problem(texts[i][0], strlen(texts[i][0]), texts[i][1]);
}

static void test_bytes(void **state)
{
	static const char zero[] = "{ \"type\": \"block\", \"binary\": \"/bin/true\" }\0{";
	static const char good[] = "{ \"type\": \"block\", \"binary\": \"/bin/true\" }";
	static char large[JSON_TEXT_MAX + 2];

	(void)state;
	check_problem(zero, sizeof(zero) - 1, "a zero byte");
	memset(large, ' ', sizeof(large) - 1);
	memcpy(large, good, strlen(good)); /* NOLINT(bugprone-not-null-terminated-result) */
	check_problem(large, JSON_TEXT_MAX, "");
	check_problem(large, JSON_TEXT_MAX + 1, "more than");
}

static void test_members(void **state)
{
	struct descriptor_list list;
	const struct descriptor *d;

	(void)state;
	make_descriptor(general, "50-a.json", "block", "/bin/true");
	assert_int_equal(descriptor_list_read(folders, &list), 0);
	assert_int_equal(list.count, 1);
	d = &list.entries[0];
	assert_string_equal(d->type, "block");
	assert_int_equal(d->virtio_id, VIRTIO_ID_BLOCK);
	assert_string_equal(d->binary, "/bin/true");
	assert_string_equal(d->description, "of 50-a.json");
	descriptor_list_free(&list);
}

/* ---- asking programs ---- */

static void check_answer(const char *script, const char *says)
{
	_cleanup_(word_list_cleanup) char **features = NULL;
	struct failure failure = { 0 };
	char path[PATH_MAX];
	int ret;

	ret = capabilities_ask(make_program(path, "asked", script), "block", &features, &failure);
	if (!says) {
		assert_string_equal(failure.text, "");
		assert_int_equal(ret, 0);
		assert_string_equal(features[0], "read-only");
		assert_string_equal(features[1], "blk-file");
		assert_null(features[2]);
		return;
	}
	assert_true(ret < 0);
	if (!strstr(failure.text, says) || !strstr(failure.text, path))
		fail_msg("%s: expected '%s', saw '%s'", script, says, failure.text);
}

static void test_answers(void **state)
{
	int before = open_fds();

	(void)state;
	check_answer("[ \"$*\" = --print-capabilities ] && echo noise >&2 && "
		     "echo '{ \"type\": \"block\", \"features\": [ \"read-only\", \"blk-file\" ] }'",
		     NULL);
	check_answer("echo '{ \"type\": \"gpu\" }'", "not of type block");
	check_answer("echo '{ }'", "not of type block");
	check_answer("echo '{ \"type\": \"block\", \"features\": \"virgl\" }'", "expected an array");
	check_answer("echo '{ \"type\": \"block\", \"features\": [ 1 ] }'", "names of options");
	check_answer("echo '{ \"type\": \"block\", \"features\": [ \"a b\" ] }'", "names of options");
	check_answer("echo '{ \"type\": \"block\", \"features\": [ \"\" ] }'", "names of options");
	check_answer("echo what?", "no JSON");
	check_answer("", "it ends too early");
	check_answer("yes", "more than");
	check_answer("echo '{ \"type\": \"block\" }'; exit 3", "status 3");
	check_answer("echo '{ \"type\": \"block\" }'; kill -9 $$", "a signal ended it");
	assert_int_equal(open_fds(), before);
}

/* One that says nothing, and one that leaves somebody behind who holds its output. */
static void test_no_answer(void **state)
{
	time_t before = time(NULL);

	(void)state;
	check_answer("exec sleep 100", "no answer");
	check_answer("echo '{ \"type\": \"block\" }'; sleep 20 & exit 0", "no answer");
	assert_in_range(time(NULL) - before, 8, 15);
}

/* ---- options ---- */

static void test_options(void **state)
{
	_cleanup_(word_list_cleanup) char **words = NULL;
	static const int taken[] = { 2, 0, 1, -EINVAL, 1, -EINVAL, 1, 0, 0, 0, -EINVAL };
	struct backend_options options = { 0 };
	struct device_type blk, rng;
	struct failure failure = { 0 };
	size_t i;

	(void)state;
	assert_int_equal(word_split("--blk-file disk --read-only --virgl= --blk-file=a=b "
				    "--evdev-path= --no-grab --blk -- disk --render-node",
				    &words),
			 ARRAY_SIZE(taken));
	assert_null(backend_options_first(&options));
	for (i = 0; words[i]; i++) {
		options = (struct backend_options){ 0 };
		failure_clear(&failure);
		assert_int_equal(backend_options_take(&options, &words[i], &failure), taken[i]);
		assert_int_equal(failure.text[0] != '\0', taken[i] < 0);
	}
	options = (struct backend_options){ 0 };
	assert_int_equal(backend_options_take(&options, &words[4], &failure), 1);
	assert_string_equal(options.given[0], "a=b");
	assert_string_equal(backend_options_first(&options), "--blk-file");
	assert_int_equal(device_type_find("blk", &blk), 0);
	assert_int_equal(device_type_find("rng", &rng), 0);
	failure_clear(&failure);
	assert_int_equal(backend_options_check(&options, &blk, &failure), 0);
	assert_int_equal(backend_options_check(&options, &rng, &failure), -EINVAL);
	assert_string_equal(failure.text, "--blk-file is for --type blk");
}

/* ---- the search ---- */

#define FEATURES(list) "echo '{ \"type\": \"block\", \"features\": [ " list " ] }'"

/* @says: the command line, with the test's folder as @; or what the failure has in it. */
static void check_search(const char *type_name, const struct backend_options *wanted, int expected,
			 const char *says)
{
	_cleanup_free_ char *command = NULL;
	struct failure failure = { 0 };
	char whole[1024] = "", *at;
	struct device_type type;
	int ret;

	assert_int_equal(device_type_find(type_name, &type), 0);
	ret = backend_search(wanted, &type, folders, &command, &failure);
	assert_int_equal(ret, expected);
	if (ret) {
		if (!strstr(failure.text, says) || !strstr(failure.text, "--exec"))
			fail_msg("expected '%s', saw '%s'", says, failure.text);
		return;
	}
	snprintf(whole, sizeof(whole), "%s", command);
	while ((at = strstr(whole, root))) {
		*at = '@';
		memmove(at + 1, at + strlen(root), strlen(at + strlen(root)) + 1);
	}
	assert_string_equal(whole, says);
}

static void test_search(void **state)
{
	struct backend_options any = { 0 };
	char path[PATH_MAX];

	(void)state;
	check_search("blk", &any, -ENOENT, "no back-end of type blk is installed");
	check_search("can", &any, -ENOENT, "no descriptors for back-ends of type can");
	check_search("sound", &any, -ENOENT, "no descriptors for back-ends of type sound");
	check_search("4000", &any, -ENOENT, "no descriptors for back-ends of type 4000");
	make_descriptor(general, "10-rng.json", "rng", make_program(path, "rng", "false"));
	check_search("blk", &any, -ENOENT, "no back-end of type blk is installed");
	/* what is wrong and might be that is told, and the next one is taken */
	make_text(general, "20-bad.json", "{");
	make_descriptor(general, "30-blk.json", "block", "/none/there");
	check_search("blk", &any, -ENOENT, "no back-end of type blk can be used");
	make_descriptor(general, "50-blk.json", "block", make_program(path, "b 5", "false"));
	check_search("blk", &any, 0, "'@/b 5' --socket-path={socket}");
	make_descriptor(local, "40-blk.json", "block", make_program(path, "b4", "false"));
	check_search("2", &any, 0, "@/b4 --socket-path={socket}");
	check_search("rng", &any, 0, "@/rng --socket-path={socket}");
	check_search("9", &any, -ENOENT, "no back-end of type 9 can be used");
}

static void test_search_features(void **state)
{
	struct backend_options wanted = { .given = { "/d.img" } };
	char path[PATH_MAX];

	(void)state;
	make_descriptor(general, "10-a.json", "block", make_program(path, "a", FEATURES("")));
	check_search("blk", &wanted, -ENOENT, "has --blk-file");
	make_descriptor(general, "15-b.json", "block", make_program(path, "b", "exit 1"));
	check_search("blk", &wanted, -ENOENT, "has --blk-file");
	make_descriptor(general, "20-c.json", "block",
			make_program(path, "c", FEATURES("\"blk-file\"")));
	make_descriptor(general, "30-d.json", "block",
			make_program(path, "d", FEATURES("\"blk-file\", \"read-only\"")));
	check_search("blk", &wanted, 0, "@/c --socket-path={socket} --blk-file=/d.img");
	wanted.given[1] = "";
	check_search("blk", &wanted, 0, "@/d --socket-path={socket} --blk-file=/d.img --read-only");
}

static void test_search_words(void **state)
{
	_cleanup_(word_list_cleanup) char **more = NULL;
	_cleanup_(word_list_cleanup) char **own = NULL;
	struct backend_options wanted = { 0 };
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(word_split("-x \"it's\"", &more), 2);
	assert_int_equal(word_split("--fd={fd}", &own), 1);
	wanted.more = more;
	make_descriptor(general, "10-a.json", "block", make_program(path, "a", FEATURES("\"blk-file\"")));
	check_search("blk", &wanted, 0, "@/a --socket-path={socket} -x 'it'\\''s'");
	/* the user knows another way to the socket */
	wanted.more = own;
	check_search("blk", &wanted, 0, "@/a --fd={fd}");
	/* the back-end will stand elsewhere */
	assert_int_equal(chdir(root), 0);
	wanted.given[0] = "d.img";
	check_search("blk", &wanted, 0, "@/a --blk-file=@/d.img --fd={fd}");
	assert_int_equal(chdir("/"), 0);
}

#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOT(test_order),
		IN_ROOT(test_override),
		IN_ROOT(test_disable),
		IN_ROOT(test_other_files),
		IN_ROOT(test_folder_of_no_use),
		cmocka_unit_test(test_usual_folders),
		IN_ROOT(test_texts),
		IN_ROOT(test_bytes),
		IN_ROOT(test_members),
		IN_ROOT(test_answers),
		IN_ROOT(test_no_answer),
		cmocka_unit_test(test_options),
		IN_ROOT(test_search),
		IN_ROOT(test_search_features),
		IN_ROOT(test_search_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
