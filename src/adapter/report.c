// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/printable.h"
#include "common/util.h"

#define LOG_END_MAX (16U << 10) /* bytes in which the last line is looked for */

static int report(int fd, char *line, int length)
{
	size_t n = MIN((size_t)length, (size_t)REPORT_MAX - 1);
	int ret = 0;

	line[n - 1] = '\n'; /* also when it was cut off */
	if (fd < 0)
		return 0;
	/* a pipe takes a line of this size at once or, when nobody reads it any more, not at all */
	if (write(fd, line, n) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int report_ok(int fd, int parent, int virtio_index, bool bound)
{
	char line[REPORT_MAX];

	return report(fd, line,
		      snprintf(line, sizeof(line), "ok %d %d %d\n", parent, virtio_index, bound));
}

int report_error(int fd, int error, const char *text)
{
	char line[REPORT_MAX];

	return report(fd, line, snprintf(line, sizeof(line), "error %d %s\n", error, text));
}

/*
 * The end of the log: what standard error goes to, and not what somebody has put in its place.
 * Return: bytes, of which one more is a NUL, or 0.
 */
static size_t read_log(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st, ours;
	size_t got = 0, want;

	if (fd < 0 || fstat(fd, &st) < 0 || fstat(STDERR_FILENO, &ours) < 0 ||
	    !S_ISREG(st.st_mode) || st.st_dev != ours.st_dev || st.st_ino != ours.st_ino)
		return 0;
	/* no more than there is now: a back-end may still be writing */
	want = (size_t)MIN((uint64_t)st.st_size, (uint64_t)size - 1);
	if (lseek(fd, st.st_size - (off_t)want, SEEK_SET) < 0)
		return 0;
	while (got < want) {
		ssize_t n = read(fd, text + got, want - got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	text[got] = '\0';
	return got;
}

void report_quote(const char *log, const char *self, struct failure *failure)
{
	size_t used = strlen(failure->text), length = strlen(self), got;
	static char text[LOG_END_MAX];
	char *line, *next, *last = NULL;

	if (!log || !used)
		return;
	got = read_log(log, text, sizeof(text));
	for (line = text; line < text + got; line = next) {
		char *end = memchr(line, '\n', (size_t)(text + got - line));

		if (!end)
			end = text + got;
		*end = '\0';
		next = end + 1;
		if (line[0] && (strncmp(line, self, length) != 0 || line[length] != ':'))
			last = line;
	}
	if (!last)
		return;
	printable(last); /* it is a back-end's, and goes to a terminal */
	snprintf(failure->text + used, sizeof(failure->text) - used, "; it said: %.200s", last);
}
