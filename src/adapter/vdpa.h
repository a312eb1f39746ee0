/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's vDPA bus: what `vdpa dev add` and `vdpa dev del` do, by generic netlink. Both wait
 * until the device's driver has come to the end of its probe, or its removal. They need
 * CAP_NET_ADMIN.
 */
#ifndef ADAPTER_VDPA_H
#define ADAPTER_VDPA_H

#include <stdbool.h>

#define VDPA_BUS "/sys/bus/vdpa"
#define VDPA_DRIVER "virtio_vdpa"

/*
 * vdpa_add() - put a device of VDUSE on the bus, for virtio_vdpa to drive, whichever driver of the
 * bus was there first; 0 or a negative errno
 */
int vdpa_add(const char *name);

/* vdpa_remove() - take it off again; 0 or a negative errno */
int vdpa_remove(const char *name);

/* vdpa_virtio() - N of its virtioN, -1: none. @bound: a virtio driver has it */
int vdpa_virtio(const char *name, bool *bound);

#endif
