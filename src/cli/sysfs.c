// SPDX-License-Identifier: BSD-3-Clause
#include "cli/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/console-ports.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"

#define PARENT_PREFIX "virtio-loopback."
#define VIRTIO_PREFIX "virtio"
#define DEPTH_MAX 6 /* scsi: host, target, unit, block, disk */

const char *sysfs_platform = "/sys/devices/platform";
const char *sysfs_vdpa = "/sys/bus/vdpa/devices";
const char *sysfs_hwrng = "/sys/class/misc/hw_random";

/* Return: how much there is, or a negative errno */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

static int read_line(const char *path, char *buf, size_t size)
{
	ssize_t n = read_file(path, buf, size);

	if (n < 0)
		return (int)n;
	if (n && buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	return 0;
}

int sysfs_read(int parent, const char *file, char *buf, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" PARENT_PREFIX "%d/%s", sysfs_platform, parent, file);
	return read_line(path, buf, size);
}

int sysfs_read_queues(int parent, unsigned int total, char *buf, size_t size)
{
	unsigned int count = 0;
	char path[PATH_MAX], *end, *line;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/" PARENT_PREFIX "%d/queues", sysfs_platform, parent);
	n = read_file(path, buf, size);
	if (n < 0)
		return (int)n;
	end = strrchr(buf, '\n');
	end = end ? end + 1 : buf;
	*end = '\0';
	for (line = buf; line < end; line = strchr(line, '\n') + 1)
		count++;
	if (count < total)
		log_warning("virtio-loopback.%d: the kernel tells of %u of its %u virtqueues: "
			    "there is no more room in a file of sysfs", parent, count, total);
	return 0;
}

static uint64_t read_number(int parent, const char *file)
{
	char text[32];
	uint64_t n = 0;

	if (!sysfs_read(parent, file, text, sizeof(text)))
		parse_u64(text, 0, UINT64_MAX, &n);
	return n;
}

void sysfs_fail(int parent)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" PARENT_PREFIX "%d/fail", sysfs_platform, parent);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) < 0)
		log_debug("%s: %s", path, strerror(errno));
}

bool sysfs_exists(int parent)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" PARENT_PREFIX "%d", sysfs_platform, parent);
	return access(path, F_OK) == 0;
}

/* N of PREFIXN, -1 when it is something else */
static int numbered(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);
	unsigned int n;

	if (strncmp(text, prefix, length) != 0 || parse_uint(text + length, 0, INT32_MAX, &n))
		return -1;
	return (int)n;
}

/* The folder of the device's parent, which has the virtio device in it. */
static void parent_folder(const struct loopback_device *device, char *path)
{
	if (device->vdpa)
		snprintf(path, PATH_MAX, "%s/%s", sysfs_vdpa, device->name);
	else
		snprintf(path, PATH_MAX, "%s/" PARENT_PREFIX "%d", sysfs_platform, device->parent);
}

/* A file in the folder of the virtio device, that folder for "". */
static void virtio_path(const struct loopback_device *device, const char *file, char *path)
{
	size_t used;

	parent_folder(device, path);
	used = strlen(path);
	snprintf(path + used, PATH_MAX - used, "/" VIRTIO_PREFIX "%d%s", device->virtio_index,
		 file);
}

static int find_virtio(const struct loopback_device *device)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int index = -1;
	DIR *dir;

	parent_folder(device, path);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (index < 0 && (entry = readdir(dir)))
		index = numbered(entry->d_name, VIRTIO_PREFIX);
	closedir(dir);
	return index;
}

static void find_driver(struct loopback_device *device)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *name;
	ssize_t n;

	virtio_path(device, "/driver", path);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	name = strrchr(target, '/');
	snprintf(device->driver, sizeof(device->driver), "%.63s", name ? name + 1 : target);
}

