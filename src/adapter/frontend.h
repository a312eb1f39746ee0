/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection to a vhost-user back-end: the handshake, and each command that the adapter gives.
 *
 * Every call takes a deadline. After an error the connection is of no use any more (the back-end
 * may be in the middle of something): finish it. What the back-end asks on its own channel is
 * answered also while the adapter waits for a reply, so that no two waits can lock each other.
 */
#ifndef ADAPTER_FRONTEND_H
#define ADAPTER_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "adapter/pool.h"
#include "common/failure.h"
#include "vhost-user/message.h"

struct frontend {
	int sock; /* -1: not connected */
	int channel; /* our end of the back-end channel, -1: none */
	struct vu_reader reader;
	struct vu_reader channel_reader;
	uint64_t features; /* virtio feature bits that the back-end offers */
	uint64_t protocol; /* protocol feature bits that both know */
	unsigned int max_queues;
	uint64_t user_offset; /* of the memory table, see struct memory_map */
	bool config_changed; /* the back-end said so; the owner clears it */
	/*
	 * Something of a back-end's is open that cannot be closed (-EBADFD). It stays set: there is
	 * to be no other connection.
	 */
	bool left_open;
	struct failure failure; /* why the last call failed */
};

/* struct inflight - the record of requests in flight that the back-end keeps in shared memory */
struct inflight {
	int fd; /* -1: none */
	uint64_t mmap_size;
	uint64_t mmap_offset;
	unsigned int num_queues;
	unsigned int queue_size;
};

/* struct frontend_ring - where a split or packed virtqueue lies */
struct frontend_ring {
	unsigned int index;
	unsigned int num;
	uint64_t descriptor;
	uint64_t driver;
	uint64_t device;
	uint32_t base; /* as SET_VRING_BASE takes it */
	bool enabled; /* else it waits for frontend_enable_ring() */
	int kick_fd;
	int call_fd;
};

void frontend_init(struct frontend *fe);

/* frontend_finish() - end the connection, for all who hold it */
void frontend_finish(struct frontend *fe);

/* frontend_leave() - the same without the connection's end: it is another adapter's now */
void frontend_leave(struct frontend *fe);

static inline bool frontend_connected(const struct frontend *fe)
{
	return fe->sock >= 0;
}

static inline bool frontend_has(const struct frontend *fe, unsigned int protocol_feature)
{
	return fe->protocol & (1ULL << protocol_feature);
}

/**
 * frontend_handshake() - take over a connected socket and get to know the back-end
 * @fe:		initialised
 * @sock:	owned by @fe from now on, on errors too
 * @deadline:	for all of it
 *
 * Return: 0, or a negative errno with fe->failure worded.
 */
int frontend_handshake(struct frontend *fe, int sock, deadline_t deadline);

int frontend_get_config(struct frontend *fe, void *config, unsigned int size, deadline_t deadline);
int frontend_set_config(struct frontend *fe, unsigned int offset, const void *data,
			unsigned int size, deadline_t deadline);

int frontend_set_features(struct frontend *fe, uint64_t features, deadline_t deadline);

/* frontend_set_mtu() - NET_SET_MTU, with back-ends that know it; with others nothing */
int frontend_set_mtu(struct frontend *fe, unsigned int mtu, deadline_t deadline);

/* frontend_set_memory() - what the back-end sees; its old memory goes */
int frontend_set_memory(struct frontend *fe, const struct memory_map *map, deadline_t deadline);

/* frontend_set_gpu_socket() - where the back-end finds its display */
int frontend_set_gpu_socket(struct frontend *fe, int fd, deadline_t deadline);

/*
 * frontend_get_inflight() - @inflight: num_queues and queue_size are read, the rest is filled in
 *
 * -EBADFD: what came is no file in memory, and stays open until this process ends.
 */
int frontend_get_inflight(struct frontend *fe, struct inflight *inflight, deadline_t deadline);
int frontend_set_inflight(struct frontend *fe, const struct inflight *inflight,
			  deadline_t deadline);
void inflight_finish(struct inflight *inflight);

/*
 * inflight_is_memory() - a file on tmpfs or hugetlbfs, as a memfd is. What can be done to another
 * can take for ever: it is forgotten, and not closed.
 */
bool inflight_is_memory(struct inflight *inflight);

int frontend_start_ring(struct frontend *fe, const struct frontend_ring *ring, deadline_t deadline);

/* frontend_enable_ring() - of one that was started: whether the back-end works on it */
int frontend_enable_ring(struct frontend *fe, unsigned int index, bool enabled,
			 deadline_t deadline);

/**
 * frontend_stop_ring() - the back-end lets go of one ring
 * @fe:		the connection
 * @index:	the virtqueue
 * @base:	where it stopped, as GET_VRING_BASE tells
 * @deadline:	when to give up
 */
int frontend_stop_ring(struct frontend *fe, unsigned int index, uint32_t *base,
		       deadline_t deadline);

/* frontend_reset() - RESET_DEVICE, with back-ends that know it; with others nothing */
int frontend_reset(struct frontend *fe, deadline_t deadline);

/* frontend_settle() - return when the back-end has worked through all commands so far */
int frontend_settle(struct frontend *fe, deadline_t deadline);

/**
 * frontend_resume() - go on with a connection whose last owner may have asked and not been answered
 * @fe:		its socket, features and protocol features are set
 * @deadline:	when to give up
 *
 * Return: 0 when replies are to be expected to what is asked from now on, and to nothing else.
 */
int frontend_resume(struct frontend *fe, deadline_t deadline);

/* frontend_ping() - any answer will do: the back-end works through commands */
int frontend_ping(struct frontend *fe, deadline_t deadline);

/**
 * frontend_socket_ready() - the socket has something to say outside of any exchange
 *
 * Return: 0 when it was nothing; -ECONNRESET when the back-end went away, -EPROTO when it spoke
 * unasked.
 */
int frontend_socket_ready(struct frontend *fe);

/*
 * frontend_channel_ready() - the back-end asks; 0, or a negative errno when it breaks the protocol
 */
int frontend_channel_ready(struct frontend *fe);

#endif
