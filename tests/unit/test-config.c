// SPDX-License-Identifier: BSD-3-Clause
/* Configuration files: what they say is understood, and each mistake is told with its line. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/config-file.h"
#include "check.h"
#include "common/ini.h"
#include "common/util.h"

/* ---- lines ---- */

static char said[4096];

static void note_line(void *context, const struct ini_line *line)
{
	size_t used = strlen(said);

	(void)context;
	if (line->key)
		snprintf(said + used, sizeof(said) - used, "%u %s.%s=%s|", line->number,
			 line->section, line->key, line->value);
	else
		snprintf(said + used, sizeof(said) - used, "%u [%s]|", line->number, line->section);
}

static void note_mistake(void *context, unsigned int number, const char *what)
{
	size_t used = strlen(said);

	(void)context;
	assert_true(what[0]);
	snprintf(said + used, sizeof(said) - used, "%u?|", number);
}

static void lines(const char *text, const char *expected)
{
	const struct ini_handler handler = { .line = note_line, .mistake = note_mistake };
	char buf[512];

	said[0] = '\0';
	strcpy(buf, text);
	ini_parse(buf, strlen(buf), &handler);
	assert_string_equal(said, expected);
}

static void test_lines(void **state)
{
	(void)state;
	lines("", "");
	lines("\n\n", "");
	lines("# a\n ; b\n\t\n[s]\nk=v", "4 [s]|5 s.k=v|");
	lines("[ s ]\n k = v w \n", "1 [s]|2 s.k=v w|");
	lines("k=v\n", "1 .k=v|");
	lines("[s]\r\nk=v\r\n\r\n", "1 [s]|2 s.k=v|");
	lines("k = a = b # no comment ; this\n", "1 .k=a = b # no comment ; this|");
	lines("k =\n", "1 .k=|");
	lines("[a]\n[b]\nk=v\n", "1 [a]|2 [b]|3 b.k=v|");
}

static void test_long_lines(void **state)
{
	(void)state;
	lines("k = a \\\n  b\\\n\tc\nl = d\n", "1 .k=a b c|4 .l=d|");
	lines("k = \\\n a\n", "1 .k=a|");
	lines("k = a \\\n\nl = b\n", "1 .k=a|3 .l=b|");
	/* the last line of the file has none to go on in */
	lines("k = a \\", "1 .k=a \\|");
	lines("k = a \\\r\n b\r\n", "1 .k=a b|");
	/* comments between are none of it, as in the files of systemd */
	lines("k = a \\\n# x\n  b\nl = c\n", "1 .k=a b|4 .l=c|");
	lines("k = a \\\n # x \\\n\t; y\n b \\\n# z\n c # d\n", "1 .k=a b c # d|");
	lines("k = a \\\n# x\n", "1 .k=a|");
	lines("k = a \\\n# x", "1 .k=a|");
}

/* As some editors begin a text, and only there. */
static void test_mark(void **state)
{
	(void)state;
	lines("\xef\xbb\xbf[s]\nk=v\n", "1 [s]|2 s.k=v|");
	lines("\xef\xbb\xbf", "");
	lines("\n\xef\xbb\xbf[s]\n", "2?|");
}

static void test_no_lines(void **state)
{
	const struct ini_handler handler = { .line = note_line, .mistake = note_mistake };
	char nul[] = "k=v\n\0k=v\n";

	(void)state;
	lines("word\n= v\n[s\n[s] x\nk=v\n", "1?|2?|3?|3 [s]|4?|4 [s]|5 s.k=v|");
	said[0] = '\0';
	ini_parse(nul, sizeof(nul) - 1, &handler);
	assert_string_equal(said, "1?|");
}

/* ---- files ---- */

static char folder[64];

static void add_mistake(void *context, const char *text)
{
	size_t used = strlen(said);

	(void)context;
	/* without the folder's name, which differs each time */
	assert_memory_equal(text, folder, strlen(folder));
	snprintf(said + used, sizeof(said) - used, "%s\n", text + strlen(folder) + 1);
}

