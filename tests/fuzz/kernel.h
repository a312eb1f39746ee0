/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The module and a driver, for a fuzzer of the adapter: a transport with one device, whose driver
 * probes it and then does what the fuzzer tells.
 *
 * What the adapter must never do aborts: an answer that nobody waits for, a configuration behind
 * the device's end, a virtqueue that it has not.
 */
#ifndef FUZZ_KERNEL_H
#define FUZZ_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapter/transport.h"

#define KERNEL_QUEUES 8U /* of a device, at most */
#define KERNEL_NUM 16U /* entries of each */

extern const struct transport kernel_transport;

/**
 * kernel_init() - no device yet
 * @features:	that the driver accepts, of those offered
 * @idle:	called whenever the driver has nothing to say: the fuzzer's next step
 */
void kernel_init(uint64_t features, void (*idle)(void));

/* kernel_finish() - whatever there is, it goes */
void kernel_finish(void);

/* kernel_tell() - a message, for the fuzzer to fill in; NULL: there are too many */
struct virtio_loopback_msg *kernel_tell(uint32_t type, bool question);

/* kernel_probe() - the driver resets the device, and begins anew */
void kernel_probe(void);

/* kernel_publish() - @count more requests in a split virtqueue */
void kernel_publish(unsigned int index, unsigned int count);

/* kernel_take() - the driver believes the used ring's index */
void kernel_take(unsigned int index);

/* kernel_set_enabled() - the driver uses a virtqueue, or does not */
void kernel_set_enabled(unsigned int index, bool enabled);

/* kernel_pool() - the shared memory, NULL: there is no device */
uint8_t *kernel_pool(size_t *size);

#endif
