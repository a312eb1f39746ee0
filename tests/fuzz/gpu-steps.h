/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The GPU's commands, and a display that answers nonsense. The input is a row of steps: a byte
 * that says which, one of length, and that many bytes.
 */
#ifndef FUZZ_GPU_STEPS_H
#define FUZZ_GPU_STEPS_H

#include "backends/gpu/renderer.h"

/* The fuzzer's: what draws */
extern const struct gpu_renderer *const fuzzed_renderer;

#endif
