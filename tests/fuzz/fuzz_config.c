// SPDX-License-Identifier: BSD-3-Clause
/* A device's configuration file. Each mistake is told with a line that the file has. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter/config-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int lines;

static void check_mistake(void *context, const char *text)
{
	const char *path = context;
	unsigned int line;

	if (strncmp(text, path, strlen(path)) != 0)
		abort();
	if (sscanf(text + strlen(path), ":%u: ", &line) == 1 && (!line || line > lines))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[32];
	static int fd = -1;
	struct config_file file = { .mistake = check_mistake, .context = path };
	struct adapter_options options;
	size_t i;
	int ret;

	if (fd < 0) {
		fd = memfd_create("config", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	for (i = 0, lines = 1; i < size; i++)
		lines += data[i] == '\n';
	options_init(&options);
	ret = config_load(&file, path, &options);
	if (!ret == (file.mistakes > 0))
		abort();
	/* what was accepted has what a device needs */
	if (!ret && (!options.type.id || !options.socket == !options.exec))
		abort();
	config_free(&file);
	return 0;
}
