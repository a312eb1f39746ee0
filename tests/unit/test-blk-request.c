// SPDX-License-Identifier: BSD-3-Clause
/*
 * A request of vhost-user-blk step by step, from inside: what is asked of the image, and what
 * follows from how that went.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/blk/request.h"
#include "check.h"
#include "common/util.h"
#include "in-process.h"

#define NUM 16
#define LENGTH 4096U

static struct world {
	struct ip_memory mem;
	struct ip_queue queue;
	struct blk_device blk;
	struct blk_requests requests;
	struct virtio_blk_outhdr *header;
	uint8_t *data;
	uint8_t *status;
} w;

static int begin(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.blk.image.kind = BLK_IMAGE_FILE;
	w.blk.image.fd = -1;
	w.blk.image.size = 1 << 20;
	w.blk.seg_max = BLK_DEFAULT_SEG_MAX;
	w.blk.serial = "";
	w.blk.wce = 1;
	assert_int_equal(ip_memory_init(&w.mem), 0);
	assert_int_equal(ip_queue_init(&w.queue, &w.mem, NUM), 0);
	assert_int_equal(blk_requests_init(&w.requests, &w.blk, &w.queue.vq,
					   BIT_ULL(VIRTIO_BLK_F_FLUSH) |
						   BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE)),
			 0);
	w.header = drv_alloc(&w.mem.driver, sizeof(*w.header), 16);
	w.data = drv_alloc(&w.mem.driver, LENGTH, 512);
	w.status = drv_alloc(&w.mem.driver, 1, 1);
	return 0;
}

static int end(void **state)
{
	(void)state;
	blk_requests_finish(&w.requests);
	ip_queue_finish(&w.queue);
	ip_memory_finish(&w.mem);
	return 0;
}

/* Its first step */
static struct blk_request *ask(uint32_t type, uint32_t len)
{
	struct drv_buf bufs[] = {
		{ w.header, sizeof(*w.header), false },
		{ w.data, len, !(type & VIRTIO_BLK_T_OUT) },
		{ w.status, 1, true },
	};
	struct blk_request *req = NULL;
	uint16_t id;

	w.header->type = htole32(type);
	*w.status = 0xff;
	assert_true(drv_add(&w.queue.ring, bufs, 3, true) >= 0);
	assert_int_equal(vq_pop(&w.queue.vq, &id), 1);
	assert_int_equal(blk_request_begin(&w.requests, id, &req), 1);
	return req;
}

static void answered(uint8_t status)
{
	vq_flush(&w.queue.vq);
	assert_true(drv_get(&w.queue.ring, NULL) >= 0);
	assert_int_equal(*w.status, status);
}

static void set_wce(uint8_t value)
{
	assert_int_equal(
		blk_set_config(&w.blk, &value, offsetof(struct virtio_blk_config, wce), 1), 0);
}

/*
 * The cache is turned off while a write is under way: its driver does not flush any more, so the
 * write is not answered before it is stable.
 */
static void test_cache_off_meanwhile(void **state)
{
	struct blk_request *req;

	(void)state;
	req = ask(VIRTIO_BLK_T_OUT, LENGTH);
	assert_int_equal(req->io.op, BLK_OP_WRITE);
	assert_false(req->io.stable);
	set_wce(0);
	/* in two pieces, for that matter */
	assert_int_equal(blk_request_step(&w.requests, req, 1024), 1);
	assert_int_equal(req->io.op, BLK_OP_WRITE);
	assert_int_equal(blk_request_step(&w.requests, req, LENGTH - 1024), 1);
	assert_int_equal(req->io.op, BLK_OP_SYNC);
	assert_int_equal(*w.status, 0xff);
	assert_int_equal(blk_request_step(&w.requests, req, 0), 0);
	answered(VIRTIO_BLK_S_OK);
	/* which can fail, too */
	set_wce(1);
	req = ask(VIRTIO_BLK_T_OUT, LENGTH);
	set_wce(0);
	assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 1);
	assert_int_equal(blk_request_step(&w.requests, req, -EIO), 0);
	answered(VIRTIO_BLK_S_IOERR);
	/* nothing of that concerns reads */
	set_wce(1);
	req = ask(VIRTIO_BLK_T_IN, LENGTH);
	set_wce(0);
	assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
	answered(VIRTIO_BLK_S_OK);
}

/*
 * What was answered before the cache is turned off is stable before the next write, in each queue.
 * It is not waited for where it is turned off: a disk can take longer than front-ends wait.
 */
