/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window: the driver's own pages, for types whose driver maps them on the parent device. The
 * back-end's second memory region; what is in it is the module's doing.
 */
#ifndef ADAPTER_WINDOW_H
#define ADAPTER_WINDOW_H

#include <stdint.h>

#include "common/failure.h"

struct device;

/*
 * Addresses behind any pool, and so many of them that all of a machine's memory fits more than
 * once: they cost nothing, and none is used again soon.
 */
#define WINDOW_BASE (64ULL << 30)
#define WINDOW_SIZE (64ULL << 30)

struct window {
	int fd; /* -1: there is none */
	uint64_t base;
	uint64_t size;
};

/**
 * window_init() - make one for a device that has been created
 * @window:	filled in; fd is -1 on failure
 * @device:	the device
 * @failure:	the reason in words
 */
int window_init(struct window *window, struct device *device, struct failure *failure);

void window_finish(struct window *window);

#endif
