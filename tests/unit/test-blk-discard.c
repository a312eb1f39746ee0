// SPDX-License-Identifier: BSD-3-Clause
/*
 * Discards of vhost-user-blk on a block device, which is a file here: what its ioctl() does is this
 * test's, by the linker's --wrap. It discards, and does so slowly, or cannot.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "backends/blk/blk.h"
#include "check.h"
#include "common/cleanup.h"
#include "common/util.h"
#include "in-process.h"

#define NUM 16
#define LENGTH 4096U
#define SECTORS 8U
#define TIMEOUT_MS 10000
#define MARK 0x55
#define DISCARDED 0xdd /* anything may be there then */

struct request {
	struct virtio_blk_outhdr *header;
	uint8_t *data;
	uint8_t *status;
};

static struct world {
	struct ip_memory mem;
	struct ip_queue queue;
	struct vu_queue vu;
	struct blk_device blk;
	struct request discard, read;
	int gate[2]; /* a discard is held up until a byte is here */
	bool gated;
	int error; /* of the next discards */
	unsigned int discards;
} w;

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	uint8_t fill[LENGTH];
	const uint64_t *range;
	va_list args;
	char byte;

	va_start(args, request);
	range = va_arg(args, const uint64_t *);
	va_end(args);
	if (request != BLKDISCARD || fd != w.blk.image.fd || range[1] > sizeof(fill)) {
		errno = ENOTTY;
		return -1;
	}
	w.discards++;
	if (w.gated && read(w.gate[0], &byte, 1) < 0)
		abort();
	if (w.error) {
		errno = w.error;
		return -1;
	}
	memset(fill, DISCARDED, sizeof(fill));
	return pwrite(fd, fill, range[1], (off_t)range[0]) < 0 ? -1 : 0;
}

static void make_request(struct request *req)
{
	req->header = drv_alloc(&w.mem.driver, sizeof(*req->header), 16);
	req->data = drv_alloc(&w.mem.driver, LENGTH, 512);
	req->status = drv_alloc(&w.mem.driver, 1, 1);
}

static void make_image(void)
{
	char path[] = "blk-discard-XXXXXX";
	uint8_t block[LENGTH];
	unsigned int i;

	w.blk.image = (struct blk_image){
		.path = "a device",
		.kind = BLK_IMAGE_DEVICE,
		.fd = mkstemp(path),
		.size = 16 * LENGTH,
		.logical_block = BLK_SECTOR_SIZE,
		.physical_block = BLK_SECTOR_SIZE,
	};
	assert_true(w.blk.image.fd >= 0);
	unlink(path);
	memset(block, MARK, sizeof(block));
	for (i = 0; i < 16; i++)
		assert_int_equal(pwrite(w.blk.image.fd, block, LENGTH, i * LENGTH), LENGTH);
}

