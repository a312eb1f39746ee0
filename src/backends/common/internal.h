/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the device-side library share; not for devices. */
#ifndef VU_INTERNAL_H
#define VU_INTERNAL_H

#include "backends/common/backend.h"

/* One ring as the front-end describes it, message by message (the document's "Ring states"). */
struct vu_ring {
	struct vu_queue queue;
	bool running; /* between queue_start and queue_stop */
	bool ran; /* with this record; cleared when the front-end is told the base */
	bool enabled;
	bool have_addr;
	bool have_base; /* else the ring is a fresh one */
	unsigned int num;
	uint32_t base;
	struct vhost_user_vring_addr addr;
	int call_fd;
	int err_fd;
	struct loop_source *kick_source;
};

struct vu_backend {
	struct vu_device device;
	struct loop *loop;

	/* the connection */
	int listen_fd; /* -1 with --fd of a connected socket */
	int sock; /* -1 while there is no front-end */
	int request_fd; /* the back-end channel, -1 while there is none */
	struct loop_source *listen_source;
	struct loop_source *sock_source;
	struct vu_reader reader;

	/* what was negotiated; gone with the connection */
	uint64_t features;
	uint64_t protocol_features;
	struct mem_table mem;
	struct inflight_area inflight;
	struct vu_ring rings[VU_MAX_QUEUES];
};

/* ---- rings.c ---- */

void vu_rings_init(struct vu_backend *backend);

/*
 * vu_ring_call() - where a call may have been lost: one too many does no harm, one too few stops
 * the driver for good
 */
void vu_ring_call(const struct vu_ring *ring);

/*
 * vu_ring_update() - start the ring if it has all that it needs and does not run; Return: 0, or a
 * negative errno when the device cannot: the front-end is to hear of it, or its driver waits for
 * ever
 */
int vu_ring_update(struct vu_backend *backend, struct vu_ring *ring);

/*
 * vu_ring_stop() - returns when all its I/O has ended; remembers the base; takes one that is
 * stopped
 */
void vu_ring_stop(struct vu_backend *backend, struct vu_ring *ring);

/* vu_ring_reset() - stop, and forget what the front-end said of it */
void vu_ring_reset(struct vu_backend *backend, struct vu_ring *ring);

/* Around a change that concerns all rings */
void vu_rings_stop(struct vu_backend *backend);
int vu_rings_update(struct vu_backend *backend);

/* ---- control.c ---- */

/* vu_offered_features(), vu_offered_protocol_features() - what SET_... may choose from */
uint64_t vu_offered_features(const struct vu_backend *backend);
uint64_t vu_offered_protocol_features(const struct vu_backend *backend);

/**
 * vu_handle() - do what one message from the front-end asks for, and answer it
 * @backend:	the back-end
 * @msg:	checked by the codec; descriptors that are kept are taken out of it
 *
 * Return: 0, or a negative errno: the connection is to be closed.
 */
int vu_handle(struct vu_backend *backend, struct vu_message *msg);

/* ---- connection.c ---- */

/**
 * vu_backend_init() - a back-end without a device and without a connection
 *
 * Return: 0 or a negative errno.
 */
int vu_backend_init(struct vu_backend *backend);

/* vu_backend_listen() - serve one front-end after the other; takes over @fd */
int vu_backend_listen(struct vu_backend *backend, int fd);

/* vu_backend_attach() - serve one front-end, then quit the loop; takes over @fd */
int vu_backend_attach(struct vu_backend *backend, int fd);

/* vu_backend_finish() - stop the queues, close everything */
void vu_backend_finish(struct vu_backend *backend);

#endif
