/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * calls - what a step can do: each call of the interface, and what its callers and the driver's
 * users do beside it
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "steps.h"

#define QUEUES		4
#define POOL_SIZE	(1U << 20)
#define POOL_BASE	0x100000000ULL
#define WINDOW_BASE	0x4000000000ULL
#define WINDOW_SIZE	(1U << 20)

/**
 * struct file - one of the files that a program works with
 * @fd:     /dev/virtio-loopback, or -1. Whoever closes it takes it out first
 * @memfd:  its pool
 * @pool:   the pool's mapping
 * @kick:   eventfds of its queues
 * @call:   eventfds of its queues
 * @window: the window's descriptor, or -1
 * @view:   its mapping, or NULL
 * @seq:    of the message that was read last
 * @seen:   places in the available rings
 */
struct file {
	atomic_int fd;
	int memfd;
	uint8_t *pool;
	int kick[QUEUES];
	int call[QUEUES];
	atomic_int window;
	_Atomic(uint8_t *) view;
	atomic_ullong seq;
	uint16_t seen[QUEUES];
};

extern struct file files[FILES];

/* Whether steps may make the kernel's allocations fail. */
extern bool calls_faults;

/* A call for a number, those that matter more often than others. */
int calls_choose(uint64_t number);
int calls_find(const char *name);
const char *calls_name(unsigned int call);

/* Before and after a program; after it nothing is open. */
void calls_begin(void);
void calls_end(void);

/* calls_run() - a step; @thread runs it */
void calls_run(const struct step *step);

/* calls_settle() - no more faults in this thread; in a signal's handler too */
void calls_settle(void);

/* The other threads, for the step that interrupts one */
void calls_set_interrupt(void (*interrupt)(unsigned int thread));

/* How often each was made, and did what it was asked for */
void calls_report(FILE *out);

#endif
