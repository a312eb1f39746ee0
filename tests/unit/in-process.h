/* SPDX-License-Identifier: BSD-3-Clause */
/* Both sides of a virtqueue in one process: a device's handlers without its program. */
#ifndef TEST_IN_PROCESS_H
#define TEST_IN_PROCESS_H

#include "backends/common/virtqueue.h"
#include "driver.h"

#define IP_MEMORY (1U << 20)

struct ip_memory {
	struct drv_mem driver;
	struct mem_table device;
	struct inflight_area inflight;
};

struct ip_queue {
	struct drv_ring ring; /* the driver's side */
	struct virtqueue vq; /* the device's side */
};

/* Return: 0, or a negative errno */
int ip_memory_init(struct ip_memory *mem);
void ip_memory_finish(struct ip_memory *mem);

int ip_queue_init(struct ip_queue *queue, struct ip_memory *mem, unsigned int num);
void ip_queue_finish(struct ip_queue *queue);

#endif
