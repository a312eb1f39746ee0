/* SPDX-License-Identifier: BSD-3-Clause */
#include_next <linux/types.h>
#include "../shim.h"
