// SPDX-License-Identifier: BSD-3-Clause
/* The GPU's commands where resources are pixman's images. */
#include "gpu-steps.h"

const struct gpu_renderer *const fuzzed_renderer = &gpu_renderer_2d;
