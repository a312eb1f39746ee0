/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel module and a driver with one split virtqueue, in this process, behind the adapter's
 * table of calls: its messages, its pool, its record of outstanding requests.
 */
#ifndef TEST_MOCK_KERNEL_H
#define TEST_MOCK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "adapter/device.h"
#include "common/deadline.h"

#define MOCK_NUM 16 /* entries of the virtqueue */
#define MOCK_SECTOR 512
#define MOCK_MESSAGES 16
#define MOCK_SLOTS 32

struct mock_kernel {
	struct virtio_loopback_create created;
	uint8_t config[256];
	uint64_t driver_features; /* that the driver accepts, of those offered */
	bool quiet; /* the driver has kicked nothing */
	bool is_created, is_started, is_stopped, is_failed, is_destroyed;
	unsigned int check_pool_error;
	deadline_t name_taken_until; /* CREATE: EEXIST */
	unsigned int config_notified; /* SET_CONFIG with NOTIFY */

	int poll_fd; /* readable while there are messages */
	struct virtio_loopback_msg messages[MOCK_MESSAGES];
	unsigned int num_messages;
	uint64_t seq;
	uint32_t status; /* of the device, as the driver wrote it */
	int answers[256]; /* by sequence number */
	int store[MOCK_SLOTS]; /* descriptors kept for the next adapter, -1: none */
	unsigned int dies_at; /* a slot: what is stored after it is lost, as one was killed; 0 */
	bool died;
	unsigned int refused_slot; /* FETCH_FD of it: EMFILE, once; 0 */

	/* once the driver is bound, and again whenever nothing waits: the test's own part */
	void (*idle)(struct mock_kernel *k, void *context);
	void *context;
	bool bound;

	/* the driver */
	uint8_t *pool;
	uint64_t pool_size;
	int kick_fd, call_fd; /* as last set */
	struct vring ring;
	uint16_t free[MOCK_NUM]; /* slots that carry no request */
	unsigned int num_free;
	uint16_t taken;
	uint16_t order[MOCK_NUM]; /* heads outstanding */
	unsigned int num_order;
	unsigned int twice; /* completions of what was not outstanding */
};

/* mock_init() - and the device that the adapter sees */
void mock_init(struct mock_kernel *k, struct device *device);
void mock_finish(struct mock_kernel *k);

/* mock_reopen() - another file, for an adapter that takes the device over */
void mock_reopen(struct mock_kernel *k, struct device *device);

/* mock_replug() - another device, which nobody has created yet, on another file */
void mock_replug(struct mock_kernel *k, struct device *device);

/* mock_push() - the module tells something; Return: its sequence number */
uint64_t mock_push(struct mock_kernel *k, uint32_t type, bool question);

/* mock_push_status() - the driver writes its status */
uint64_t mock_push_status(struct mock_kernel *k, uint32_t status);

/* mock_submit() - a block request of one sector; false: the ring is full */
bool mock_submit(struct mock_kernel *k, bool write, uint64_t sector, uint8_t fill);

/* mock_kick() - signal the kick */
void mock_kick(struct mock_kernel *k);

/*
 * mock_take() - take back what is used. Return: how many, -1 when one of them failed or a read
 * brought something else than @fill
 */
int mock_take(struct mock_kernel *k, int fill);

/* mock_wait() - take until nothing is outstanding; false after @ms */
bool mock_wait(struct mock_kernel *k, int fill, unsigned int ms);

#endif
