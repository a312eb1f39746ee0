/* SPDX-License-Identifier: BSD-3-Clause */
/* Is somebody using a device's nodes? */
#ifndef CLI_IN_USE_H
#define CLI_IN_USE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/sysfs.h"

/**
 * in_use() - look for users of a device
 * @device:	the device
 * @nodes:	its nodes
 * @why:	who it is, e.g. "/dev/vda is mounted on /mnt"
 * @size:	room there
 *
 * Block devices: mounted, swap, claimed by another device, opened; interfaces: up; file systems:
 * mounted; all others: opened by a process. Partitions count as their disk.
 */
bool in_use(const struct loopback_device *device, const struct nodes *nodes, char *why,
	    size_t size);

#endif
