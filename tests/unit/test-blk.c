// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-blk from outside: what each kind of request does. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blk-tester.h"

static void test_config(void **state)
{
	const char *const extra[] = { "--queues", "3", NULL };
	struct virtio_blk_config config;
	uint8_t all[256];
	uint64_t queues;
	struct fe fe;

	(void)state;
	bt_start(&fe, extra);
	assert_int_equal(fe_get_config(&fe, 0, &config, 60), 0);
	assert_int_equal(config.capacity, IMAGE_SIZE / SECTOR);
	assert_int_equal(config.seg_max, 126);
	assert_int_equal(config.blk_size, SECTOR);
	assert_int_equal(config.num_queues, 3);
	assert_int_equal(config.wce, 1);
	assert_true(config.max_discard_seg >= 1);
	/* what the device lacks reads as zero; past the largest config space is refused */
	assert_int_equal(fe_get_config(&fe, 0, all, 256), 0);
	assert_memory_equal(all, &config, 60);
	assert_int_equal(all[200], 0);
	assert_int_equal(fe_get_config(&fe, 250, all, 10), 1);
	assert_int_equal(fe_get_u64(&fe, VHOST_USER_GET_QUEUE_NUM, &queues), 0);
	assert_int_equal(queues, 3);
	bt_finish(&fe);
}

static void check_data(struct fe *fe)
{
	static const uint32_t sizes[] = { 512, 4096, 1536, 65536, 1 << 20 };
	struct request w, r;
	uint8_t *file;
	size_t i;

	bt_make_request(fe, &w, 1 << 20);
	bt_make_request(fe, &r, 1 << 20);
	file = malloc(1 << 20);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t sector = 100 + i * 8192;

		bt_fill(w.data, sizes[i], (unsigned int)i);
		assert_int_equal(bt_run(fe, &w, VIRTIO_BLK_T_OUT, sector, sizes[i]),
				 VIRTIO_BLK_S_OK);
		memset(r.data, 0xaa, sizes[i]);
		assert_int_equal(bt_run(fe, &r, VIRTIO_BLK_T_IN, sector, sizes[i]),
				 VIRTIO_BLK_S_OK);
		assert_memory_equal(w.data, r.data, sizes[i]);
		bt_image_read(sector * SECTOR, file, sizes[i]);
		assert_memory_equal(w.data, file, sizes[i]);
	}
	assert_int_equal(bt_run(fe, &w, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	free(file);
}

static void test_data(void **state)
{
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	check_data(&fe);
	bt_finish(&fe);
}

static void test_data_without_event_idx(void **state)
{
	struct fe fe;

	(void)state;
	bt_start_with(&fe, NULL, ALL_FEATURES & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX), 1);
	check_data(&fe);
	bt_finish(&fe);
}

static void test_data_writethrough(void **state)
{
	struct fe fe;
	uint8_t wce;

	(void)state;
	bt_start_with(&fe, NULL, ALL_FEATURES & ~BIT_ULL(VIRTIO_BLK_F_FLUSH), 1);
	check_data(&fe);
	bt_finish(&fe);
	/* the choice begins with what a driver needs that cannot flush (5.2.5.2) */
	bt_start_with(&fe, NULL, ~BIT_ULL(VIRTIO_BLK_F_FLUSH), 1);
	assert_true(fe.acked & BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE));
	assert_int_equal(fe_get_config(&fe, offsetof(struct virtio_blk_config, wce), &wce, 1), 0);
	assert_int_equal(wce, 0);
	check_data(&fe);
	bt_finish(&fe);
}

static void test_data_polling(void **state)
{
	const char *const extra[] = { "--poll", "50", NULL };
	struct fe fe;

	(void)state;
	bt_start(&fe, extra);
	check_data(&fe);
	bt_finish(&fe);
}

