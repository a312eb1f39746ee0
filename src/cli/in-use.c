// SPDX-License-Identifier: BSD-3-Clause
#include "cli/in-use.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/util.h"

#define DEVICES_MAX 64

/* The device numbers behind the nodes, each with its kind. */
struct numbers {
	unsigned int count;
	struct {
		mode_t kind; /* S_IFBLK or S_IFCHR */
		dev_t number;
		char path[NODE_NAME_MAX];
	} list[DEVICES_MAX];
};

static void add_path(struct numbers *numbers, const char *path)
{
	struct stat st;

	if (numbers->count == DEVICES_MAX || stat(path, &st) < 0)
		return;
	if (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
		return;
	numbers->list[numbers->count].kind = st.st_mode & S_IFMT;
	numbers->list[numbers->count].number = st.st_rdev;
	snprintf(numbers->list[numbers->count].path, NODE_NAME_MAX, "%s", path);
	numbers->count++;
}

/* /dev/vda1 and so on, which have folders of their own below /sys/class/block/vda */
static void add_partitions(struct numbers *numbers, const char *node)
{
	const char *disk = strrchr(node, '/') + 1;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/block/%s", disk);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, disk, strlen(disk)) != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		add_path(numbers, path);
	}
	closedir(dir);
}

/*
 * The card's streams: its control node is held open by any sound server, which lets go by itself.
 */
static void add_sound_card(struct numbers *numbers, const char *card)
{
	char prefix[32], path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(prefix, sizeof(prefix), "pcmC%sD", card);
	dir = opendir("/dev/snd");
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/snd/%s", entry->d_name);
		add_path(numbers, path);
	}
	closedir(dir);
}

/* Who only computes or draws into memory opens the card by its other node, and no other one. */
static void add_render_nodes(struct numbers *numbers, const char *node)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/drm/%s/device/drm", strrchr(node, '/') + 1);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "renderD", strlen("renderD")) != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/dri/%s", entry->d_name);
		add_path(numbers, path);
	}
	closedir(dir);
}

/* It is called by its number, and has a node where the module i2c-dev is loaded. */
static void add_bus(struct numbers *numbers, const char *bus)
{
	char path[NODE_NAME_MAX + 8];

	snprintf(path, sizeof(path), "/dev/%s", bus);
	add_path(numbers, path);
}

static void collect(const struct loopback_device *device, const struct nodes *nodes,
		    struct numbers *numbers)
{
	unsigned int i;

	numbers->count = 0;
	for (i = 0; i < nodes->count; i++) {
		const char *node = nodes->name[i];

		if (device->device_id == VIRTIO_ID_SOUND && !strncmp(node, "hw:", 3))
			add_sound_card(numbers, node + 3);
		if (device->device_id == VIRTIO_ID_I2C_ADAPTER)
			add_bus(numbers, node);
		/*
		 * one node for all sources of the system, and whoever reads it reads on from the
		 * next
		 */
		if (node[0] != '/' || device->device_id == VIRTIO_ID_RNG)
			continue;
		add_path(numbers, node);
		add_partitions(numbers, node);
		if (device->device_id == VIRTIO_ID_GPU)
			add_render_nodes(numbers, node);
	}
}

/* ---- mounted ---- */

static bool mounted(const struct loopback_device *device, const struct nodes *nodes,
		    const struct numbers *numbers, char *why, size_t size)
{
	_cleanup_free_ char *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	if (!f)
		return false;
	/* 36 35 98:0 /root /mountpoint options [fields] - type source options */
	while (!found && getline(&line, &room, f) > 0) {
		unsigned int i, major, minor;
		char where[256] = "", type[64] = "", source[256] = "";
		const char *dash = strstr(line, " - ");

		/* the kernel's own numbers fit */
		/* NOLINTNEXTLINE(cert-err34-c) */
		if (sscanf(line, "%*d %*d %u:%u %*s %255s", &major, &minor, where) != 3)
			continue;
		if (dash && device->device_id == VIRTIO_ID_FS && nodes->count &&
		    sscanf(dash, " - %63s %255s", type, source) == 2)
			found = !strcmp(type, "virtiofs") && !strcmp(source, nodes->name[0]);
		for (i = 0; i < numbers->count && !found; i++)
			found = numbers->list[i].kind == S_IFBLK &&
				numbers->list[i].number == makedev(major, minor);
		if (found)
			snprintf(why, size, "%s is mounted on %s", nodes->name[0], where);
	}
	fclose(f);
	return found;
}

/* ---- claimed: swap, device mapper, md, another mount namespace ---- */

static bool claimed(const struct numbers *numbers, char *why, size_t size)
{
	unsigned int i;

	for (i = 0; i < numbers->count; i++) {
		_cleanup_close_ int fd = -1;

		if (numbers->list[i].kind != S_IFBLK)
			continue;
		fd = open(numbers->list[i].path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && errno == EBUSY) {
			snprintf(
				why, size,
				"%s is claimed (a mount in another namespace, swap, or a device on "
				"top of it)",
				numbers->list[i].path);
			return true;
		}
	}
	return false;
}

/* ---- up ---- */

static bool interface_up(const struct nodes *nodes, char *why, size_t size)
{
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned int i;

	for (i = 0; sock >= 0 && i < nodes->count; i++) {
		struct ifreq request = { 0 };

		snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", nodes->name[i]);
		if (ioctl(sock, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP)) {
			snprintf(why, size, "%s is up", nodes->name[i]);
			return true;
		}
	}
	return false;
}

/* ---- opened ---- */

/*
 * What the kernel knows of it by itself: who has a file open can be anybody, and the file on a file
 * system (FUSE, NFS) that does not answer whoever asks it.
 */
static const char *match_number(const struct numbers *numbers, int dir, const char *name)
{
	struct statx st;
	unsigned int i;
	dev_t number;

	if (statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return NULL;
	number = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	for (i = 0; i < numbers->count; i++) {
		if (numbers->list[i].kind == (st.stx_mode & S_IFMT) &&
		    numbers->list[i].number == number)
			return numbers->list[i].path;
	}
	return NULL;
}

static bool opened_by(const char *pid, const struct numbers *numbers, char *why, size_t size)
{
	char path[PATH_MAX], command[64] = "?";
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		const char *node = match_number(numbers, dirfd(dir), entry->d_name);

		if (!node)
			continue;
		found = true;
		snprintf(path, sizeof(path), "/proc/%s/comm", pid);
		FILE *f = fopen(path, "re");
		if (f) {
			if (fgets(command, sizeof(command), f))
				command[strcspn(command, "\n")] = '\0';
			fclose(f);
		}
		snprintf(why, size, "%s is opened by process %s (%s)", node, pid, command);
	}
	closedir(dir);
	return found;
}

static bool opened(const struct numbers *numbers, char *why, size_t size)
{
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	if (!numbers->count)
		return false;
	dir = opendir("/proc");
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			found = opened_by(entry->d_name, numbers, why, size);
	}
	closedir(dir);
	return found;
}

bool in_use(const struct loopback_device *device, const struct nodes *nodes, char *why, size_t size)
{
	struct numbers numbers;

	if (device->device_id == VIRTIO_ID_NET || device->device_id == VIRTIO_ID_CAN)
		return interface_up(nodes, why, size);
	collect(device, nodes, &numbers);
	return mounted(device, nodes, &numbers, why, size) || opened(&numbers, why, size) ||
	       claimed(&numbers, why, size);
}
