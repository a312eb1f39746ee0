// SPDX-License-Identifier: BSD-3-Clause
/* The life of a connection: front-ends come, are served one at a time, and go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backends/common/internal.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/unix-socket.h"

/* A front-end that does not empty the back-end channel must not hold up the device. */
#define NOTIFY_TIMEOUT_MS 100

static void listener_ready(void *data, uint32_t events);

struct loop *vu_loop(struct vu_backend *backend)
{
	return backend->loop;
}

int vu_backend_init(struct vu_backend *backend)
{
	memset(backend, 0, sizeof(*backend));
	backend->listen_fd = -1;
	backend->sock = -1;
	backend->request_fd = -1;
	mem_init(&backend->mem);
	inflight_area_init(&backend->inflight);
	vu_reader_init(&backend->reader);
	vu_rings_init(backend);
	backend->loop = loop_create();
	return backend->loop ? 0 : -errno;
}

/* All I/O ends before the memory goes; then the device is as if nobody had been there. */
static void forget_front_end(struct vu_backend *backend)
{
	unsigned int i;

	for (i = 0; i < backend->device.num_queues; i++)
		vu_ring_reset(backend, &backend->rings[i]);
	mem_finish(&backend->mem);
	inflight_area_finish(&backend->inflight);
	vu_reader_finish(&backend->reader);
	backend->features = 0;
	backend->protocol_features = 0;
	loop_remove(backend->loop, backend->sock_source);
	backend->sock_source = NULL;
	fd_close(&backend->request_fd);
	fd_close(&backend->sock);
	if (backend->device.ops && backend->device.ops->reset)
		backend->device.ops->reset(backend->device.dev);
}

static int watch_listener(struct vu_backend *backend)
{
	backend->listen_source =
		loop_add(backend->loop, backend->listen_fd, EPOLLIN, listener_ready, backend);
	return backend->listen_source ? 0 : -errno;
}

static void disconnect(struct vu_backend *backend)
{
	int ret;

	forget_front_end(backend);
	if (backend->listen_fd < 0) {
		loop_quit(backend->loop, 0);
		return;
	}
	ret = watch_listener(backend);
	if (ret) {
		log_error("cannot listen again: %s", strerror(-ret));
		loop_quit(backend->loop, ret);
	}
}

static void sock_ready(void *data, uint32_t events)
{
	struct vu_backend *backend = data;
	struct vu_message msg;
	int ret;

	(void)events; /* a hang-up is told by the read, after what was sent before it */
	ret = vu_reader_read(&backend->reader, backend->sock, VU_REQUEST, &msg);
	if (ret == -EAGAIN)
		return;
	if (!ret) {
		ret = vu_handle(backend, &msg);
		vu_message_finish(&msg);
	}
	if (!ret)
		return;
	if (ret == -ECONNRESET)
		log_info("the front-end has gone");
	else
		log_ratelimited(LOG_LEVEL_WARNING, "connection to the front-end closed: %s",
				ret == -EPROTO ? "it broke the protocol" : strerror(-ret));
	disconnect(backend);
}

static int serve(struct vu_backend *backend, int sock)
{
	backend->sock = sock;
	backend->sock_source = loop_add(backend->loop, sock, EPOLLIN, sock_ready, backend);
	if (!backend->sock_source) {
		int err = errno;

		fd_close(&backend->sock);
		return -err;
	}
	return 0;
}

static void listener_ready(void *data, uint32_t events)
{
	struct vu_backend *backend = data;
	int sock, ret;

	(void)events;
	sock = unix_accept(backend->listen_fd);
	if (sock == -EAGAIN)
		return;
	ret = sock < 0 ? sock : serve(backend, sock);
	if (ret) {
		log_ratelimited(LOG_LEVEL_WARNING, "cannot take a connection: %s", strerror(-ret));
		return;
	}
	log_info("a front-end has connected");
	/* One at a time: the next waits in the listen queue until this one has gone. */
	loop_remove(backend->loop, backend->listen_source);
	backend->listen_source = NULL;
}

int vu_backend_listen(struct vu_backend *backend, int fd)
{
	backend->listen_fd = fd;
	return watch_listener(backend);
}

int vu_backend_attach(struct vu_backend *backend, int fd)
{
	return serve(backend, fd);
}

void vu_backend_finish(struct vu_backend *backend)
{
	if (!backend->loop)
		return;
	forget_front_end(backend);
	loop_remove(backend->loop, backend->listen_source);
	fd_close(&backend->listen_fd);
	loop_destroy(backend->loop);
	backend->loop = NULL;
}

int vu_config_changed(struct vu_backend *backend)
{
	struct vu_message msg;

	if (backend->request_fd < 0)
		return -ENOTCONN;
	/*
	 * No acknowledgement is asked for: the front-end may be waiting for an answer of ours at
	 * the same moment.
	 */
	vu_message_init(&msg, VU_BACKEND_REQUEST, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	return vu_send(backend->request_fd, &msg, VU_BACKEND_REQUEST,
		       deadline_after_ms(NOTIFY_TIMEOUT_MS));
}