/* Buffers across the border of two regions, in odd pieces. */
static void test_scattered(void **state)
{
	const uint32_t len = 24576;
	struct request w, r;
	struct fe fe;
	int head;

	(void)state;
	bt_make_image(IMAGE_SIZE);
	assert_int_equal(fe_init(&fe, MEMORY, 1, 128, true), 0);
	fe.nregions = 2;
	bt_spawn(&fe, NULL);
	assert_int_equal(fe_handshake(&fe, ALL_FEATURES), 0);
	fe.mem.used = MEMORY / 2 - 8192;
	bt_make_request(&fe, &w, len);
	bt_make_request(&fe, &r, len);
	bt_fill(w.data, len, 3);
	head = bt_submit_cut(&fe, 0, &w, VIRTIO_BLK_T_OUT, 8, len, 1000);
	drv_kick(&fe.rings[0]);
	assert_int_equal(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS), head);
	assert_int_equal(*w.status, VIRTIO_BLK_S_OK);
	head = bt_submit_cut(&fe, 0, &r, VIRTIO_BLK_T_IN, 8, len, 777);
	drv_kick(&fe.rings[0]);
	assert_int_equal(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS), head);
	assert_int_equal(*r.status, VIRTIO_BLK_S_OK);
	assert_memory_equal(w.data, r.data, len);
	bt_finish(&fe);
}

static void start_direct(struct fe *fe)
{
	const char *const extra[] = { "--direct", NULL };
	int fd;

	bt_make_image(IMAGE_SIZE);
	fd = open(bt_image, O_RDWR | O_DIRECT);
	if (fd < 0) {
		unlink(bt_image);
		print_message("skipped: the build folder's file system has no direct I/O\n");
		skip();
	}
	close(fd);
	bt_start(fe, extra);
}

/* Direct I/O; buffers that lie crooked are the back-end's to straighten, long ones in pieces. */
static void test_direct(void **state)
{
	const uint32_t len = 16384, much = 300 * 1024;
	struct request w, r;
	struct fe fe;

	(void)state;
	start_direct(&fe);
	bt_make_request(&fe, &w, much + 100);
	bt_make_request(&fe, &r, much + 100);
	bt_fill(w.data, len, 5);
	assert_int_equal(bt_run(&fe, &w, VIRTIO_BLK_T_OUT, 64, len), VIRTIO_BLK_S_OK);
	assert_int_equal(bt_run(&fe, &r, VIRTIO_BLK_T_IN, 64, len), VIRTIO_BLK_S_OK);
	assert_memory_equal(w.data, r.data, len);
	w.data += 1;
	r.data += 3;
	bt_fill(w.data, len, 6);
	assert_int_equal(bt_run(&fe, &w, VIRTIO_BLK_T_OUT, 128, len), VIRTIO_BLK_S_OK);
	assert_int_equal(bt_run(&fe, &r, VIRTIO_BLK_T_IN, 128, len), VIRTIO_BLK_S_OK);
	assert_memory_equal(w.data, r.data, len);
	bt_fill(w.data, much, 7);
	assert_true(bt_submit_cut(&fe, 0, &w, VIRTIO_BLK_T_OUT, 256, much, 50001) >= 0);
	drv_kick(&fe.rings[0]);
	assert_true(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(*w.status, VIRTIO_BLK_S_OK);
	assert_true(bt_submit_cut(&fe, 0, &r, VIRTIO_BLK_T_IN, 256, much, 70001) >= 0);
	drv_kick(&fe.rings[0]);
	assert_true(drv_wait(&fe.rings[0], NULL, FE_TIMEOUT_MS) >= 0);
	assert_int_equal(*r.status, VIRTIO_BLK_S_OK);
	assert_memory_equal(w.data, r.data, much);
	bt_finish(&fe);
}

/* Return: KiB, the most that a process has had at a time */
static unsigned long peak_memory(pid_t pid)
{
	unsigned long kib = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "VmHWM: %lu", &kib) != 1)
		;
	fclose(f);
	return kib;
}

