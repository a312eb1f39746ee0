/* SPDX-License-Identifier: BSD-3-Clause */
/* A small vhost-user front-end, for tests: starts a back-end program and connects rings to it. */
#ifndef TEST_FRONT_END_H
#define TEST_FRONT_END_H

#include <sys/types.h>

#include "driver.h"
#include "vhost-user/message.h"

#define FE_MAX_QUEUES 8
#define FE_TIMEOUT_MS 10000

struct fe {
	pid_t pid; /* of the back-end, 0: none */
	int sock;
	int request_fd; /* our end of the back-end channel */
	uint64_t features; /* offered */
	uint64_t protocol_features; /* offered */
	uint64_t acked;
	struct vhost_user_inflight inflight;
	int inflight_fd; /* -1: none */
	bool no_record; /* fe_handshake() is not to ask for one */
	struct drv_mem mem;
	unsigned int nregions; /* 1, or 2: the memory is told of in two parts */
	unsigned int nrings;
	struct drv_ring rings[FE_MAX_QUEUES];
};

/* fe_init() - memory and rings; Return: 0 or a negative errno */
int fe_init(struct fe *fe, size_t memory, unsigned int nrings, unsigned int num, bool event_idx);
void fe_finish(struct fe *fe);

/* fe_spawn() - start @argv with a connected socket as --fd; Return: 0 or a negative errno */
int fe_spawn(struct fe *fe, const char *const *argv);

/* fe_kill() - end it; Return: its wait status */
int fe_kill(struct fe *fe, int sig);

/* fe_wait() - wait for its end; Return: its wait status, -1 when it does not end */
int fe_wait(struct fe *fe);

/**
 * fe_handshake() - everything up to rings that run
 * @mask:	virtio features to acknowledge, of those that are offered
 *
 * Uses the in-flight record that is there from before, or asks for one.
 *
 * Return: 0 or a negative errno.
 */
int fe_handshake(struct fe *fe, uint64_t mask);

/* fe_start_ring() - the part of it for one ring; @base for SET_VRING_BASE, FE_NO_BASE: not sent */
#define FE_NO_BASE UINT32_MAX
int fe_start_ring(struct fe *fe, unsigned int index, uint32_t base);

/* Requests; all with REPLY_ACK. Return: 0, 1 refused, or a negative errno. */
int fe_set_u64(struct fe *fe, uint32_t request, uint64_t value);
int fe_set_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num);
int fe_get_u64(struct fe *fe, uint32_t request, uint64_t *value);
int fe_get_base(struct fe *fe, uint32_t index, uint32_t *base);
int fe_get_config(struct fe *fe, uint32_t offset, void *buf, uint32_t size);
int fe_set_config(struct fe *fe, uint32_t offset, const void *buf, uint32_t size);
int fe_set_memory(struct fe *fe);
int fe_change_memory(struct fe *fe, uint32_t request, unsigned int part); /* ADD/REM_MEM_REG */
int fe_set_vring_fd(struct fe *fe, uint32_t request, unsigned int index, int fd);

#endif
