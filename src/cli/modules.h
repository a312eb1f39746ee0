/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading kernel modules, by modprobe. */
#ifndef CLI_MODULES_H
#define CLI_MODULES_H

#include "adapter/options.h"
#include "common/device-types.h"
#include "common/failure.h"

/* modules_load_transport() - what it needs, unless it is there */
int modules_load_transport(const struct adapter_options *options, struct failure *failure);

/*
 * modules_load_driver() - what drives devices of this type, unless it is loaded. A driver that is
 * built in is no module, so that nothing is wrong when none is found: whether a driver takes the
 * device is seen then.
 */
void modules_load_driver(const struct device_type *type);

#endif