int sysfs_load(int parent, struct loopback_device *device)
{
	*device = (struct loopback_device){ .parent = parent, .virtio_index = -1 };
	if (sysfs_read(parent, "name", device->name, sizeof(device->name)))
		return -ENOENT;
	if (sysfs_read(parent, "state", device->state, sizeof(device->state)))
		return -ENOENT;
	device->device_id = (uint32_t)read_number(parent, "device_id");
	device->num_queues = (unsigned int)read_number(parent, "num_queues");
	device->pool_size = read_number(parent, "pool_size");
	device->pool_used = read_number(parent, "pool_used");
	device->adapter_pid = (pid_t)read_number(parent, "adapter_pid");
	device->virtio_index = find_virtio(device);
	if (device->virtio_index >= 0)
		find_driver(device);
	return 0;
}

int sysfs_load_vdpa(const char *name, struct loopback_device *device)
{
	char path[PATH_MAX], text[32];

	*device = (struct loopback_device){ .parent = -1, .virtio_index = -1, .vdpa = true };
	snprintf(device->name, sizeof(device->name), "%s", name);
	device->virtio_index = find_virtio(device);
	if (device->virtio_index < 0)
		return -ENOENT;
	snprintf(device->state, sizeof(device->state), "running");
	virtio_path(device, "/device", path);
	if (!read_line(path, text, sizeof(text)))
		device->device_id = (uint32_t)strtoul(text, NULL, 16);
	find_driver(device);
	return 0;
}

int sysfs_next(int parent, struct loopback_device *device)
{
	struct dirent *entry;
	int best = -1;
	DIR *dir;

	dir = opendir(sysfs_platform);
	if (!dir)
		return -ENOENT;
	while ((entry = readdir(dir))) {
		int n = numbered(entry->d_name, PARENT_PREFIX);

		if (n >= parent && (best < 0 || n < best))
			best = n;
	}
	closedir(dir);
	if (best < 0)
		return -ENOENT;
	/* one that went while we looked at it */
	return sysfs_load(best, device) ? sysfs_next(best + 1, device) : 0;
}

int sysfs_find(const char *name, struct loopback_device *device)
{
	int next = 0;

	while (!sysfs_next(next, device)) {
		if (!strcmp(device->name, name))
			return 0;
		next = device->parent + 1;
	}
	return -ENOENT;
}

/* ---- nodes ---- */

/*
 * Below the virtio device a driver's children stand in a folder named after their class, or (those
 * of a bus) by themselves.
 */
static const struct node_rule {
	const char *folder; /* class, NULL: none */
	const char *prefix; /* of the name */
	const char *before; /* what people write before it */
	bool number; /* ... and of the name the number only */
} node_rules[] = {
	{ "block", "", "/dev/", false },
	{ "net", "", "", false },
	{ "sound", "card", "hw:", true },
	{ "drm", "card", "/dev/dri/", false },
	{ "virtio-ports", "vport", "/dev/", false },
	{ "rtc", "rtc", "/dev/", false },
	{ "ptp", "ptp", "/dev/", false },
	{ "video4linux", "video", "/dev/", false },
	{ NULL, "event", "/dev/input/", false },
	{ NULL, "gpiochip", "/dev/", false },
	{ NULL, "i2c-", "", false },
	{ NULL, "spidev", "/dev/", false },
};

static void add_node(struct nodes *nodes, const char *before, const char *name)
{
	if (nodes->count < NODES_MAX)
		snprintf(nodes->name[nodes->count++], NODE_NAME_MAX, "%.15s%.47s", before, name);
}

static const struct node_rule *match_rule(const char *folder, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(node_rules); i++) {
		const struct node_rule *rule = &node_rules[i];
		size_t length = strlen(rule->prefix);

		if (rule->folder && strcmp(rule->folder, folder) != 0)
			continue;
		if (strncmp(name, rule->prefix, length) != 0)
			continue;
		/* eventN, gpiochipN ..., and not what only begins like them */
		if (length && (name[length] < '0' || name[length] > '9'))
			continue;
		return rule;
	}
	return NULL;
}

