/* SPDX-License-Identifier: BSD-3-Clause */
/* A vhost-user-blk back-end that does what a script says. */
#ifndef HOSTILE_HOSTILE_H
#define HOSTILE_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/deadline.h"
#include "disk.h"
#include "ring.h"
#include "script.h"
#include "vhost-user/message.h"

#define QUEUES_MAX 16

enum order { ORDER_FIFO, ORDER_LIFO, ORDER_RANDOM };

struct hostile_options {
	struct script script;
	enum order order;
	unsigned int hold; /* complete when so many wait, or none came for HOLD_MS */
	unsigned int delay_ms; /* between a request and its completion */
	bool suppress; /* ask for no kicks, look at the rings by oneself */
	unsigned int queues;
	unsigned int config_size;
	uint64_t features; /* offered; 0: the usual ones */
	uint64_t protocol_features;
	uint64_t seed;
	bool verbose;
};

/* A request that was taken and not completed. */
struct held {
	struct ring *ring;
	uint16_t head;
	uint32_t len;
	deadline_t due;
};

struct hostile {
	const struct hostile_options *options;
	struct script script;
	struct disk *disk;
	struct memory memory;
	struct ring rings[QUEUES_MAX];
	struct held held[RING_MAX];
	unsigned int num_held;
	uint64_t features, protocol;
	uint64_t offered, protocol_offered; /* as the front-end was told */
	uint64_t random;
	int sock;
	int channel;
	int inflight_fd; /* -1: none was asked for */
	bool through; /* write-through, as the driver set it */
	struct vu_reader reader;
	struct chain chain;
	bool quit;
};

/* hostile_init() - begin; @disk is the caller's and outlives a connection */
void hostile_init(struct hostile *h, const struct hostile_options *options, struct disk *disk);
void hostile_finish(struct hostile *h);

/**
 * hostile_serve() - serve one connection to its end
 * @h:		the state
 * @sock:	connected; closed in the end
 *
 * Return: 0 when the peer or the script closed it, -EPROTO when the peer broke the protocol.
 */
int hostile_serve(struct hostile *h, int sock);

#endif
