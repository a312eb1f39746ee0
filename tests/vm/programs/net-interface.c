// SPDX-License-Identifier: BSD-3-Clause
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/sockios.h>

#include "net-interface.h"

void net_interface_find(int virtio_index, char name[IFNAMSIZ])
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/virtio%d/net", virtio_index);
	dir = opendir(path);
	name[0] = '\0';
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(name, IFNAMSIZ, "%.15s", entry->d_name);
	if (dir)
		closedir(dir);
	if (!name[0])
		errx(1, "%s: no interface", path);
}

void net_interface_up(const char *name)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_flags = IFF_UP };

	strcpy(ifr.ifr_name, name);
	if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &ifr))
		err(1, "%s: up", name);
	close(sock);
}