static void walk(const char *path, const char *folder, unsigned int depth, struct nodes *nodes)
{
	struct dirent *entry;
	DIR *dir = opendir(path);

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		const struct node_rule *rule;
		char below[PATH_MAX];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    !strcmp(entry->d_name, "power"))
			continue;
		/* the old class of GPIO chips, which has no nodes */
		if (!strcmp(entry->d_name, "gpio"))
			continue;
		rule = match_rule(folder, entry->d_name);
		if (rule) {
			add_node(nodes, rule->before,
				 entry->d_name + (rule->number ? strlen(rule->prefix) : 0));
			continue;
		}
		if (depth < DEPTH_MAX && snprintf(below, sizeof(below), "%s/%s", path,
						  entry->d_name) < (int)sizeof(below))
			walk(below, entry->d_name, depth + 1, nodes);
	}
	closedir(dir);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool hwrng_has_ours(void)
{
	char path[PATH_MAX], available[512];

	snprintf(path, sizeof(path), "%s/rng_available", sysfs_hwrng);
	return !read_line(path, available, sizeof(available)) && strstr(available, "virtio_rng");
}

/* A name in /dev counts once it can be opened by it. */
static bool nodes_there(const struct nodes *nodes)
{
	unsigned int i;

	for (i = 0; i < nodes->count; i++) {
		if (nodes->name[i][0] == '/' && access(nodes->name[i], F_OK) < 0)
			return false;
	}
	return true;
}

/* A port that the driver made a terminal is used by the terminal's name. */
static void name_terminals(struct nodes *nodes)
{
	_cleanup_close_ int folder = console_ports_open();
	unsigned int i;

	for (i = 0; i < nodes->count && folder >= 0; i++) {
		char *name = nodes->name[i];
		int number = console_port_terminal(folder, name + strlen("/dev/"));

		if (number >= 0)
			snprintf(name, NODE_NAME_MAX, "/dev/hvc%d", number);
	}
}

/* 5.3.2: two virtqueues a port, and two for control when there can be several */
static unsigned int console_ports(const struct loopback_device *device)
{
	return device->num_queues > 2 ? device->num_queues / 2 - 1 : 1;
}

static bool type_has_nodes(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_INPUT:
	case VIRTIO_ID_GPU:
	case VIRTIO_ID_SOUND:
	case VIRTIO_ID_CAN:
	case VIRTIO_ID_GPIO:
	case VIRTIO_ID_I2C_ADAPTER:
	case VIRTIO_ID_RNG:
	case VIRTIO_ID_FS:
		return true;
	default:
		return false;
	}
}

bool sysfs_nodes(const struct loopback_device *device, const char *tag, struct nodes *nodes)
{
	char path[PATH_MAX];

	nodes->count = 0;
	if (device->virtio_index < 0 || !device->driver[0])
		return false;
	/* virtio-gpu makes its nodes below the parent */
	if (device->device_id == VIRTIO_ID_GPU)
		parent_folder(device, path);
	else
		virtio_path(device, "", path);
	walk(path, "", 0, nodes);
	if (device->device_id == VIRTIO_ID_RNG && hwrng_has_ours())
		add_node(nodes, "", "/dev/hwrng");
	if (device->device_id == VIRTIO_ID_FS)
		add_node(nodes, "", tag ? tag : device->name);
	if (device->device_id == VIRTIO_ID_VSOCK)
		add_node(nodes, "", "/dev/vsock");
	if (device->device_id == VIRTIO_ID_CONSOLE) {
		if (nodes->count < console_ports(device))
			return false;
		name_terminals(nodes);
	}
	qsort(nodes->name, nodes->count, NODE_NAME_MAX, compare_names);
	if (!nodes->count)
		return !type_has_nodes(device->device_id);
	return nodes_there(nodes);
}
