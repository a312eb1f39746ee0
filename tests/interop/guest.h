/* SPDX-License-Identifier: BSD-3-Clause */
/* How a guest begins and ends that has nothing but one program and its modules. */
#ifndef INTEROP_GUEST_H
#define INTEROP_GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The modules are in /modules, their names in /modules/order. */
static inline void guest_insert_modules(void)
{
	char name[128], path[160];
	FILE *order = fopen("/modules/order", "r");

	while (order && fscanf(order, "%127s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
			printf("module %s: %s\n", name, strerror(errno));
		close(fd);
	}
}

static inline void guest_begin(void)
{
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	guest_insert_modules();
}

/* Whether the word is on the kernel's command line. */
static inline bool guest_told(const char *word)
{
	char text[1024] = "";
	FILE *f = fopen("/proc/cmdline", "r");

	if (!f || !fgets(text, sizeof(text), f))
		return false;
	fclose(f);
	return strstr(text, word);
}

static inline int guest_end(void)
{
	printf("the end\n");
	fflush(stdout);
	sync();
	return reboot(RB_POWER_OFF);
}

#endif