static int load(struct config_file *file, struct adapter_options *options, const char *name,
		const char *text)
{
	char path[128];
	FILE *f;
	int ret;

	said[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	*file = (struct config_file){ .mistake = add_mistake };
	options_init(options);
	ret = config_load(file, path, options);
	unlink(path);
	return ret;
}

static void test_all_settings(void **state)
{
	struct adapter_options o;
	struct config_file file;

	(void)state;
	assert_int_equal(load(&file, &o, "screen.conf",
			      "[device]\n"
			      "type = gpu\n"
			      "exec = vhost-user-gpu '--virgl' \\\n"
			      "       --fd {fd}\n"
			      "queues = 2\nqueue-size = 96\npacked = yes\npool = 128M\nreconnect = 30\n"
			      "timeout = 7\nheartbeat = 9\n"
			      "display = vnc=127.0.0.1:1\ndisplay-program = /bin/true\n"
			      "resolution = 800x600\nheads = 2\n"
			      "verbose = yes\nno-sandbox = no\nno-takeover = yes\n"),
			 0);
	assert_string_equal(said, "");
	assert_string_equal(o.name, "screen");
	assert_int_equal(o.type.id, VIRTIO_ID_GPU);
	assert_string_equal(o.exec, "vhost-user-gpu '--virgl' --fd {fd}");
	assert_null(o.socket);
	assert_int_equal(o.queues, 2);
	assert_int_equal(o.queue_size, 96);
	assert_true(o.packed);
	assert_int_equal(o.pool, 128 << 20);
	assert_int_equal(o.reconnect_ms, 30000);
	assert_int_equal(o.timeout_ms, 7000);
	assert_int_equal(o.heartbeat_ms, 9000);
	assert_string_equal(o.display, "vnc=127.0.0.1:1");
	assert_string_equal(o.display_program, "/bin/true");
	assert_string_equal(o.resolution, "800x600");
	assert_int_equal(o.heads, 2);
	assert_true(o.verbose);
	assert_true(o.sandbox);
	assert_int_equal(o.keep_ms, 0);
	assert_null(file.backend);
	config_free(&file);
	/* what other types have */
	assert_int_equal(load(&file, &o, "x.conf", "[device]\ntype = net\nsocket = /s\n"
			      "mac = 02:00:00:00:00:01\nmtu = 1400\n"), 0);
	assert_int_equal(o.mac[5], 1);
	assert_int_equal(o.mtu, 1400);
	config_free(&file);
	assert_int_equal(load(&file, &o, "x.conf",
			      "[device]\ntype = fs\nsocket = /s\ntag = t\n"), 0);
	assert_string_equal(o.tag, "t");
	config_free(&file);
	assert_int_equal(load(&file, &o, "x.conf",
			      "[device]\ntype = 42\nsocket = /s\nconfig-size = 16\n"), 0);
	assert_int_equal(o.config_size, 16);
	config_free(&file);
}

static void test_backend(void **state)
{
	struct adapter_options o;
	struct config_file file;

	(void)state;
	assert_int_equal(load(&file, &o, "data.conf",
			      "[backend]\nexec = vhost-user-blk --image '/srv/a b'\n"
			      "[device]\ntype = 2\nsocket = /run/vhost-user/data.sock\n"),
			 0);
	assert_string_equal(file.backend, "vhost-user-blk --image '/srv/a b'");
	assert_string_equal(o.socket, "/run/vhost-user/data.sock");
	assert_null(o.exec);
	config_free(&file);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "", "x.conf: there is no [device]\n" },
		{ "[device]\n", "x.conf:1: [device] has no type\n"
				"x.conf:1: [device] has neither socket nor exec\n" },
		{ "type = blk\n[device]\ntype = blk\nexec = b\n",
		  "x.conf:1: type: stands before [device]\n" },
		{ "[device]\ntype = blk\nexec = b\nimage = /srv\n",
		  "x.conf:4: image: there is no such setting in [device]\n" },
		{ "[device]\ntype = blk\nexec = b\nstate-dir = /srv\n",
		  "x.conf:4: state-dir: there is no such setting in [device]\n" },
		{ "[device]\ntype = blk\nexec = b\nname = y\n",
		  "x.conf:4: name: the device is named after this file\n" },
		{ "[device]\ntype = blk\nexec = b\nqueues = many\nqueue-size = x\npool = 1\n",
		  "x.conf:4: queues = many: not understood: 1 to 256\n"
		  "x.conf:5: queue-size = x: not understood: 2 to 32768\n"
		  "x.conf:6: pool = 1: out of range: 64K to 4G\n" },
		/* what was not understood goes together with nothing */
		{ "[device]\ntype = blk\nexec = b\ntransport = vduse\npool = 1\n",
		  "x.conf:5: pool = 1: out of range: 64K to 4G\n" },
		{ "[device]\ntype = gpu\nexec = b\nheads = 0\n",
		  "x.conf:4: heads = 0: out of range: 1 to 16\n" },
		{ "[device]\ntype = blk\nexec = b\nqueue-size = 100\n",
		  "x.conf:4: queue-size 100: a power of two, or with packed\n" },
		{ "[device]\ntype = blk\nexec = b\nverbose = 1\n",
		  "x.conf:4: verbose = 1: yes or no, please\n" },
		{ "[device]\ntype = blk\nexec = b\n\nexec = c\n",
		  "x.conf:5: exec: was set in line 3 already\n" },
		{ "[device]\ntype = blk\nexec = b\nsocket = /s\n",
		  "x.conf:4: socket and exec: one of them, please\n" },
		{ "[device]\ntype = blk\nexec = 'b\n", "x.conf:3: exec: a quote is not closed\n" },
		{ "[device]\ntype = blk\nexec =\n", "x.conf:3: exec = : not understood: it is empty\n" },
		{ "[device]\ntype = blk\nexec = b\nheads = 2\n",
		  "x.conf:4: heads is for type gpu only\n" },
		{ "[device]\nmtu = 1400\ntype = blk\nsocket = /s\nconfig-size = 8\n",
		  "x.conf:2: mtu is for type net only\n"
		  "x.conf:5: config-size is for a type that is known by its number only\n" },
		/* what does not go together */
		{ "[device]\ntype = gpu\ntransport = vduse\nexec = b\n",
		  "x.conf:3: transport vduse serves the types blk and net, and no others\n" },
		{ "[device]\ntype = blk\nexec = b\npacked = yes\ntransport = vduse\n",
		  "x.conf:5: transport vduse: no packed, its virtqueues are split\n" },
		{ "[device]\ntype = gpu\nexec = b\ndisplay-input = /x\nqueue-size = 3\n",
		  "x.conf:5: queue-size 3: a power of two, or with packed\n"
		  "x.conf:4: display-input needs display sdl or vnc: nobody types elsewhere\n" },
		{ "[device]\ntype = gpu\nexec = b\nresolution = 4000x3000\nheads = 6\n",
		  "x.conf:5: heads 6: with resolution 4000x3000 they have more than 67108864 "
		  "pixels together\n" },
		{ "[device]\ntype = disk\nexec = b\ntransport = vduse\n", NULL },
		{ "[device]\ntype = blk\nexec = b\n[disk]\nimage = x\n",
		  "x.conf:4: [disk]: there are [device] and [backend] only\n" },
		{ "[device]\ntype = blk\nexec = b\n[backend]\nexec = c\n",
		  "x.conf:4: [backend] goes with socket in [device]: exec there starts another "
		  "one\n" },
		{ "[device]\ntype = blk\nsocket = /s\n[backend]\nuser = c\n",
		  "x.conf:5: user: the one setting of [backend] is exec\n"
		  "x.conf:4: [backend] has no exec\n" },
		{ "[device] # the disk\ntype = blk\nexec = b\n",
		  "x.conf:1: a section is written [NAME], with nothing behind it\n" },
		{ "[device\ntype = blk\nexec = b\n",
		  "x.conf:1: a section is written [NAME], with nothing behind it\n" },
		{ "[device]\ntype = blk\nexec = b\nwhat\n",
		  "x.conf:4: neither [SECTION] nor KEY = VALUE\n" },
		{ "[device]\ntype = blk\nexec = b\n[device]\n",
		  "x.conf:4: [device] began in line 1 already\n" },
	};
	struct adapter_options o;
	struct config_file file;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(load(&file, &o, "x.conf", cases[i].text), -EINVAL);
		if (cases[i].expected)
			assert_string_equal(said, cases[i].expected);
		else
			assert_int_equal(file.mistakes, 1);
		config_free(&file);
	}
	assert_int_equal(load(&file, &o, "x.conf", "[device]\ntype = disk\nexec = b\n"), -EINVAL);
	assert_non_null(strstr(said, "x.conf:2: type disk: no such device type"));
	config_free(&file);
}

