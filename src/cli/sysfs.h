/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel shows of virtio-loopback devices, and the nodes that their drivers made. */
#ifndef CLI_SYSFS_H
#define CLI_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/state-dir.h"

#define NODES_MAX 32
#define NODE_NAME_MAX 64

struct nodes {
	unsigned int count;
	char name[NODES_MAX][NODE_NAME_MAX]; /* as people use it: /dev/vda, can0, hw:1 */
};

struct loopback_device {
	int parent; /* N of virtio-loopback.N, -1: the kernel has none */
	bool vdpa; /* by the transport vduse: on that bus */
	int virtio_index; /* N of virtioN, -1: not registered */
	char name[STATE_NAME_MAX];
	char state[16];
	char driver[64]; /* "": none is bound */
	uint32_t device_id;
	unsigned int num_queues;
	uint64_t pool_size;
	uint64_t pool_used;
	pid_t adapter_pid;
};

/* Where the kernel shows things; another place in tests. */
extern const char *sysfs_platform; /* /sys/devices/platform */
extern const char *sysfs_vdpa; /* /sys/bus/vdpa/devices */
extern const char *sysfs_hwrng; /* /sys/class/misc/hw_random */

/* sysfs_read() - one line of a file below a device's folder, without its newline; 0 or -errno */
int sysfs_read(int parent, const char *file, char *buf, size_t size);

/**
 * sysfs_read_queues() - the lines "index kicks calls" of a device's virtqueues
 * @parent:	of the device
 * @total:	how many it has
 * @buf:	filled in with whole lines
 * @size:	of @buf
 *
 * The file is a page at most, and may be cut off in the middle of a number. That is warned of, and
 * what is no whole line is left out.
 *
 * Return: 0 or a negative errno.
 */
int sysfs_read_queues(int parent, unsigned int total, char *buf, size_t size);

/* sysfs_load() - all about virtio-loopback.@parent; 0, -ENOENT when there is none */
int sysfs_load(int parent, struct loopback_device *device);

/* sysfs_load_vdpa() - what is known of a device of the transport vduse; 0, -ENOENT */
int sysfs_load_vdpa(const char *name, struct loopback_device *device);

/* sysfs_find() - by name */
int sysfs_find(const char *name, struct loopback_device *device);

/* sysfs_next() - the device with the lowest number from @parent on; -ENOENT: there is none */
int sysfs_next(int parent, struct loopback_device *device);

/* sysfs_fail() - have the kernel end all I/O of the device, whatever its adapter does; for root */
void sysfs_fail(int parent);

/* sysfs_exists() - virtio-loopback.@parent is there */
bool sysfs_exists(int parent);

/**
 * sysfs_nodes() - what the driver made of the device
 * @device:	registered
 * @tag:	of a file system, or NULL
 * @nodes:	filled in
 *
 * Return: true when all is there that a device of this type has at least.
 */
bool sysfs_nodes(const struct loopback_device *device, const char *tag, struct nodes *nodes);

#endif
