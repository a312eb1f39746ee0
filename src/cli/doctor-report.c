// SPDX-License-Identifier: BSD-3-Clause
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/json-writer.h"
#include "common/printable.h"

#define PROGRAM_MS 10000

static const char *const level_words[] = {
	[FINDING_OK] = "ok",
	[FINDING_NOTE] = "note",
	[FINDING_BAD] = "bad",
};

void doctor_say(struct doctor *d, enum finding_level level, const char *check, const char *remedy,
		const char *fmt, ...)
{
	struct finding *more = reallocarray(d->findings, d->count + 1, sizeof(*more));
	struct finding *f;
	va_list ap;

	if (!more) {
		d->failed = true;
		return;
	}
	d->findings = more;
	f = &more[d->count++];
	*f = (struct finding){ .level = level, .check = check };
	if (remedy)
		snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
	printable(f->remedy);
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	printable(f->text); /* some of it is what other users wrote */
}

unsigned int doctor_bad(const struct doctor *d)
{
	unsigned int i, bad = 0;

	for (i = 0; i < d->count; i++)
		bad += d->findings[i].level == FINDING_BAD;
	return bad;
}

void doctor_print(const struct doctor *d, bool all, FILE *out)
{
	unsigned int i;

	for (i = 0; i < d->count; i++) {
		const struct finding *f = &d->findings[i];

		if (!all && f->level == FINDING_OK)
			continue;
		fprintf(out, "%-4s  %-8s  %s\n", level_words[f->level], f->check, f->text);
		if (f->remedy[0])
			fprintf(out, "%16s-> %s\n", "", f->remedy);
	}
}

void doctor_print_json(const struct doctor *d, bool all, FILE *out)
{
	struct json_writer w;
	unsigned int i;

	json_init(&w, out);
	json_object_begin(&w, NULL);
	json_bool(&w, "ok", !doctor_bad(d));
	json_array_begin(&w, "findings");
	for (i = 0; i < d->count; i++) {
		const struct finding *f = &d->findings[i];

		if (!all && f->level == FINDING_OK)
			continue;
		json_object_begin(&w, NULL);
		json_string(&w, "level", level_words[f->level]);
		json_string(&w, "check", f->check);
		json_string(&w, "text", f->text);
		json_string(&w, "remedy", f->remedy[0] ? f->remedy : NULL);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
}

void doctor_finish(struct doctor *d)
{
	free(d->findings);
	d->findings = NULL;
	d->count = 0;
}

/* ---- looking ---- */

static void below_root(const struct doctor *d, char path[PATH_MAX], const char *fmt, va_list ap)
{
	int n = snprintf(path, PATH_MAX, "%s", d->root);

	/* one that was cut off names nothing */
	vsnprintf(path + n, (size_t)(PATH_MAX - n), fmt, ap);
}

const char *doctor_path(const struct doctor *d, char path[PATH_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	below_root(d, path, fmt, ap);
	va_end(ap);
	return path;
}

bool doctor_exists(const struct doctor *d, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	below_root(d, path, fmt, ap);
	va_end(ap);
	return access(path, F_OK) == 0;
}

/* To the end, or as much as there is room for. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t got = 0;
	ssize_t n;

	do {
		n = read(fd, buf + got, size - 1 - got);
		if (n < 0 && errno != EINTR)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
	} while (n && got < size - 1);
	buf[got] = '\0';
	return (ssize_t)got;
}

ssize_t doctor_read(const struct doctor *d, const char *path, char *buf, size_t size)
{
	char whole[PATH_MAX];
	_cleanup_close_ int fd = -1;

	buf[0] = '\0';
	fd = open(doctor_path(d, whole, "%s", path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : read_all(fd, buf, size);
}

ssize_t doctor_capture(const char *const *words, char *buf, size_t size)
{
	int status;
	ssize_t n = child_capture(words, buf, size - 1, deadline_after_ms(PROGRAM_MS), &status);

	buf[n > 0 ? n : 0] = '\0';
	return n >= 0 && (size_t)n < size - 1 && status ? -EIO : n;
}
