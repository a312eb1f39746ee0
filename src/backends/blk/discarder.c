// SPDX-License-Identifier: BSD-3-Clause
#include "backends/blk/discarder.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

int discarder_init(struct discarder *discarder, const struct blk_image *image)
{
	*discarder = (struct discarder){ .image = image };
	discarder->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (discarder->fd < 0)
		return -errno;
	pthread_mutex_init(&discarder->lock, NULL);
	pthread_cond_init(&discarder->changed, NULL);
	return 0;
}

void discarder_finish(struct discarder *discarder)
{
	if (discarder->running) {
		pthread_mutex_lock(&discarder->lock);
		discarder->stop = true;
		pthread_cond_signal(&discarder->changed);
		pthread_mutex_unlock(&discarder->lock);
		pthread_join(discarder->thread, NULL);
	}
	pthread_cond_destroy(&discarder->changed);
	pthread_mutex_destroy(&discarder->lock);
	fd_close(&discarder->fd);
}

/* With the lock, which is let go meanwhile */
static void work(struct discarder *discarder, struct blk_request *req)
{
	uint64_t one = 1;

	pthread_mutex_unlock(&discarder->lock);
	req->result = blk_io_now(discarder->image, &req->io);
	pthread_mutex_lock(&discarder->lock);
	req->next = discarder->done;
	discarder->done = req;
	if (write(discarder->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_ratelimited(LOG_LEVEL_ERROR, "a discard that is done cannot be told: %m");
}

static void *discarder_thread(void *data)
{
	struct discarder *discarder = data;

	pthread_setname_np(pthread_self(), "blk-discard");
	pthread_mutex_lock(&discarder->lock);
	while (!discarder->stop) {
		struct blk_request *req = discarder->first;

		if (!req) {
			pthread_cond_wait(&discarder->changed, &discarder->lock);
			continue;
		}
		discarder->first = req->next;
		work(discarder, req);
	}
	pthread_mutex_unlock(&discarder->lock);
	return NULL;
}

static bool start(struct discarder *discarder)
{
	int ret;

	if (discarder->running)
		return true;
	ret = pthread_create(&discarder->thread, NULL, discarder_thread, discarder);
	if (ret)
		log_ratelimited(LOG_LEVEL_WARNING,
				"no thread for discards, which hold other requests up: %s",
				strerror(ret));
	discarder->running = !ret;
	return !ret;
}

void discarder_add(struct discarder *discarder, struct blk_request *req)
{
	bool started = start(discarder);

	pthread_mutex_lock(&discarder->lock);
	if (!started) {
		work(discarder, req);
	} else {
		req->next = NULL;
		if (discarder->first)
			discarder->last->next = req;
		else
			discarder->first = req;
		discarder->last = req;
		pthread_cond_signal(&discarder->changed);
	}
	pthread_mutex_unlock(&discarder->lock);
}

struct blk_request *discarder_take(struct discarder *discarder)
{
	struct blk_request *done;
	uint64_t count;

	/* Before the list: one that is done in between is told again. */
	if (read(discarder->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_ratelimited(LOG_LEVEL_ERROR, "discards: %m");
	pthread_mutex_lock(&discarder->lock);
	done = discarder->done;
	discarder->done = NULL;
	pthread_mutex_unlock(&discarder->lock);
	return done;
}
