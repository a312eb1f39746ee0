// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define FRAMEBUFFERS_MAX 32
#define CONSOLES_MAX 16

static bool exists(const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	return fd >= 0;
}

/* Has the device a framebuffer, and no other device one? */
static bool only_framebuffer(int parent)
{
	unsigned int ours = 0, all = 0, i;
	char path[PATH_MAX];

	for (i = 0; i < FRAMEBUFFERS_MAX; i++) {
		snprintf(path, sizeof(path), "/sys/class/graphics/fb%u", i);
		all += exists(path);
		snprintf(path, sizeof(path),
			 "/sys/devices/platform/virtio-loopback.%d/graphics/fb%u", parent, i);
		ours += exists(path);
	}
	return ours && ours == all;
}

static bool draws_on_framebuffers(unsigned int console)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], name[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/vtconsole/vtcon%u/name", console);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
	if (n <= 0)
		return false;
	name[n] = '\0';
	return strstr(name, "frame buffer");
}

void console_release(int parent)
{
	char path[PATH_MAX];
	unsigned int i;

	if (!only_framebuffer(parent))
		return;
	for (i = 0; i < CONSOLES_MAX; i++) {
		_cleanup_close_ int fd = -1;

		if (!draws_on_framebuffers(i))
			continue;
		snprintf(path, sizeof(path), "/sys/class/vtconsole/vtcon%u/bind", i);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) < 0)
			log_info("%s: the text console stays on the device: %s", path,
				 strerror(errno));
	}
}
