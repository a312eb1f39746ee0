/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread for the discards of a queue on a block device: they are an ioctl(), which io_uring
 * cannot do before Linux 6.12, and eMMC for one takes its time. There is none before the first.
 */
#ifndef BLK_DISCARDER_H
#define BLK_DISCARDER_H

#include <pthread.h>
#include <stdbool.h>

#include "backends/blk/request.h"

struct discarder {
	const struct blk_image *image;
	int fd; /* an eventfd: some are done */
	bool running;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool stop;
	struct blk_request *first, *last; /* to be done */
	struct blk_request *done;
};

/* discarder_init() - no thread yet; Return: 0 or a negative errno */
int discarder_init(struct discarder *discarder, const struct blk_image *image);

/* discarder_finish() - all that was added has been taken */
void discarder_finish(struct discarder *discarder);

/* discarder_add() - do the step of @req, whose @result is there when discarder_take() gives it */
void discarder_add(struct discarder *discarder, struct blk_request *req);

/* discarder_take() - those that are done, linked by @next; NULL: none */
struct blk_request *discarder_take(struct discarder *discarder);

#endif
