// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"

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

void report_quote(const char *log, const char *self, struct failure *failure)
{
	size_t used = strlen(failure->text), length = strlen(self);
	char line[256], last[256] = "";
	FILE *f;

	if (!log || !used)
		return;
	f = fopen(log, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && (strncmp(line, self, length) != 0 || line[length] != ':'))
			memcpy(last, line, sizeof(last));
	}
	fclose(f);
	if (last[0])
		snprintf(failure->text + used, sizeof(failure->text) - used, "; it said: %.200s",
			 last);
}