static void test_cache_off(void **state)
{
	struct blk_request *req;
	unsigned int i;

	(void)state;
	w.blk.image.fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* cannot be flushed */
	assert_true(w.blk.image.fd >= 0);
	req = ask(VIRTIO_BLK_T_OUT, LENGTH);
	assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
	answered(VIRTIO_BLK_S_OK);
	for (i = 0; i < 2; i++) {
		set_wce(0);
		assert_int_equal(w.blk.cache_offs, i + 1);
		set_wce(0); /* as it is: there is nothing to flush by that */
		assert_int_equal(w.blk.cache_offs, i + 1);
		req = ask(VIRTIO_BLK_T_IN, LENGTH);
		assert_int_equal(req->io.op, BLK_OP_READ);
		assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
		answered(VIRTIO_BLK_S_OK);
		/* as long as that fails so do writes */
		req = ask(VIRTIO_BLK_T_OUT, LENGTH);
		assert_int_equal(req->io.op, BLK_OP_SYNC);
		assert_int_equal(blk_request_step(&w.requests, req, -EIO), 0);
		answered(VIRTIO_BLK_S_IOERR);
		req = ask(VIRTIO_BLK_T_OUT, LENGTH);
		assert_int_equal(req->io.op, BLK_OP_SYNC);
		assert_int_equal(blk_request_step(&w.requests, req, 0), 1);
		assert_int_equal(req->io.op, BLK_OP_WRITE);
		assert_true(req->io.stable);
		assert_int_equal(req->io.len, LENGTH);
		assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
		answered(VIRTIO_BLK_S_OK);
		/* once */
		req = ask(VIRTIO_BLK_T_OUT, LENGTH);
		assert_int_equal(req->io.op, BLK_OP_WRITE);
		assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
		answered(VIRTIO_BLK_S_OK);
		set_wce(1);
	}
	close(w.blk.image.fd);
}

/* A driver that cannot flush has its writes stable, also where it may choose, and chose not. */
static void test_never_flushed(void **state)
{
	static const uint64_t features[] = { 0, BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) };
	struct blk_request *req;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		blk_requests_finish(&w.requests);
		assert_int_equal(
			blk_requests_init(&w.requests, &w.blk, &w.queue.vq, features[i]), 0);
		req = ask(VIRTIO_BLK_T_OUT, LENGTH);
		assert_int_equal(req->io.op, BLK_OP_WRITE);
		assert_true(req->io.stable);
		assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
		answered(VIRTIO_BLK_S_OK);
	}
}

/* A step that a signal ended is done again, whatever it is; FUSE for one does so. */
static void test_interrupted(void **state)
{
	static const uint32_t types[] = {
		VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,		 VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	};
	const struct virtio_blk_discard_write_zeroes segment = { .num_sectors = htole32(8) };
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		bool rw = types[i] <= VIRTIO_BLK_T_OUT;
		struct blk_request *req;
		struct blk_io io;

		memcpy(w.data, &segment, sizeof(segment));
		req = ask(types[i], rw ? LENGTH : sizeof(segment));
		io = req->io;
		assert_int_equal(blk_request_step(&w.requests, req, -EINTR), 1);
		assert_memory_equal(&req->io, &io, sizeof(io));
		assert_int_equal(*w.status, 0xff);
		assert_int_equal(blk_request_step(&w.requests, req, rw ? LENGTH : 0), 0);
		answered(VIRTIO_BLK_S_OK);
	}
}

/*
 * A block device is asked to discard, a file for a hole. Zeroes are to be read as such, so they are
 * never a discard, and are written where nothing else can be done; then a discard is left out.
 */
static void test_no_zeroes(void **state)
{
	const struct virtio_blk_discard_write_zeroes segment = {
		.sector = htole64(8),
		.num_sectors = htole32(8),
	};
	struct blk_request *req;

	(void)state;
	memcpy(w.data, &segment, sizeof(segment));
	req = ask(VIRTIO_BLK_T_DISCARD, sizeof(segment));
	assert_int_equal(req->io.op, BLK_OP_FALLOCATE);
	assert_int_equal(req->io.mode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE);
	assert_int_equal(blk_request_step(&w.requests, req, -EOPNOTSUPP), 0);
	answered(VIRTIO_BLK_S_OK);

	w.blk.image.kind = BLK_IMAGE_DEVICE;
	req = ask(VIRTIO_BLK_T_DISCARD, sizeof(segment));
	assert_int_equal(req->io.op, BLK_OP_DISCARD);
	assert_int_equal(req->io.offset, LENGTH);
	assert_int_equal(req->io.len, LENGTH);
	assert_int_equal(blk_request_step(&w.requests, req, -EOPNOTSUPP), 0);
	answered(VIRTIO_BLK_S_OK);

	((struct virtio_blk_discard_write_zeroes *)w.data)->flags =
		htole32(VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	req = ask(VIRTIO_BLK_T_WRITE_ZEROES, sizeof(segment));
	assert_int_equal(req->io.op, BLK_OP_FALLOCATE);
	assert_int_equal(req->io.mode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE);
	assert_int_equal(blk_request_step(&w.requests, req, -EOPNOTSUPP), 1);
	assert_int_equal(req->io.op, BLK_OP_FALLOCATE);
	assert_int_equal(req->io.mode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE);
	assert_int_equal(blk_request_step(&w.requests, req, -EOPNOTSUPP), 1);
	assert_int_equal(req->io.op, BLK_OP_WRITE);
	assert_int_equal(req->io.iov->iov_len, LENGTH);
	assert_int_equal(blk_request_step(&w.requests, req, LENGTH), 0);
	answered(VIRTIO_BLK_S_OK);
}

#define BLK_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLK_TEST(test_cache_off_meanwhile),
		BLK_TEST(test_cache_off),
		BLK_TEST(test_never_flushed),
		BLK_TEST(test_interrupted),
		BLK_TEST(test_no_zeroes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
