/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process beside the adapter that puts a device of VDUSE on its bus, and takes it off again.
 *
 * Either waits for the device's driver, which waits for the adapter: so it cannot be the adapter's
 * own doing. It also needs a privilege that the adapter gives up. And when the adapter is gone,
 * however that came, the driver would wait for its requests and nobody would end them: this one
 * fails them until the driver has let go, and removes the device.
 */
#ifndef ADAPTER_VDUSE_STEWARD_H
#define ADAPTER_VDUSE_STEWARD_H

#include <stdint.h>
#include <sys/types.h>

#include "adapter/transport.h"
#include "adapter/vduse-ring.h"
#include "common/failure.h"

#define VDUSE_CONTROL "/dev/vduse/control"
#define VDUSE_NODES "/dev/vduse"
#define VDUSE_CONFIG_MAX 256

/* struct steward - the adapter's side */
struct steward {
	int sock; /* -1: there is none */
	pid_t pid;
	struct vduse_record *records; /* VDUSE_QUEUES_MAX of them, seen by both */
};

/* struct steward_create - a device */
struct steward_create {
	uint32_t device_id;
	uint32_t vendor_id;
	uint64_t features;
	uint64_t pool; /* bytes for buffers; 0: as the kernel likes */
	uint32_t num_queues;
	uint32_t config_size;
	uint16_t queue_sizes[VDUSE_QUEUES_MAX];
	uint8_t config[VDUSE_CONFIG_MAX];
};

enum steward_news {
	STEWARD_CREATED, /* with the descriptor of its node */
	STEWARD_ADDED, /* the virtio bus has it */
	STEWARD_REMOVED,
};

struct steward_note {
	uint32_t what; /* enum steward_news */
	int32_t error; /* 0 or a negative errno */
	int32_t virtio_index;
	uint32_t bound; /* 1: a driver took it */
	uint64_t pool; /* CREATED: the bytes that it has */
	char text[200]; /* what went wrong, "": nothing, or the errno says it */
};

/**
 * steward_start() - fork it
 * @steward:	filled in
 * @control:	open file of VDUSE_CONTROL; stays the caller's
 * @place:	name, state directory, and lock of the name
 * @failure:	the reason in words
 */
int steward_start(struct steward *steward, int control, const struct transport_place *place,
		  struct failure *failure);

/**
 * steward_create() - make the device
 * @steward:	started
 * @create:	what it is
 * @pool:	filled in: bytes for buffers
 * @failure:	the reason in words
 *
 * Return: its node, or a negative errno.
 */
int steward_create(struct steward *steward, const struct steward_create *create, uint64_t *pool,
		   struct failure *failure);

/* steward_add() - let drivers have it; there will be news. 0 or a negative errno */
int steward_add(struct steward *steward);

/* steward_remove() - take it from its driver in good order; there will be news */
int steward_remove(struct steward *steward);

/* steward_news() - take some; 0, -EAGAIN, or -ECONNRESET */
int steward_news(struct steward *steward, struct steward_note *note);

/* steward_end() - end device and process; a device that is still in use fails */
void steward_end(struct steward *steward);

#endif
