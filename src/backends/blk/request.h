/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One request (5.2.6) as a sequence of I/O steps. This part knows virtio and not how I/O is done:
 * it says what the next step is, and is told how it went. Whoever does the I/O (engine.c, uring in
 * queue.c) knows no virtio.
 */
#ifndef BLK_REQUEST_H
#define BLK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backends/blk/blk.h"

enum blk_op {
	BLK_OP_NONE,
	BLK_OP_READ,
	BLK_OP_WRITE,
	BLK_OP_SYNC, /* fdatasync */
	BLK_OP_FALLOCATE,
	BLK_OP_DISCARD, /* BLKDISCARD; not for io_uring: see discarder.h */
};

/* One step of I/O on the image */
struct blk_io {
	enum blk_op op;
	bool stable; /* BLK_OP_WRITE: RWF_DSYNC */
	int mode; /* BLK_OP_FALLOCATE */
	unsigned int niov;
	const struct iovec *iov;
	uint64_t offset;
	uint64_t len; /* what is left to be moved; @iov may be a piece of it */
};

struct blk_request {
	struct blk_io io; /* the next step */
	struct iovec *iov; /* the data; what is left of it, for reads and writes */
	unsigned int niov;
	uint8_t *status; /* where the driver waits for it */
	unsigned int cache_offs; /* of the device, before a flush that comes before a write */
	uint32_t written; /* bytes that the driver is told of */
	uint16_t id;
	bool unmap; /* WRITE_ZEROES: the flag of the segment at hand */
	uint32_t type;
	unsigned int segment; /* DISCARD, WRITE_ZEROES: at hand */
	unsigned int segments;
	void *bounce; /* direct I/O on buffers that are not aligned */
	struct iovec bounce_iov; /* ... and also the zeroes of WRITE_ZEROES */
	struct blk_request *next; /* the discarder's, as @result */
	int64_t result;
};

/* A queue's requests: one for each id of the virtqueue, made when the queue starts */
struct blk_requests {
	const struct blk_device *blk;
	struct virtqueue *vq;
	uint64_t features;
	unsigned int cache_offs; /* of the device, up to which all that was answered is stable */
	unsigned int iov_stride; /* iovecs for each id */
	struct blk_request *table;
	struct iovec *iovs;
};

int blk_requests_init(struct blk_requests *requests, const struct blk_device *blk,
		      struct virtqueue *vq, uint64_t features);
void blk_requests_finish(struct blk_requests *requests);

/**
 * blk_request_begin() - understand a request
 * @requests:	of the queue
 * @id:		from vq_pop()
 * @request:	set to it
 *
 * Return: 1 when req->io is to be done, 0 when it is answered already, or -EPROTO: the queue is
 * broken.
 */
int blk_request_begin(struct blk_requests *requests, uint16_t id, struct blk_request **request);

/**
 * blk_request_step() - go on after a step of I/O
 * @requests:	of the queue
 * @req:	the request
 * @result:	what the system call would return: bytes or a negative errno
 *
 * Return: 1 when req->io is the next step, 0 when the request is answered.
 */
int blk_request_step(struct blk_requests *requests, struct blk_request *req, int64_t result);

/* ---- engine.c ---- */

/* blk_io_now() - do a step in this thread; Return: bytes or a negative errno */
int64_t blk_io_now(const struct blk_image *image, const struct blk_io *io);

#endif
