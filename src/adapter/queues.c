// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "adapter/replay.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

static int open_queue(struct adapter *a, unsigned int index)
{
	_cleanup_close_ int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	_cleanup_close_ int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct queue *queue = &a->queues[index];
	int ret;

	if (kick < 0 || call < 0)
		return -errno;
	ret = device_set_queue_fds(&a->device, index, kick, call);
	if (ret)
		return ret;
	fd_close(&queue->kick_fd);
	fd_close(&queue->call_fd);
	queue->kick_fd = fd_steal(&kick);
	queue->call_fd = fd_steal(&call);
	return 0;
}

int queues_open(struct adapter *a)
{
	unsigned int i;
	int ret;

	for (i = 0; i < a->plan.total; i++) {
		ret = open_queue(a, i);
		if (ret)
			return failure_set(&a->failure, ret,
					   "cannot set the eventfds of virtqueue %u: %s", i,
					   strerror(-ret));
	}
	return 0;
}

void queues_close(struct adapter *a)
{
	unsigned int i;

	for (i = 0; a->queues && i < a->plan.total; i++) {
		fd_close(&a->queues[i].kick_fd);
		fd_close(&a->queues[i].call_fd);
	}
	free(a->queues);
	a->queues = NULL;
}

/* Where the back-end begins in the ring. */
static int ring_base(struct adapter *a, const struct virtio_loopback_queue *state, bool replay,
		     uint32_t *base)
{
	bool packed = a->accepted & BIT_ULL(VIRTIO_F_RING_PACKED);

	if (!replay) {
		*base = packed ? PACKED_BASE_FRESH : 0;
		return 0;
	}
	if (packed && a->inflight.fd >= 0)
		return replay_from_packed_inflight(&a->pool, state, &a->inflight, base,
						   &a->failure);
	if (packed)
		return failure_set(&a->failure, -EOPNOTSUPP,
				   "requests in a packed virtqueue cannot be offered again");
	/* Used in order: what is outstanding stands behind that, without a record as well. */
	if (a->inflight.fd >= 0 || (a->accepted & BIT_ULL(VIRTIO_F_IN_ORDER)))
		return replay_from_inflight(&a->pool, state, base, &a->failure);
	return replay_from_record(&a->device, &a->pool, state, base, &a->failure);
}

int queues_start_one(struct adapter *a, unsigned int index, bool replay, deadline_t deadline)
{
	struct queue *queue = &a->queues[index];
	struct virtio_loopback_queue state;
	struct frontend_ring ring;
	int ret;

	ret = device_get_queue(&a->device, index, &state);
	if (ret)
		return failure_set(&a->failure, ret, "virtqueue %u: %s", index, strerror(-ret));
	if (!(state.flags & VIRTIO_LOOPBACK_QUEUE_ENABLED) || index >= a->plan.served)
		return 0;
	ring = (struct frontend_ring){
		.index = index,
		.num = state.num,
		.descriptor = state.desc_addr,
		.driver = state.driver_addr,
		.device = state.device_addr,
		.enabled = net_queue_in_use(a, index),
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd,
	};
	ret = ring_base(a, &state, replay, &ring.base);
	if (ret)
		return ret;
	a->rings_fresh = false;
	ret = frontend_start_ring(&a->fe, &ring, deadline);
	if (ret)
		return ret;
	queue->started = true;
	log_debug("virtqueue %u: %u entries, from %u on", index, ring.num, ring.base);
	return 0;
}

int queues_stop_one(struct adapter *a, unsigned int index, deadline_t deadline)
{
	uint32_t base;
	int ret;

	if (!a->queues[index].started)
		return 0;
	ret = frontend_stop_ring(&a->fe, index, &base, deadline);
	if (ret)
		return ret;
	a->queues[index].started = false;
	log_debug("virtqueue %u: stopped at %u", index, base);
	return 0;
}

static unsigned int largest_queue(const struct adapter *a)
{
	unsigned int i, largest = 0;

	for (i = 0; i < a->plan.served; i++)
		largest = MAX(largest, a->queues[i].size);
	return largest;
}

