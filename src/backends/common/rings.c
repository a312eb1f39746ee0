// SPDX-License-Identifier: BSD-3-Clause
/* Starting and stopping rings. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "backends/common/internal.h"
#include "common/cleanup.h"
#include "common/log.h"

static void ring_clear(struct vu_ring *ring)
{
	ring->enabled = false;
	ring->have_addr = false;
	ring->have_base = false;
	ring->ran = false;
	ring->num = 0;
	ring->base = 0;
	fd_close(&ring->queue.kick_fd);
	fd_close(&ring->call_fd);
	fd_close(&ring->err_fd);
}

void vu_rings_init(struct vu_backend *backend)
{
	unsigned int i;

	for (i = 0; i < VU_MAX_QUEUES; i++) {
		struct vu_ring *ring = &backend->rings[i];

		memset(ring, 0, sizeof(*ring));
		ring->queue.index = i;
		ring->queue.backend = backend;
		ring->queue.kick_fd = -1;
		ring->call_fd = -1;
		ring->err_fd = -1;
	}
}

static void ring_kicked(void *data, uint32_t events)
{
	struct vu_ring *ring = data;
	struct vu_backend *backend = ring->queue.backend;
	uint64_t count;
	ssize_t n;

	(void)events;
	n = read(ring->queue.kick_fd, &count, sizeof(count));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		/* no eventfd: it would be ready for ever */
		vq_break(&ring->queue.vq, "its kick descriptor cannot be read");
		loop_remove(backend->loop, ring->kick_source);
		ring->kick_source = NULL;
		return;
	}
	backend->device.ops->queue_kick(backend->device.dev, &ring->queue);
}

void vu_queue_again(const struct vu_queue *queue)
{
	uint64_t one = 1;

	if (queue && write(queue->kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_ratelimited(LOG_LEVEL_WARNING, "queue %u: its kick descriptor: %m",
				queue->index);
}

static bool ring_ready(const struct vu_backend *backend, const struct vu_ring *ring)
{
	/* without the protocol features a ring starts enabled ("Ring states") */
	bool enabled = ring->enabled ||
		       !(backend->features & BIT_ULL(VHOST_USER_F_PROTOCOL_FEATURES));

	return enabled && ring->have_addr && ring->num && ring->queue.kick_fd >= 0 &&
	       backend->mem.nregions;
}

static int ring_watch(struct vu_backend *backend, struct vu_ring *ring)
{
	if (!backend->device.ops->queue_kick)
		return 0;
	ring->kick_source =
		loop_add(backend->loop, ring->queue.kick_fd, EPOLLIN, ring_kicked, ring);
	return ring->kick_source ? 0 : -errno;
}

/*
 * Return: 0, -EINVAL when its addresses or numbers are not of a ring in the shared memory, which
 * another message may change, or another negative errno: there is not what it takes.
 */
static int ring_start(struct vu_backend *backend, struct vu_ring *ring)
{
	bool packed = backend->features & BIT_ULL(VIRTIO_F_RING_PACKED);
	const struct vu_device *device = &backend->device;
	struct vq_setup setup = {
		.index = ring->queue.index,
		.num = ring->num,
		.features = backend->features,
		.mem = &backend->mem,
		.desc_uva = ring->addr.descriptor,
		.avail_uva = ring->addr.available,
		.used_uva = ring->addr.used,
		.base = ring->have_base || !packed ? ring->base : PACKED_BASE_FRESH,
		.call_fd = ring->call_fd,
		.err_fd = ring->err_fd,
		.inflight = &backend->inflight,
	};
	int ret;

	ret = vq_start(&ring->queue.vq, &setup);
	if (ret)
		return ret;
	ring->queue.features = backend->features;
	ret = ring_watch(backend, ring);
	if (ret)
		goto err_vq;
	if (device->ops->queue_start) {
		ret = device->ops->queue_start(device->dev, &ring->queue);
		if (ret)
			goto err_watch;
	}
	return 0;

err_watch:
	loop_remove(backend->loop, ring->kick_source);
	ring->kick_source = NULL;
err_vq:
	vq_stop(&ring->queue.vq);
	return ret == -EINVAL ? -EIO : ret;
}

void vu_ring_call(const struct vu_ring *ring)
{
	uint64_t one = 1;

	if (ring->call_fd >= 0 && write(ring->call_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_ratelimited(LOG_LEVEL_WARNING,
				"queue %u: the call eventfd cannot be written: %m",
				ring->queue.index);
}

int vu_ring_update(struct vu_backend *backend, struct vu_ring *ring)
{
	const struct vu_device *device = &backend->device;
	int ret;

	if (ring->running || !ring_ready(backend, ring))
		return 0;
	ret = ring_start(backend, ring);
	if (ret) {
		uint64_t one = 1;

		log_ratelimited(LOG_LEVEL_WARNING, "queue %u cannot start: %s", ring->queue.index,
				strerror(-ret));
		if (ring->err_fd >= 0 && write(ring->err_fd, &one, sizeof(one)) < 0)
			log_debug("queue %u: the error eventfd cannot be written",
				  ring->queue.index);
		return ret == -EINVAL ? 0 : ret;
	}
	ring->running = true;
	ring->ran = true;
	/* An earlier instance can have died between an answer and its call. */
	vu_ring_call(ring);
	/* What was made available before has no kick to come. */
	if (device->ops->queue_kick)
		device->ops->queue_kick(device->dev, &ring->queue);
	return 0;
}

void vu_ring_stop(struct vu_backend *backend, struct vu_ring *ring)
{
	const struct vu_device *device = &backend->device;

	if (!ring->running)
		return;
	loop_remove(backend->loop, ring->kick_source);
	ring->kick_source = NULL;
	if (device->ops->queue_stop)
		device->ops->queue_stop(device->dev, &ring->queue);
	ring->base = vq_stop(&ring->queue.vq);
	ring->have_base = true;
	ring->running = false;
}

void vu_ring_reset(struct vu_backend *backend, struct vu_ring *ring)
{
	vu_ring_stop(backend, ring);
	ring_clear(ring);
}

void vu_rings_stop(struct vu_backend *backend)
{
	unsigned int i;

	for (i = 0; i < backend->device.num_queues; i++)
		vu_ring_stop(backend, &backend->rings[i]);
}

int vu_rings_update(struct vu_backend *backend)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < backend->device.num_queues; i++) {
		int error = vu_ring_update(backend, &backend->rings[i]);

		ret = ret ? ret : error;
	}
	return ret;
}
