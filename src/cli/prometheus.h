/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of devices in Prometheus' text format (version 0.0.4). */
#ifndef CLI_PROMETHEUS_H
#define CLI_PROMETHEUS_H

#include <stdio.h>

#include "cli/devices.h"

/**
 * prometheus_print() - all samples, those of one metric together
 * @entries:	the devices
 * @count:	how many
 * @out:	where to
 *
 * Return: 0 or -ENOMEM.
 */
int prometheus_print(const struct device_entry *entries, int count, FILE *out);

#endif