static void test_names(void **state)
{
	static const char good[] = "[device]\ntype = blk\nexec = b\n";
	struct adapter_options o;
	struct config_file file;

	(void)state;
	assert_int_equal(load(&file, &o, "a.b.conf", good), 0);
	assert_string_equal(o.name, "a.b");
	config_free(&file);
	assert_int_equal(load(&file, &o, "plain", good), 0);
	assert_string_equal(o.name, "plain");
	config_free(&file);
	assert_int_equal(load(&file, &o, "a b.conf", good), -EINVAL);
	assert_non_null(strstr(said, "a b.conf: a device, and so its file"));
	config_free(&file);
	assert_int_equal(load(&file, &o, "a-name-that-is-much-too-long-for-it.conf", good), -EINVAL);
	assert_non_null(strstr(said, "up to 31 letters"));
	config_free(&file);
	assert_int_equal(load(&file, &o, "-x.conf", good), -EINVAL);
	assert_non_null(strstr(said, "neither '-' nor '.' first"));
	config_free(&file);
}

static void test_no_file(void **state)
{
	struct adapter_options o;
	struct config_file file = { .mistake = add_mistake };
	char path[128];

	(void)state;
	said[0] = '\0';
	options_init(&o);
	snprintf(path, sizeof(path), "%s/none.conf", folder);
	assert_int_equal(config_load(&file, path, &o), -ENOENT);
	assert_string_equal(said, "none.conf: No such file or directory\n");
	assert_int_equal(config_load(&file, folder, &o), -EISDIR);
	config_free(&file);
}

