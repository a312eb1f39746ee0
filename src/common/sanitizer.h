/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WITH_SANITIZER: whether this is built with the address sanitizer. It makes system calls of its
 * own, and looks for leaks by /proc and ptrace(): a process with it cannot be confined.
 */
#ifndef VL_COMMON_SANITIZER_H
#define VL_COMMON_SANITIZER_H

#include <stdbool.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER true
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER true
#endif
#ifndef WITH_SANITIZER
#define WITH_SANITIZER false
#endif

#endif
