/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface that a driver has made for a device, for tests of the module alone. */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <linux/if.h>

/* net_interface_find() - of virtioN, N being @virtio_index; ends the program when there is none */
void net_interface_find(int virtio_index, char name[IFNAMSIZ]);
/* net_interface_up() - as "ip link set up"; ends the program when that fails */
void net_interface_up(const char *name);

#endif
