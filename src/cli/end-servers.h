/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes that serve a device, ended by force. Who they are the kernel knows; where it does
 * not, or calls them by other numbers, what was written down counts, by whom it may be.
 */
#ifndef CLI_END_SERVERS_H
#define CLI_END_SERVERS_H

#include "cli/devices.h"

/* end_servers() - kill the adapter, and have its keeper start no other one; best effort */
void end_servers(const struct device_entry *entry);

#endif
