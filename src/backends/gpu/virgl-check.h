/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What virglrenderer (0.10.4) has to be kept from: it takes the third side of a box for signed and
 * does not look below 0, and reckons in 32 bits whether the pages behind a resource are enough for
 * a box and its strides. Beyond both it reads and writes what is next to them.
 */
#ifndef GPU_VIRGL_CHECK_H
#define GPU_VIRGL_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virgl_transfer {
	uint32_t z, height, depth; /* of its box */
	uint32_t stride, layer_stride; /* 0: the library's choice */
};

/* virgl_check_transfer() - true: the library checks all else of it */
bool virgl_check_transfer(const struct virgl_transfer *transfer);

/**
 * virgl_check_stream() - the same for all transfers in a stream of commands
 * @stream:	words as the driver wrote them, at any address
 *
 * Where a command goes beyond the end the library stops, too.
 */
bool virgl_check_stream(const void *stream, size_t words);

#endif
