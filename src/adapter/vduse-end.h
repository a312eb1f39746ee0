/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a device of VDUSE, whatever state it is in: in the process beside the adapter, which
 * nothing else waits for.
 */
#ifndef ADAPTER_VDUSE_END_H
#define ADAPTER_VDUSE_END_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "adapter/vduse-ring.h"

enum vduse_work {
	VDUSE_WORK_NONE,
	VDUSE_WORK_ADD,
	VDUSE_WORK_REMOVE,
};

/* struct vduse_end - what is known of the device, and what is being done */
struct vduse_end {
	const char *name;
	const char *state_dir;
	bool locked; /* the lock of the name is held here, too */
	bool orderly; /* the adapter said that it ends; else it was killed */
	int control; /* VDUSE_CONTROL */
	uint32_t device_id;
	unsigned int num_queues;
	uint64_t pool;
	struct vduse_record *records;

	bool created;
	bool unwanted; /* to be removed as soon as it has been added */
	bool on_bus;
	enum vduse_work work; /* a child does it, and waits in the kernel */
	pid_t worker;
	int work_fd; /* its result; -1: none works */
};

/* vduse_node_open() - /dev/vduse/NAME; a descriptor, or a negative errno */
int vduse_node_open(const char *name);

/* vduse_work_start() - add the device to its bus, or remove it; if nothing is being done yet */
void vduse_work_start(struct vduse_end *end, enum vduse_work work);

/* vduse_work_take() - work_fd is readable. Return: 0 or a negative errno */
int vduse_work_take(struct vduse_end *end);

/* vduse_end_destroy() - a device that is on no bus, with its node closed */
void vduse_end_destroy(struct vduse_end *end);

/* vduse_end_run() - all of it; returns when nothing is left, or nothing more can be done */
void vduse_end_run(struct vduse_end *end);

#endif
