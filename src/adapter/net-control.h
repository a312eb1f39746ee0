/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a network device (virtio 5.1.6.5), which the vhost-user protocol leaves to
 * the front-end: reading what the driver asks for.
 *
 * The driver spins for its answers, and has them from the kernel (VIRTIO_LOOPBACK_QF_POSTED). The
 * ring that is read here is the kernel's own. It lies in the pool, so the back-end can write to it
 * as well: nothing in it is trusted.
 */
#ifndef ADAPTER_NET_CONTROL_H
#define ADAPTER_NET_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_loopback.h>
#include <linux/virtio_ring.h>

#include "adapter/pool.h"

/* All zero: not started. */
struct net_control {
	struct pool_window desc_window, avail_window, used_window;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	unsigned int num;
	bool event_idx;
	uint16_t seen; /* next entry of the available ring */
};

/* struct net_command - one command: the first @length bytes of what the driver sent */
struct net_command {
	uint8_t class;
	uint8_t command;
	uint8_t data[2];
	unsigned int length; /* bytes, of all of it */
};

/**
 * net_control_start() - begin, or go on where the last one who read it stopped
 * @nc:		not started
 * @pool:	must outlive it
 * @queue:	where the ring lies
 * @event_idx:	VIRTIO_RING_F_EVENT_IDX is negotiated
 *
 * Return: 0, or a negative errno.
 */
int net_control_start(struct net_control *nc, const struct pool *pool,
		      const struct virtio_loopback_queue *queue, bool event_idx);

/* net_control_stop() - let go of the ring; one that was not started is left alone */
void net_control_stop(struct net_control *nc);

static inline bool net_control_started(const struct net_control *nc)
{
	return nc->num;
}

/**
 * net_control_take() - the next command
 * @nc:		started
 * @pool:	as for net_control_start()
 * @command:	filled in
 *
 * It is there for the next one who reads the ring, until net_control_done().
 *
 * Return: 1; 0 when there is none, and the next will be kicked for; -EPROTO when the ring holds
 * nonsense.
 */
int net_control_take(struct net_control *nc, const struct pool *pool, struct net_command *command);

/* net_control_done() - all that were taken are carried out; it need not be started */
void net_control_done(struct net_control *nc);

#endif
