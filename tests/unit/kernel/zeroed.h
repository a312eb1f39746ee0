/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_KERNEL_ZEROED_H
#define TESTS_KERNEL_ZEROED_H

#include <stdlib.h>
#include <string.h>

/* zeroed() - memory for a pool or a ring, which lie at their alignment only; freed by free() */
static inline void *zeroed(size_t alignment, size_t size)
{
	void *memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);

	if (!memory)
		abort();
	return memset(memory, 0, size);
}

#endif