/* The record of requests in flight: the old one for a replay, else a new one. */
static int share_inflight(struct adapter *a, bool replay, deadline_t deadline)
{
	int ret;

	if (!frontend_has(&a->fe, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) {
		inflight_finish(&a->inflight);
		/* before the back-end goes on without it, and it says what was once */
		handover_put(a, HANDOVER_INFLIGHT, -1);
		return 0;
	}
	if (!replay || a->inflight.fd < 0) {
		a->inflight.num_queues = a->plan.served;
		a->inflight.queue_size = largest_queue(a);
		ret = frontend_get_inflight(&a->fe, &a->inflight, deadline);
		if (ret)
			return ret;
		/* before the back-end begins to rely on it */
		handover_put(a, HANDOVER_INFLIGHT, a->inflight.fd);
	}
	return frontend_set_inflight(&a->fe, &a->inflight, deadline);
}

/* What was settled with the driver, before the back-end gets anything of its own. */
static int share_features(struct adapter *a, deadline_t deadline)
{
	unsigned int mtu = personality_mtu(a->options, a->accepted);
	int ret;

	ret = frontend_set_features(
		&a->fe, personality_backend_features(a->options, a->accepted, a->fe.features),
		deadline);
	return ret || !mtu ? ret : frontend_set_mtu(&a->fe, mtu, deadline);
}

/* All that it is to see, and nothing else. */
static int share_memory(struct adapter *a, deadline_t deadline)
{
	struct memory_map map;
	int ret;

	ret = device_memory(&a->device, &a->pool, &a->window, &map);
	if (ret)
		return failure_set(&a->failure, ret, "the device's memory: %s", strerror(-ret));
	return frontend_set_memory(&a->fe, &map, deadline);
}

int queues_start_all(struct adapter *a, bool replay, deadline_t deadline)
{
	bool by_inflight = a->inflight.fd >= 0;
	unsigned int i;
	int ret;

	ret = share_features(a, deadline);
	if (!ret)
		ret = share_memory(a, deadline);
	/* Before the rings: requests may need the display. */
	if (!ret)
		ret = gpu_share_display(a, deadline);
	/* A record that is made for this back-end knows nothing of its predecessor's requests. */
	if (!ret && (!replay || by_inflight))
		ret = share_inflight(a, replay, deadline);
	for (i = 0; i < a->plan.total && !ret; i++)
		ret = queues_start_one(a, i, replay, deadline);
	if (!ret)
		ret = net_start(a);
	return ret ? ret : frontend_settle(&a->fe, deadline);
}

int queues_stop_all(struct adapter *a, deadline_t deadline)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < a->plan.total && !ret; i++)
		ret = queues_stop_one(a, i, deadline);
	return ret;
}

void queues_poke(const struct adapter *a, unsigned int index)
{
	const uint64_t one = 1;

	/* a full counter means that a kick waits there anyway */
	if (write(a->queues[index].kick_fd, &one, sizeof(one)) < 0)
		log_debug("virtqueue %u: kick: %s", index, strerror(errno));
}

static void kick_one(const struct adapter *a, unsigned int index)
{
	if (a->queues[index].started)
		queues_poke(a, index);
}

void queues_kick(struct adapter *a)
{
	unsigned int i;

	for (i = 0; i < a->plan.total; i++)
		kick_one(a, i);
}

void queues_kick_again(struct adapter *a)
{
	struct virtio_loopback_queue state;
	unsigned int i;

	for (i = 0; i < a->plan.total; i++) {
		if (a->queues[i].started && !device_get_queue(&a->device, i, &state) &&
		    state.flags & VIRTIO_LOOPBACK_QUEUE_QUIET)
			continue;
		kick_one(a, i);
	}
}

void queues_forget(struct adapter *a)
{
	unsigned int i;

	for (i = 0; a->queues && i < a->plan.total; i++)
		a->queues[i].started = false;
}
