// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/config-file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/option-value.h"
#include "adapter/snapshot.h"
#include "common/cleanup.h"
#include "common/ini.h"
#include "common/log.h"
#include "common/util.h"
#include "common/word-split.h"

#define SIZE_MAX_BYTES (64 << 10)
#define KEYS_MAX 40 /* different ones, more than there are */

struct reader {
	struct config_file *file;
	const char *path;
	struct adapter_options *options;
	unsigned int device_line; /* of [device], 0: not there */
	unsigned int backend_line;
	struct seen {
		const char *section;
		const char *key;
		unsigned int line;
	} seen[KEYS_MAX];
	unsigned int count;
};

static void __attribute__((format(printf, 3, 4)))
mistake(struct reader *r, unsigned int line, const char *fmt, ...)
{
	char what[256], text[sizeof(what) + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (line)
		snprintf(text, sizeof(text), "%.200s:%u: %s", r->path, line, what);
	else
		snprintf(text, sizeof(text), "%.200s: %s", r->path, what);
	r->file->mistakes++;
	r->file->mistake(r->file->context, text);
}

/* What is worded for a command line: options of a file have no dashes. */
static void mistake_of_option(struct reader *r, unsigned int line, const char *text)
{
	char what[256];
	size_t used = 0;
	const char *c;

	for (c = text; *c && used < sizeof(what) - 1; c++) {
		if ((c == text || c[-1] == ' ') && !strncmp(c, "--", 2) && islower((unsigned char)c[2]))
			c += 2;
		what[used++] = *c;
	}
	what[used] = '\0';
	mistake(r, line, "%s", what);
}

/* ---- line by line ---- */

static unsigned int line_of(const struct reader *r, const char *section, const char *key)
{
	unsigned int i;

	for (i = 0; i < r->count; i++) {
		if (!strcmp(r->seen[i].section, section) && !strcmp(r->seen[i].key, key))
			return r->seen[i].line;
	}
	return 0;
}

/* A section that is not known is said once; what is in it, not at all. */
static void begin(struct reader *r, const struct ini_line *line)
{
	unsigned int *where = NULL;

	if (!strcmp(line->section, "device"))
		where = &r->device_line;
	else if (!strcmp(line->section, "backend"))
		where = &r->backend_line;
	if (!where)
		mistake(r, line->number, "[%.64s]: there are [device] and [backend] only",
			line->section);
	else if (*where)
		mistake(r, line->number, "[%s] began in line %u already", line->section, *where);
	else
		*where = line->number;
}

static void check_command(struct reader *r, const struct ini_line *line)
{
	char **words = NULL;
	int n = word_split(line->value, &words);

	if (n == 0)
		mistake(r, line->number, "exec: no program is named");
	else if (n == -EINVAL)
		mistake(r, line->number, "exec: a quote is not closed");
	else if (strlen(line->value) >= SNAPSHOT_EXEC_MAX)
		mistake(r, line->number, "exec: more than %d characters", SNAPSHOT_EXEC_MAX - 1);
	word_list_free(words);
}

static void set_backend(struct reader *r, const struct ini_line *line)
{
	if (strcmp(line->key, "exec") != 0) {
		mistake(r, line->number, "%.64s: the one setting of [backend] is exec", line->key);
		return;
	}
	check_command(r, line);
	r->file->backend = line->value;
}

static void set_option(struct reader *r, const struct ini_line *line)
{
	struct failure failure = { 0 };
	int ret;

	if (!strcmp(line->key, "name")) {
		mistake(r, line->number, "name: the device is named after this file");
		return;
	}
	ret = options_set(r->options, line->key, line->value, &failure);
	if (ret == -ENOENT && !failure.text[0])
		mistake(r, line->number, "%.64s: there is no such setting in [device]", line->key);
	else if (ret && !strncmp(failure.text, "--", 2))
		mistake_of_option(r, line->number, failure.text);
	else if (ret)
		mistake(r, line->number, "%s = %.64s: %s", line->key, line->value,
			failure_text(&failure, ret));
	else if (!strcmp(line->key, "exec"))
		check_command(r, line);
}

static void take_line(void *context, const struct ini_line *line)
{
	struct reader *r = context;
	unsigned int before;

	if (!line->key) {
		begin(r, line);
		return;
	}
	if (!line->section[0]) {
		mistake(r, line->number, "%.64s: stands before [device]", line->key);
		return;
	}
	before = line_of(r, line->section, line->key);
	if (before) {
		mistake(r, line->number, "%.64s: was set in line %u already", line->key, before);
		return;
	}
	if (r->count < KEYS_MAX)
		r->seen[r->count++] = (struct seen){ line->section, line->key, line->number };
	if (!strcmp(line->section, "backend"))
		set_backend(r, line);
	else if (!strcmp(line->section, "device"))
		set_option(r, line);
}

static void take_mistake(void *context, unsigned int number, const char *what)
{
	mistake(context, number, "%s", what);
}

/* ---- the whole ---- */

/* What would be taken, and not do anything. */
static void check_own(struct reader *r)
{
	unsigned int i;

	for (i = 0; i < r->count && r->options->type.id; i++) {
		const struct seen *seen = &r->seen[i];
		struct failure failure = { 0 };

		if (!strcmp(seen->section, "device") &&
		    options_check_type(seen->key, &r->options->type, &failure))
			mistake_of_option(r, seen->line, failure.text);
	}
}

static void take_whole(void *context, const char *key, const char *text)
{
	struct reader *r = context;

	mistake_of_option(r, line_of(r, "device", key), text);
}

static void check_whole(struct reader *r)
{
	unsigned int socket = line_of(r, "device", "socket");
	unsigned int exec = line_of(r, "device", "exec");
	unsigned int type = line_of(r, "device", "type");

	if (!r->device_line) {
		mistake(r, 0, "there is no [device]");
		return;
	}
	if (!type)
		mistake(r, r->device_line, "[device] has no type");
	if (!socket && !exec)
		mistake(r, r->device_line, "[device] has neither socket nor exec");
	if (socket && exec)
		mistake(r, MAX(socket, exec), "socket and exec: one of them, please");
	if (r->backend_line && exec)
		mistake(r, r->backend_line,
			"[backend] goes with socket in [device]: exec there starts another one");
	if (r->backend_line && !line_of(r, "backend", "exec"))
		mistake(r, r->backend_line, "[backend] has no exec");
	check_own(r);
	options_check_together(r->options, take_whole, r);
}

/* The name is the file's. */
static void take_name(struct reader *r)
{
	const char *base = strrchr(r->path, '/');
	char rule[128];
	size_t length;

	base = base ? base + 1 : r->path;
	length = strlen(base);
	if (length > strlen(CONFIG_SUFFIX) &&
	    !strcmp(base + length - strlen(CONFIG_SUFFIX), CONFIG_SUFFIX))
		length -= strlen(CONFIG_SUFFIX);
	if (length < sizeof(r->file->name)) {
		memcpy(r->file->name, base, length);
		r->file->name[length] = '\0';
	}
	option_value_rule("name", rule, sizeof(rule));
	if (option_value_name(r->file->name))
		mistake(r, 0, "a device, and so its file, has a name of %s", rule);
	if (!r->options->name)
		r->options->name = r->file->name;
}

static int read_text(const char *path, char **text, size_t *size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_free_ char *buf = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	buf = malloc(SIZE_MAX_BYTES + 1);
	if (!buf)
		return -ENOMEM;
	*size = 0;
	do {
		n = read(fd, buf + *size, SIZE_MAX_BYTES + 1 - *size);
		if (n < 0)
			return -errno;
		*size += (size_t)n;
	} while (n > 0 && *size <= SIZE_MAX_BYTES);
	if (*size > SIZE_MAX_BYTES)
		return -EFBIG;
	buf[*size] = '\0';
	*text = ptr_steal(buf);
	return 0;
}

int config_load(struct config_file *file, const char *path, struct adapter_options *options)
{
	struct reader r = { .file = file, .path = path, .options = options };
	const struct ini_handler handler = {
		.line = take_line,
		.mistake = take_mistake,
		.context = &r,
	};
	size_t size = 0;
	int ret;

	file->text = NULL;
	file->path = NULL;
	file->name[0] = '\0';
	file->backend = NULL;
	file->mistakes = 0;
	ret = read_text(path, &file->text, &size);
	if (ret) {
		mistake(&r, 0, "%s", strerror(-ret));
		return ret;
	}
	file->path = strdup(path);
	if (!file->path)
		return -ENOMEM;
	options->config = file->path;
	take_name(&r);
	ini_parse(file->text, size, &handler);
	check_whole(&r);
	return file->mistakes ? -EINVAL : 0;
}

void config_free(struct config_file *file)
{
	free(file->text);
	free(file->path);
	file->text = NULL;
	file->path = NULL;
}

/* The last one is the edge's to print. */
static void log_mistake(void *context, const char *text)
{
	struct failure *failure = context;

	if (failure->text[0])
		log_error("%s", failure->text);
	failure_clear(failure);
	failure_set(failure, -EINVAL, "%s", text);
}

int config_read(struct adapter_options *options, const char *path, struct failure *failure)
{
	/* as long-lived as the options, which are the process's */
	static struct config_file file;

	/* they point into its text, and a file is a whole device: two cannot be one */
	if (options->config)
		return failure_set(failure, -EINVAL, "--config: one file, please: there is %s "
				   "already", options->config);
	config_free(&file);
	file = (struct config_file){ .mistake = log_mistake, .context = failure };
	return config_load(&file, path, options);
}
