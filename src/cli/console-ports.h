/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which ports of a console are terminals. Only the driver's files in debugfs tell: in sysfs a port
 * that is /dev/hvcN looks like any other.
 */
#ifndef CLI_CONSOLE_PORTS_H
#define CLI_CONSOLE_PORTS_H

#include <stdbool.h>
#include <stddef.h>

/**
 * console_ports_open() - get at the driver's files, wherever debugfs is mounted, or is not
 *
 * Return: the folder, or a negative errno: it cannot be told.
 */
int console_ports_open(void);

/**
 * console_port_terminal() - is this port a terminal?
 * @folder:	from console_ports_open()
 * @port:	vportNpM
 *
 * Return: N of /dev/hvcN, or -1.
 */
int console_port_terminal(int folder, const char *port);

#endif
