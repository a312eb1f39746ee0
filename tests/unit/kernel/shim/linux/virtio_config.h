/* SPDX-License-Identifier: BSD-3-Clause */
#include "../shim.h"
#include_next <linux/virtio_config.h>
