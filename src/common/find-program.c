// SPDX-License-Identifier: BSD-3-Clause
#include "common/find-program.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool executable_at(char *path, size_t size, const char *dir, const char *name)
{
	int n = snprintf(path, size, "%s/%s", dir, name);

	return n > 0 && (size_t)n < size && access(path, X_OK) == 0;
}

const char *find_program(char *path, size_t size, const char *folder, const char *name)
{
	char self[PATH_MAX], beside[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		snprintf(beside, sizeof(beside), "%s/../%s", self, folder);
		if (executable_at(path, size, self, name) ||
		    executable_at(path, size, beside, name))
			return path;
	}
	if (executable_at(path, size, PREFIX_LIBEXECDIR, name) ||
	    executable_at(path, size, PREFIX_BINDIR, name))
		return path;
	return name;
}