static int begin(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	make_image();
	assert_int_equal(pipe(w.gate), 0);
	w.blk.seg_max = BLK_DEFAULT_SEG_MAX;
	w.blk.serial = "";
	w.blk.wce = 1;
	assert_int_equal(ip_memory_init(&w.mem), 0);
	assert_int_equal(ip_queue_init(&w.queue, &w.mem, NUM), 0);
	make_request(&w.discard);
	make_request(&w.read);
	w.vu.vq = w.queue.vq;
	w.vu.kick_fd = w.queue.ring.kick_fd;
	w.vu.features = BIT_ULL(VIRTIO_BLK_F_FLUSH);
	assert_int_equal(blk_queue_start(&w.blk, &w.vu), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fd_close(&w.gate[1]); /* what is held up in a test that failed */
	if (w.vu.priv)
		blk_queue_stop(&w.blk, &w.vu);
	w.queue.vq = w.vu.vq;
	ip_queue_finish(&w.queue);
	ip_memory_finish(&w.mem);
	fd_close(&w.blk.image.fd);
	fd_close(&w.gate[0]);
	return 0;
}

static int submit(struct request *req, uint32_t type, uint64_t sector, uint32_t len)
{
	struct drv_buf bufs[] = {
		{ req->header, sizeof(*req->header), false },
		{ req->data, len, !(type & VIRTIO_BLK_T_OUT) },
		{ req->status, 1, true },
	};
	int head;

	req->header->type = htole32(type);
	req->header->sector = htole64(sector);
	*req->status = 0xff;
	head = drv_add(&w.queue.ring, bufs, 3, true);
	drv_kick(&w.queue.ring);
	return head;
}

/* Two segments with one that stays between them */
static int submit_discard(void)
{
	const struct virtio_blk_discard_write_zeroes segments[] = {
		{ .sector = htole64(0), .num_sectors = htole32(SECTORS) },
		{ .sector = htole64(2 * SECTORS), .num_sectors = htole32(SECTORS) },
	};

	memcpy(w.discard.data, segments, sizeof(segments));
	return submit(&w.discard, VIRTIO_BLK_T_DISCARD, 0, sizeof(segments));
}

static void answered(int head, const struct request *req, uint8_t status)
{
	assert_int_equal(drv_wait(&w.queue.ring, NULL, TIMEOUT_MS), head);
	assert_int_equal(*req->status, status);
}

static void expect_block(unsigned int block, uint8_t expected)
{
	uint8_t buf[LENGTH], want[LENGTH];

	memset(want, expected, sizeof(want));
	assert_int_equal(pread(w.blk.image.fd, buf, LENGTH, block * LENGTH), LENGTH);
	assert_memory_equal(buf, want, LENGTH);
}

/* A device that can discard is told to, whether it can write zeroes or not. */
static void test_passed_on(void **state)
{
	(void)state;
	answered(submit_discard(), &w.discard, VIRTIO_BLK_S_OK);
	print_message("2 segments, %u discards\n", w.discards);
	assert_int_equal(w.discards, 2);
	expect_block(0, DISCARDED);
	expect_block(1, MARK);
	expect_block(2, DISCARDED);
	expect_block(3, MARK);
}

/* One that cannot is left as it is: a discard is a hint. Another error is one. */
static void test_refused(void **state)
{
	(void)state;
	w.error = EOPNOTSUPP;
	answered(submit_discard(), &w.discard, VIRTIO_BLK_S_OK);
	assert_int_equal(w.discards, 2);
	w.error = EIO;
	answered(submit_discard(), &w.discard, VIRTIO_BLK_S_IOERR);
	assert_int_equal(w.discards, 3);
	expect_block(0, MARK);
	expect_block(2, MARK);
}

/* Other requests go on as long as it takes. */
static void test_slow(void **state)
{
	int discard, i;

	(void)state;
	w.gated = true;
	discard = submit_discard();
	for (i = 0; i < 3; i++) {
		answered(submit(&w.read, VIRTIO_BLK_T_IN, SECTORS, LENGTH), &w.read,
			 VIRTIO_BLK_S_OK);
		assert_int_equal(w.read.data[LENGTH - 1], MARK);
	}
	assert_int_equal(*w.discard.status, 0xff);
	assert_int_equal(write(w.gate[1], "go", 2), 2);
	answered(discard, &w.discard, VIRTIO_BLK_S_OK);
}

/* A queue that is stopped has answered it. */
static void test_stop(void **state)
{
	int discard;

	(void)state;
	discard = submit_discard();
	answered(discard, &w.discard, VIRTIO_BLK_S_OK);
	w.gated = true;
	discard = submit_discard();
	answered(submit(&w.read, VIRTIO_BLK_T_IN, SECTORS, LENGTH), &w.read, VIRTIO_BLK_S_OK);
	assert_int_equal(write(w.gate[1], "go", 2), 2);
	blk_queue_stop(&w.blk, &w.vu);
	assert_int_equal(drv_get(&w.queue.ring, NULL), discard);
	assert_int_equal(*w.discard.status, VIRTIO_BLK_S_OK);
	assert_int_equal(w.discards, 4);
}

#define BLK_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLK_TEST(test_passed_on),
		BLK_TEST(test_refused),
		BLK_TEST(test_slow),
		BLK_TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
