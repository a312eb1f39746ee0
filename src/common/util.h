/* SPDX-License-Identifier: BSD-3-Clause */
/* The few macros that the whole tree uses. */
#ifndef VL_COMMON_UTIL_H
#define VL_COMMON_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#ifdef __CPPCHECK__ /* which has no statement expressions within initialisers */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#else
/* Each argument is evaluated once; the counter gives nested uses names of their own. */
#define MIN_NAMED(a, b, x, y)          \
	({                             \
		__typeof__(a) x = (a); \
		__typeof__(b) y = (b); \
		x < y ? x : y;         \
	})
#define MAX_NAMED(a, b, x, y)          \
	({                             \
		__typeof__(a) x = (a); \
		__typeof__(b) y = (b); \
		x > y ? x : y;         \
	})
#define UTIL_PASTE_(a, b) a##b
#define UTIL_PASTE(a, b) UTIL_PASTE_(a, b)
#define MIN(a, b) MIN_NAMED(a, b, UTIL_PASTE(a_, __COUNTER__), UTIL_PASTE(b_, __COUNTER__))
#define MAX(a, b) MAX_NAMED(a, b, UTIL_PASTE(a_, __COUNTER__), UTIL_PASTE(b_, __COUNTER__))
#endif

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define BIT_ULL(n) (1ULL << (n))
#define ALIGN_UP(x, a) (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