/* One MiB of memory, named again and again, is no reason to need a hundred. */
static void test_direct_same_memory(void **state)
{
	enum { REQUESTS = 8, PARTS = 16, PART = 1 << 20 };
	struct drv_buf bufs[PARTS + 2];
	unsigned long before, after;
	struct request req;
	struct fe fe;
	int i;

	(void)state;
	start_direct(&fe);
	bt_make_request(&fe, &req, PART + 1);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, PART), VIRTIO_BLK_S_OK);
	before = peak_memory(fe.pid);
	bufs[0] = (struct drv_buf){ req.header, sizeof(*req.header), false };
	for (i = 1; i <= PARTS; i++)
		bufs[i] = (struct drv_buf){ req.data + 1, PART, true };
	bufs[i] = (struct drv_buf){ req.status, 1, true };
	for (i = 0; i < REQUESTS; i++)
		assert_true(drv_add(&fe.rings[0], bufs, ARRAY_SIZE(bufs), true) >= 0);
	drv_kick(&fe.rings[0]);
	/* much to copy, under the sanitizers on a busy machine */
	for (i = 0; i < REQUESTS; i++)
		assert_true(drv_wait(&fe.rings[0], NULL, 4 * FE_TIMEOUT_MS) >= 0);
	assert_int_equal(*req.status, VIRTIO_BLK_S_OK);
	after = peak_memory(fe.pid);
	print_message("%d MiB read, %lu KiB more memory\n", REQUESTS * PARTS, after - before);
	assert_in_range(after - before, 0, 32 * 1024);
	bt_finish(&fe);
}

static void test_errors(void **state)
{
	struct request req;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &req, 8192);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, IMAGE_SIZE / SECTOR, 512),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, IMAGE_SIZE / SECTOR - 1, 1024),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, UINT64_MAX / SECTOR, 512),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 100), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_SCSI_CMD, 0, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(bt_run(&fe, &req, 12345, 0, 0), VIRTIO_BLK_S_UNSUPP);
	/* and all is well afterwards */
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, IMAGE_SIZE / SECTOR - 1, 512),
			 VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

static void test_id(void **state)
{
	const char *const extra[] = { "--serial", "twenty-bytes-exactly", NULL };
	struct request req;
	struct fe fe;

	(void)state;
	bt_start(&fe, extra);
	bt_make_request(&fe, &req, 20);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_GET_ID, 0, 20), VIRTIO_BLK_S_OK);
	assert_memory_equal(req.data, "twenty-bytes-exactly", 20);
	bt_finish(&fe);
}

static void test_read_only(void **state)
{
	const char *const extra[] = { "--read-only", NULL };
	struct virtio_blk_discard_write_zeroes *segment;
	struct request req;
	struct fe fe;

	(void)state;
	bt_start(&fe, extra);
	assert_true(fe.features & BIT_ULL(VIRTIO_BLK_F_RO));
	assert_false(fe.features & BIT_ULL(VIRTIO_BLK_F_DISCARD));
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, 0, 4096), VIRTIO_BLK_S_OK);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, 0, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	segment = (void *)req.data;
	*segment = (struct virtio_blk_discard_write_zeroes){ .num_sectors = 8 };
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_DISCARD, 0, sizeof(*segment)),
			 VIRTIO_BLK_S_IOERR);
	bt_finish(&fe);
}

static int discard(struct fe *fe, struct request *req, uint32_t type, uint64_t sector,
		   uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes *segment = (void *)req->data;

	segment->sector = sector;
	segment->num_sectors = sectors;
	segment->flags = flags;
	return bt_run(fe, req, type, 0, sizeof(*segment));
}

static void test_discard(void **state)
{
	const uint32_t len = 1 << 20, sectors = len / SECTOR;
	struct request req, w;
	struct stat before, after;
	uint8_t *file = malloc(len);
	struct fe fe;
	unsigned int i;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &w, len);
	bt_make_request(&fe, &req, 4096);
	memset(w.data, 0x55, len);
	for (i = 0; i < 3; i++) /* discard, write zeroes with and without unmap: a MiB each */
		assert_int_equal(bt_run(&fe, &w, VIRTIO_BLK_T_OUT, i * sectors, len),
				 VIRTIO_BLK_S_OK);
	assert_int_equal(bt_run(&fe, &w, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	stat(bt_image, &before);

	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_DISCARD, 0, sectors, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_WRITE_ZEROES, sectors, sectors, 1),
			 VIRTIO_BLK_S_OK);
	/* not at block borders: the rest must stay */
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_WRITE_ZEROES, 2 * sectors + 1, sectors - 2,
				 0),
			 VIRTIO_BLK_S_OK);
	stat(bt_image, &after);
	print_message("blocks before %ld, after %ld\n", (long)before.st_blocks,
		      (long)after.st_blocks);
	assert_true(after.st_blocks < before.st_blocks);

	bt_image_read(len, file, len);
	memset(w.data, 0, len);
	assert_memory_equal(file, w.data, len);
	bt_image_read(2 * len, file, len);
	memset(w.data, 0x55, SECTOR);
	memset(w.data + len - SECTOR, 0x55, SECTOR);
	assert_memory_equal(file, w.data, len);

	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_DISCARD, 0, 8, 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_DISCARD, IMAGE_SIZE / SECTOR - 1, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_DISCARD, 0, 15), VIRTIO_BLK_S_IOERR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_DISCARD, 0, 0), VIRTIO_BLK_S_IOERR);
	free(file);
	bt_finish(&fe);
}

