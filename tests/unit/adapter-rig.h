/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An adapter between a mock of the kernel module and the hostile back-end, in one process; the
 * back-end in one of its own, if it is to be so.
 */
#ifndef TEST_ADAPTER_RIG_H
#define TEST_ADAPTER_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "adapter/adapter.h"
#include "hostile.h"
#include "mock-kernel.h"

#define TIMEOUT_MS 5000 /* on a busy machine */
#define SHORT_MS 800 /* where it has to run out */
#define DISK_SIZE (1U << 20)

/*
 * struct backend - in a thread of its own, or in a process: what a thread receives takes the number
 * of a descriptor that was closed by mistake, and hides that
 */
struct backend {
	struct hostile_options options;
	struct disk disk;
	char path[96];
	int listener;
	int stop[2];
	bool forked; /* or: */
	pthread_t thread;
	pid_t pid;
};

struct rig {
	char dir[64];
	struct adapter_options options;
	struct adapter adapter;
	struct mock_kernel kernel;
	struct backend backend;
	int fds; /* open before */
	unsigned int step;
	bool quiet; /* the driver never kicks */
	bool reached; /* the test's own part came to its end */
	uint64_t seq;
};

void backend_start(struct backend *b, const char *dir, const char *script);
void backend_stop(struct backend *b);

/* For cmocka: before each test, and after it: whatever happened, nothing of it stays. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* rig_run() - sets up and runs to the end. Return: the exit status */
int rig_run(struct rig *r, const char *script, void (*idle)(struct mock_kernel *k, void *context));
void rig_finish(struct rig *r);

/* rig_pack() - before it is set up: virtqueues are packed, and the back-end keeps a record */
void rig_pack(struct rig *r);

/* rig_connect_control() - where orders come in. Return: the socket */
int rig_connect_control(const struct rig *r);

#endif