/* On the command line; what stands after it counts. */
static void test_option(void **state)
{
	static char program[] = "adapter", config[] = "--config", queues[] = "--queues",
		    three[] = "3";
	char path[128];
	char *args[] = { program, config, path, queues, three, NULL };
	struct adapter_options o;
	struct failure failure = { 0 };
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/blk7.conf", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("[device]\ntype = blk\nexec = b\nqueues = 2\nqueue-size = 64\n", f);
	fclose(f);
	assert_int_equal(options_parse(&o, 5, args, &failure), 0);
	assert_string_equal(o.name, "blk7");
	assert_int_equal(o.queues, 3);
	assert_int_equal(o.queue_size, 64);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("[device]\ntype = blk\nexec = b\nqueue = 2\n", f);
	fclose(f);
	assert_int_equal(options_parse(&o, 5, args, &failure), -EINVAL);
	assert_non_null(strstr(failure.text, "blk7.conf:4: queue: there is no such setting"));
	unlink(path);
}

/* The options point into the file's text, and there is room for one. */
static void test_two_files(void **state)
{
	static char program[] = "adapter", config[] = "--config", again[] = "--config";
	char path[2][128];
	char *args[] = { program, config, path[0], again, path[1], NULL };
	struct adapter_options o;
	struct failure failure = { 0 };
	size_t i;
	FILE *f;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(path); i++) {
		snprintf(path[i], sizeof(path[i]), "%s/blk%zu.conf", folder, i);
		f = fopen(path[i], "w");
		assert_non_null(f);
		fprintf(f, "[device]\ntype = blk\n%s\n", i ? "exec = b" : "socket = /a");
		fclose(f);
	}
	if (!options_parse(&o, 5, args, &failure))
		fail_msg("they were taken: --socket '%s', --exec '%s'", o.socket, o.exec);
	assert_non_null(strstr(failure.text, "one file"));
	for (i = 0; i < ARRAY_SIZE(path); i++)
		unlink(path[i]);
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/vlb-config-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	   cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_no_lines),   cmocka_unit_test(test_all_settings),
		cmocka_unit_test(test_backend),	   cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_option),	   cmocka_unit_test(test_two_files),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