/* The image grows; SIGHUP; the front-end is told, and the new end can be written. */
static void test_resize(void **state)
{
	struct virtio_blk_config config;
	struct vu_message msg;
	struct request req;
	struct fe fe;

	(void)state;
	bt_start(&fe, NULL);
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, IMAGE_SIZE / SECTOR, 4096),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(truncate(bt_image, 2 * IMAGE_SIZE), 0);
	kill(fe.pid, SIGHUP);
	assert_int_equal(vu_recv(fe.request_fd, VU_BACKEND_REQUEST, &msg,
				 deadline_after_ms(FE_TIMEOUT_MS)),
			 0);
	assert_int_equal(msg.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(fe_get_config(&fe, 0, &config, 60), 0);
	assert_int_equal(config.capacity, 2 * IMAGE_SIZE / SECTOR);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, IMAGE_SIZE / SECTOR, 4096),
			 VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

static void test_wce(void **state)
{
	uint8_t value = 0, all[60], now[60];
	struct request req;
	struct fe fe;

	(void)state;
	bt_start_with(&fe, NULL, ~0ULL, 1);
	bt_make_request(&fe, &req, 4096);
	assert_int_equal(fe_set_config(&fe, offsetof(struct virtio_blk_config, wce), &value, 1), 0);
	assert_int_equal(fe_get_config(&fe, 0, all, 60), 0);
	assert_int_equal(all[offsetof(struct virtio_blk_config, wce)], 0);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, 0, 4096), VIRTIO_BLK_S_OK);
	/* all of the space, of which the others are not for the driver to write */
	all[offsetof(struct virtio_blk_config, wce)] = 1;
	all[0] ^= 0xff;
	assert_int_equal(fe_set_config(&fe, 0, all, 60), 0);
	assert_int_equal(fe_get_config(&fe, 0, now, 60), 0);
	all[0] ^= 0xff;
	assert_memory_equal(now, all, 60);
	value = 2;
	assert_int_equal(fe_set_config(&fe, offsetof(struct virtio_blk_config, wce), &value, 1), 1);
	all[offsetof(struct virtio_blk_config, wce)] = 2;
	assert_int_equal(fe_set_config(&fe, 0, all, 60), 1);
	/* others alone */
	assert_int_equal(fe_set_config(&fe, 0, &value, 1), 1);
	assert_int_equal(fe_set_config(&fe, 0, all, offsetof(struct virtio_blk_config, wce)), 1);
	bt_finish(&fe);
}

static void test_null(void **state)
{
	struct request req;
	struct fe fe;

	(void)state;
	snprintf(bt_image, sizeof(bt_image), "null:1G");
	assert_int_equal(fe_init(&fe, MEMORY, 1, 128, true), 0);
	bt_spawn(&fe, NULL);
	assert_int_equal(fe_handshake(&fe, ALL_FEATURES), 0);
	bt_make_request(&fe, &req, 65536);
	memset(req.data, 0x5a, 65536);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_OUT, 0, 65536), VIRTIO_BLK_S_OK);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_IN, (1 << 21) - 128, 65536),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(req.data[0] | req.data[65535], 0);
	assert_int_equal(bt_run(&fe, &req, VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(discard(&fe, &req, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1), VIRTIO_BLK_S_OK);
	bt_finish(&fe);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_data_without_event_idx),
		cmocka_unit_test(test_data_writethrough),
		cmocka_unit_test(test_data_polling),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_direct_same_memory),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_wce),
		cmocka_unit_test(test_null),
	};

	return bt_main(tests, argc, argv);
}
