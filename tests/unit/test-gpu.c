// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost-user-gpu from outside: the program, over its socket, with rings of our own, and a display
 * that writes what it is sent into files.
 */
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_gpu.h>

#include "check.h"
#include "common/deadline.h"
#include "common/util.h"
#include "display-thread.h"
#include "front-end.h"
#include "gpu-tester.h"
#include "vhost-user/edid.h"
#include "vhost-user/packed-record.h"

/* ---- tests ---- */

static void test_device(void **state)
{
	struct virtio_gpu_config config;

	(void)state;
	gpu_start(-1);
	assert_true(fe.features & BIT_ULL(VIRTIO_GPU_F_EDID));
	assert_true(fe.features & BIT_ULL(VIRTIO_GPU_F_RESOURCE_BLOB));
	assert_int_equal(!!(fe.features & BIT_ULL(VIRTIO_GPU_F_VIRGL)), virgl);
	assert_int_equal(!!(fe.features & BIT_ULL(VIRTIO_GPU_F_CONTEXT_INIT)), virgl);
	assert_int_equal(fe_get_config(&fe, 0, &config, sizeof(config)), 0);
	assert_int_equal(le32toh(config.num_capsets), virgl ? 2 : 0);
	gpu_finish();
}

/* Without a display there is something to draw on all the same. */
static void test_no_display(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 64, 64 };
	struct virtio_gpu_resp_display_info info;
	struct virtio_gpu_resp_edid edid;
	struct pages pages;
	uint32_t w, h;

	(void)state;
	gpu_start(-1);
	req[0] = 0;
	assert_int_equal(SUBMIT(virtio_gpu_cmd_get_edid, VIRTIO_GPU_CMD_GET_EDID, .scanout = 0),
			 VIRTIO_GPU_RESP_OK_EDID);
	memcpy(&edid, resp, sizeof(edid));
	assert_int_equal(edid_preferred(edid.edid, &w, &h), 0);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_destroy, VIRTIO_GPU_CMD_GET_DISPLAY_INFO),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	memcpy(&info, resp, sizeof(info));
	assert_int_equal(le32toh(info.pmodes[0].r.width), w);
	assert_int_equal(le32toh(info.pmodes[0].enabled), 1);
	gpu_alloc_pages(&pages, 64 * 64 * 4);
	assert_int_equal(gpu_create(1, BGRX, 64, 64), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	assert_int_equal(gpu_transfer(1, all, 0), OK);
	assert_int_equal(gpu_scanout(0, 1, all), OK);
	assert_int_equal(gpu_flush(1, all), OK);
	gpu_finish();
}

static void test_questions(void **state)
{
	struct virtio_gpu_resp_display_info info;
	struct virtio_gpu_resp_edid edid;
	uint32_t w, h;

	(void)state;
	gpu_start_shown(2);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_destroy, VIRTIO_GPU_CMD_GET_DISPLAY_INFO),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	memcpy(&info, resp, sizeof(info));
	assert_int_equal(le32toh(info.pmodes[1].enabled), 1);
	assert_int_equal(le32toh(info.pmodes[1].r.x), 640);
	assert_int_equal(le32toh(info.pmodes[1].r.height), 480);
	assert_int_equal(SUBMIT(virtio_gpu_cmd_get_edid, VIRTIO_GPU_CMD_GET_EDID, .scanout = 1),
			 VIRTIO_GPU_RESP_OK_EDID);
	memcpy(&edid, resp, sizeof(edid));
	assert_int_equal(le32toh(edid.size), EDID_SIZE);
	assert_int_equal(edid_preferred(edid.edid, &w, &h), 0);
	assert_int_equal(w, 640);
	assert_int_equal(h, 480);
	gpu_finish_shown();
}

static void test_picture(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 300, 200 }, part = { 100, 50, 120, 80 };
	struct pages pages;
	uint8_t *rgb;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 300 * 200 * 4);
	gpu_draw(&pages, 300, 200, 1);
	assert_int_equal(gpu_create(7, BGRX, 300, 200), OK);
	assert_int_equal(gpu_attach(7, &pages), OK);
	assert_int_equal(gpu_transfer(7, all, 0), OK);
	assert_int_equal(gpu_scanout(0, 7, all), OK);
	assert_int_equal(gpu_flush(7, all), OK);
	gpu_check_head(0, 300, 200, 0, 0, 1);
	/* what is not transferred is not seen, and what is not flushed neither */
	gpu_draw(&pages, 300, 200, 2);
	assert_int_equal(gpu_transfer(7, part, (50 * 300 + 100) * 4), OK);
	assert_int_equal(gpu_flush(7, (struct virtio_gpu_rect){ 0, 0, 300, 60 }), OK);
	rgb = gpu_newest(0, 300, 200, dt_pattern(299, 199, 1));
	free(rgb);
	/* a part of it as the whole head */
	assert_int_equal(gpu_transfer(7, all, 0), OK);
	assert_int_equal(gpu_scanout(0, 7, part), OK);
	assert_int_equal(gpu_flush(7, all), OK);
	gpu_check_head(0, 120, 80, 100, 50, 2);
	assert_int_equal(gpu_unref(7), OK);
	assert_int_equal(gpu_flush(7, all), NO_RESOURCE);
	gpu_finish_shown();
}

static void test_heads(void **state)
{
	const struct virtio_gpu_rect left = { 0, 0, 100, 90 }, right = { 100, 0, 100, 90 };
	const struct virtio_gpu_rect all = { 0, 0, 200, 90 };
	struct pages pages;

	(void)state;
	gpu_start_shown(2);
	gpu_alloc_pages(&pages, 200 * 90 * 4);
	gpu_draw(&pages, 200, 90, 3);
	assert_int_equal(gpu_create(1, BGRX, 200, 90), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	assert_int_equal(gpu_transfer(1, all, 0), OK);
	assert_int_equal(gpu_scanout(0, 1, left), OK);
	assert_int_equal(gpu_scanout(1, 1, right), OK);
	assert_int_equal(gpu_flush(1, all), OK);
	gpu_check_head(0, 100, 90, 0, 0, 3);
	gpu_check_head(1, 100, 90, 100, 0, 3);
	gpu_finish_shown();
}

static void test_formats(void **state)
{
	static const struct {
		uint32_t format;
		uint8_t bytes[4]; /* of 0x112233 */
	} formats[] = {
		{ VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, { 0x33, 0x22, 0x11, 0xff } },
		{ VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, { 0x33, 0x22, 0x11, 0 } },
		{ VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, { 0xff, 0x11, 0x22, 0x33 } },
		{ VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, { 0, 0x11, 0x22, 0x33 } },
		{ VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, { 0x11, 0x22, 0x33, 0xff } },
		{ VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, { 0, 0x33, 0x22, 0x11 } },
		{ VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, { 0xff, 0x33, 0x22, 0x11 } },
		{ VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, { 0x11, 0x22, 0x33, 0 } },
	};
	struct pages pages;
	unsigned int i, j;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 64 * 64 * 4);
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct virtio_gpu_rect r = { 0, 0, 32 + i, 32 };
		uint32_t ret;

		for (j = 0; j < 64 * 64; j++)
			memcpy(gpu_word(&pages, j), formats[i].bytes, 4);
		ret = gpu_create(1 + i, formats[i].format, 32 + i, 32);
		if (virgl && ret != OK) {
			print_message("virglrenderer has no format %u\n", formats[i].format);
			continue;
		}
		assert_int_equal(ret, OK);
		assert_int_equal(gpu_attach(1 + i, &pages), OK);
		assert_int_equal(gpu_transfer(1 + i, r, 0), OK);
		assert_int_equal(gpu_scanout(0, 1 + i, r), OK);
		assert_int_equal(gpu_flush(1 + i, r), OK);
		free(gpu_newest(0, 32 + i, 32, 0x112233));
	}
	assert_int_equal(gpu_create(99, 5, 32, 32), BAD);
	gpu_finish_shown();
}

static uint32_t create_blob(uint32_t id, uint32_t mem, const struct pages *p, uint64_t size)
{
	struct virtio_gpu_resource_create_blob c = {
		.hdr.type = htole32(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
		.resource_id = id,
		.blob_mem = mem,
		.size = size,
	};

	c.nr_entries = gpu_put_entries(p, req + sizeof(c));
	memcpy(req, &c, sizeof(c));
	return gpu_submit(sizeof(c) + p->count * sizeof(struct virtio_gpu_mem_entry));
}

static uint32_t scanout_blob(uint32_t id, uint32_t format, uint32_t width, uint32_t height,
			     uint32_t stride, uint32_t offset)
{
	return SUBMIT(virtio_gpu_set_scanout_blob, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
		      .r = { 0, 0, width, height }, .resource_id = id, .width = width,
		      .height = height, .format = format, .strides = { stride },
		      .offsets = { offset });
}

/* Guest pages are shown without a transfer: what is there at the flush is seen. */
static void test_blob(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 100, 80 };
	struct pages pages;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 128 * 80 * 4);
	assert_int_equal(create_blob(1, VIRTIO_GPU_BLOB_MEM_GUEST, &pages, 128 * 80 * 4), OK);
	assert_int_equal(scanout_blob(1, BGRX, 100, 80, 128 * 4, 0), OK);
	gpu_draw(&pages, 128, 80, 1);
	assert_int_equal(gpu_flush(1, all), OK);
	gpu_check_head(0, 100, 80, 0, 0, 1);
	gpu_draw(&pages, 128, 80, 2);
	assert_int_equal(gpu_flush(1, all), OK);
	gpu_check_head(0, 100, 80, 0, 0, 2);
	/* host memory, too long, too short, another kind, a picture that does not fit */
	assert_int_equal(create_blob(2, VIRTIO_GPU_BLOB_MEM_HOST3D, &pages, 4096), BAD);
	assert_int_equal(create_blob(2, 0, &pages, 4096), BAD);
	assert_int_equal(create_blob(2, VIRTIO_GPU_BLOB_MEM_GUEST, &pages, 4096 * 100), BAD);
	assert_int_equal(create_blob(1, VIRTIO_GPU_BLOB_MEM_GUEST, &pages, 4096), NO_RESOURCE);
	assert_int_equal(scanout_blob(1, BGRX, 129, 80, 128 * 4, 0), BAD);
	assert_int_equal(scanout_blob(1, BGRX, 128, 80, 128 * 4, 4), BAD);
	assert_int_equal(scanout_blob(1, BGRX, 128, 80, 0xffffffff, 0), BAD);
	assert_int_equal(scanout_blob(1, 5, 128, 80, 128 * 4, 0), BAD);
	assert_int_equal(gpu_scanout(0, 1, all), NO_RESOURCE);
	assert_int_equal(SUBMIT(virtio_gpu_resource_map_blob, VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB,
				.resource_id = 1),
			 VIRTIO_GPU_RESP_ERR_UNSPEC);
	gpu_finish_shown();
}

static void move_cursor(uint32_t type, uint32_t id, uint32_t x, uint32_t y)
{
	struct virtio_gpu_update_cursor *c = (void *)req;
	struct drv_buf buf = { req, sizeof(*c), false };
	int head;

	*c = (struct virtio_gpu_update_cursor){
		.hdr.type = htole32(type),
		.pos = { .scanout_id = 0, .x = x, .y = y },
		.resource_id = id,
	};
	head = drv_add(&fe.rings[1], &buf, 1, false);
	drv_kick(&fe.rings[1]);
	assert_int_equal(drv_wait(&fe.rings[1], NULL, DT_TIMEOUT_MS), head);
}

static void test_cursor(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 100, 100 }, small = { 0, 0, 64, 64 };
	struct pages pages;
	unsigned int i;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 100 * 100 * 4);
	assert_int_equal(gpu_create(1, BGRX, 100, 100), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	for (i = 0; i < 10000; i++)
		*gpu_word(&pages, i) = 0x102030;
	assert_int_equal(gpu_transfer(1, all, 0), OK);
	assert_int_equal(gpu_scanout(0, 1, all), OK);
	assert_int_equal(gpu_flush(1, all), OK);
	free(gpu_newest(0, 100, 100, 0x102030));
	assert_int_equal(gpu_create(2, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64), OK);
	gpu_alloc_pages(&pages, 64 * 64 * 4);
	assert_int_equal(gpu_attach(2, &pages), OK);
	for (i = 0; i < 64 * 64; i++)
		*gpu_word(&pages, i) = 0xff00ff00;
	assert_int_equal(gpu_transfer(2, small, 0), OK);
	move_cursor(VIRTIO_GPU_CMD_UPDATE_CURSOR, 2, 90, 90);
	free(gpu_newest(0, 100, 100, 0x00ff00));
	move_cursor(VIRTIO_GPU_CMD_MOVE_CURSOR, 0, 10, 10);
	free(gpu_newest(0, 100, 100, 0x102030));
	move_cursor(VIRTIO_GPU_CMD_MOVE_CURSOR, 0, 99, 99);
	free(gpu_newest(0, 100, 100, 0x00ff00));
	move_cursor(VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, 99, 99);
	free(gpu_newest(0, 100, 100, 0x102030));
	/* none of these is a cursor */
	move_cursor(VIRTIO_GPU_CMD_UPDATE_CURSOR, 1, 99, 99);
	move_cursor(VIRTIO_GPU_CMD_UPDATE_CURSOR, 77, 99, 99);
	move_cursor(0x9999, 2, 99, 99);
	gpu_finish_shown();
}

/* ---- mistakes ---- */

static void test_mistakes(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 64, 64 };
	static const struct virtio_gpu_rect outside[] = {
		{ 0, 0, 65, 1 },	 { 0, 0, 1, 65 },
		{ 64, 0, 1, 1 },	 { 0, 64, 1, 1 },
		{ 0xffffffff, 0, 2, 1 }, { 1, 0, 0xffffffff, 1 },
		{ 0, 1, 1, 0xffffffff }, { 0, 0, 0, 1 },
		{ 0, 0, 1, 0 },		 { 0x80000000, 0x80000000, 0x80000000, 0x80000000 },
	};
	struct pages pages;
	unsigned int i;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 64 * 64 * 4);
	assert_int_equal(gpu_create(0, BGRX, 64, 64), NO_RESOURCE);
	assert_int_equal(gpu_create(1, BGRX, 0, 64), BAD);
	assert_int_equal(gpu_create(1, BGRX, 64, 0x4001), BAD);
	assert_int_equal(gpu_create(1, BGRX, 0xffffffff, 0xffffffff), BAD);
	assert_int_equal(gpu_create(1, BGRX, 0x4000, 0x4000), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	assert_int_equal(gpu_create(1, BGRX, 64, 64), OK);
	assert_int_equal(gpu_create(1, BGRX, 64, 64), NO_RESOURCE);
	assert_int_equal(gpu_transfer(1, all, 0), VIRTIO_GPU_RESP_ERR_UNSPEC);
	assert_int_equal(gpu_attach(2, &pages), NO_RESOURCE);
	assert_int_equal(gpu_attach(1, &pages), OK);
	assert_int_equal(gpu_attach(1, &pages), VIRTIO_GPU_RESP_ERR_UNSPEC);
	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		assert_int_equal(gpu_transfer(1, outside[i], 0), BAD);
		assert_int_equal(gpu_scanout(0, 1, outside[i]), BAD);
		assert_int_equal(gpu_flush(1, outside[i]), BAD);
	}
	assert_int_equal(gpu_transfer(1, all, 4), BAD);
	assert_int_equal(gpu_transfer(1, all, 0xfffffffffffffffcULL), BAD);
	assert_int_equal(gpu_scanout(16, 1, all), VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	assert_int_equal(gpu_scanout(0, 3, all), NO_RESOURCE);
	assert_int_equal(gpu_flush(3, all), NO_RESOURCE);
	assert_int_equal(gpu_unref(3), NO_RESOURCE);
	assert_int_equal(SUBMIT(virtio_gpu_resource_detach_backing,
				VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, .resource_id = 3),
			 NO_RESOURCE);
	assert_int_equal(SUBMIT(virtio_gpu_cmd_get_edid, VIRTIO_GPU_CMD_GET_EDID, .scanout = 16),
			 BAD);
	/* cut short; unknown; nothing at all */
	memset(req, 0, 64);
	*(uint32_t *)(void *)req = htole32(VIRTIO_GPU_CMD_SET_SCANOUT);
	assert_int_equal(gpu_submit(sizeof(struct virtio_gpu_set_scanout) - 1), BAD);
	assert_int_equal(gpu_submit(4), VIRTIO_GPU_RESP_ERR_UNSPEC);
	*(uint32_t *)(void *)req = htole32(0xffffffff);
	assert_int_equal(gpu_submit(64), VIRTIO_GPU_RESP_ERR_UNSPEC);
	/* pages that are not there, more than are said, none */
	assert_int_equal(gpu_create(5, BGRX, 64, 64), OK);
	{
		struct virtio_gpu_resource_attach_backing c = {
			.hdr.type = htole32(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
			.resource_id = 5,
			.nr_entries = 1,
		};
		struct virtio_gpu_mem_entry entry = { .addr = 0x123456789000, .length = 4096 };

		memcpy(req, &c, sizeof(c));
		memcpy(req + sizeof(c), &entry, sizeof(entry));
		assert_int_equal(gpu_submit(sizeof(c) + sizeof(entry)), BAD);
		entry.addr = drv_gpa(&fe.mem, req);
		entry.length = 0xffffffff;
		memcpy(req + sizeof(c), &entry, sizeof(entry));
		assert_int_equal(gpu_submit(sizeof(c) + sizeof(entry)), BAD);
		assert_int_equal(gpu_submit(sizeof(c)), BAD);
		c.nr_entries = 0xffffffff;
		memcpy(req, &c, sizeof(c));
		assert_int_equal(gpu_submit(sizeof(c) + sizeof(entry)), BAD);
		c.nr_entries = 0;
		memcpy(req, &c, sizeof(c));
		assert_int_equal(gpu_submit(sizeof(c)), BAD);
	}
	/* and it all works still */
	assert_int_equal(gpu_transfer(1, all, 0), OK);
	gpu_finish_shown();
}

/* A command stream of as many pages as an indirect table has descriptors, but for two */
static uint32_t submit_pages(unsigned int pages)
{
	const struct virtio_gpu_cmd_submit submit = {
		.hdr.type = htole32(VIRTIO_GPU_CMD_SUBMIT_3D),
		.hdr.flags = htole32(VIRTIO_GPU_FLAG_FENCE),
		.hdr.fence_id = htole64(5),
		.size = htole32(4096 * pages),
	};
	struct drv_buf *bufs = calloc(pages + 2, sizeof(*bufs));
	uint8_t *page = drv_alloc(&fe.mem, 4096, 4096);
	struct virtio_gpu_ctrl_hdr hdr = { 0 };
	unsigned int i;
	int head;

	assert_non_null(bufs);
	assert_non_null(page);
	memcpy(req, &submit, sizeof(submit));
	memset(resp, 0, sizeof(hdr));
	bufs[0] = (struct drv_buf){ req, sizeof(submit), false };
	for (i = 1; i <= pages; i++)
		bufs[i] = (struct drv_buf){ page, 4096, false };
	bufs[pages + 1] = (struct drv_buf){ resp, sizeof(hdr), true };
	head = drv_add(&fe.rings[0], bufs, pages + 2, true);
	free(bufs);
	assert_true(head >= 0);
	drv_kick(&fe.rings[0]);
	if (drv_wait(&fe.rings[0], NULL, DT_TIMEOUT_MS) != head)
		fail_msg("a stream of %u pages: expected an answer, saw none", pages);
	memcpy(&hdr, resp, sizeof(hdr));
	assert_true(le64toh(hdr.fence_id) == 5);
	return le32toh(hdr.type);
}

/* What is too long is refused, and the queue goes on. */
static void test_long_stream(void **state)
{
	static const unsigned int pages[] = { 4094, 4095, 4096, 32766 };
	unsigned int i;

	(void)state;
	gpu_start(-1);
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		assert_in_range(submit_pages(pages[i]), VIRTIO_GPU_RESP_ERR_UNSPEC,
				VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	assert_int_equal(gpu_create(1, BGRX, 64, 64), OK);
	gpu_finish();
}

/* 64 MiB were allowed */
static void test_memory_limit(void **state)
{
	unsigned int i;

	(void)state;
	gpu_start(-1);
	for (i = 1; i < 100; i++) {
		if (gpu_create(i, BGRX, 1024, 1024) != OK)
			break;
	}
	assert_int_equal(i, 17);
	assert_int_equal(gpu_unref(3), OK);
	assert_int_equal(gpu_create(200, BGRX, 1024, 1024), OK);
	assert_int_equal(gpu_create(201, BGRX, 1, 1), VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	gpu_finish();
}

static void test_fence(void **state)
{
	struct virtio_gpu_ctrl_hdr hdr = {
		.type = htole32(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
		.flags = htole32(VIRTIO_GPU_FLAG_FENCE),
		.fence_id = htole64(0x123456789abcdef0),
		.ctx_id = htole32(3),
	};
	struct virtio_gpu_ctrl_hdr back;

	(void)state;
	gpu_start(-1);
	assert_int_equal(SUBMIT(virtio_gpu_resource_create_2d, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
				.hdr = hdr, .resource_id = 1, .format = BGRX, .width = 8,
				.height = 8),
			 OK);
	memcpy(&back, resp, sizeof(back));
	assert_int_equal(back.flags, hdr.flags);
	assert_true(back.fence_id == hdr.fence_id);
	assert_int_equal(back.ctx_id, hdr.ctx_id);
	gpu_finish();
}

/* ---- life ---- */

/*
 * A display that never reads and never answers holds nothing up for ever; frames that are larger
 * than its socket go on after a while.
 */
static void test_deaf_display(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 512, 512 };
	struct pages pages;
	uint64_t before;
	unsigned int i;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	gpu_start(pair[1]);
	gpu_alloc_pages(&pages, 512 * 512 * 4);
	assert_int_equal(gpu_create(1, BGRX, 512, 512), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	assert_int_equal(gpu_scanout(0, 1, all), OK);
	before = now_ns();
	for (i = 0; i < 20; i++) {
		assert_int_equal(gpu_transfer(1, all, 0), OK);
		assert_int_equal(gpu_flush(1, all), OK);
	}
	assert_int_equal(SUBMIT(virtio_gpu_ctx_destroy, VIRTIO_GPU_CMD_GET_DISPLAY_INFO),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	print_message("20 frames for nobody took %lu ms\n",
		      (unsigned long)((now_ns() - before) / 1000000));
	/* with a command that waits the queue can be stopped, too */
	close(pair[0]);
	gpu_finish();
}

static void test_stop_while_waiting(void **state)
{
	struct drv_buf bufs[2];
	uint32_t base;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	gpu_start(pair[1]);
	memset(req, 0, sizeof(struct virtio_gpu_ctrl_hdr));
	*(uint32_t *)(void *)req = htole32(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	bufs[0] = (struct drv_buf){ req, sizeof(struct virtio_gpu_ctrl_hdr), false };
	bufs[1] = (struct drv_buf){ resp, 4096, true };
	assert_true(drv_add(&fe.rings[0], bufs, 2, true) >= 0);
	drv_kick(&fe.rings[0]);
	gpu_wait_taken();
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	assert_int_equal(base, drv_base(&fe.rings[0]));
	close(pair[0]);
	gpu_finish();
}

/* Another display shows the same: it is told all of it. */
static void test_another_display(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 150, 100 };
	struct pages pages;
	int sock;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 150 * 100 * 4);
	gpu_draw(&pages, 150, 100, 4);
	assert_int_equal(gpu_create(1, BGRX, 150, 100), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	assert_int_equal(gpu_transfer(1, all, 0), OK);
	assert_int_equal(gpu_scanout(0, 1, all), OK);
	assert_int_equal(gpu_flush(1, all), OK);
	gpu_check_head(0, 150, 100, 0, 0, 4);
	dt_stop(&dt);
	assert_int_equal(gpu_flush(1, all), OK);
	snprintf(gpu_mode, sizeof(gpu_mode), "png=%s/second", gpu_dir);
	dt_start(&dt, gpu_mode, 1, 640, 480);
	sock = dt_hand_over(&dt);
	assert_int_equal(gpu_set_socket(sock), 0);
	close(sock);
	strcat(gpu_dir, "/second");
	gpu_check_head(0, 150, 100, 0, 0, 4);
	*strrchr(gpu_dir, '/') = '\0';
	gpu_finish_shown();
}

/* A change of the memory table and a pause keep everything; who starts over has nothing. */
static void test_start_over(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 64, 64 };
	struct pages pages;
	uint32_t base;

	(void)state;
	gpu_start_shown(1);
	gpu_alloc_pages(&pages, 64 * 64 * 4);
	gpu_draw(&pages, 64, 64, 1);
	assert_int_equal(gpu_create(1, BGRX, 64, 64), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	assert_int_equal(gpu_scanout(0, 1, all), OK);
	assert_int_equal(fe_set_memory(&fe), 0);
	assert_int_equal(gpu_transfer(1, all, 0), OK);
	assert_int_equal(gpu_flush(1, all), OK);
	gpu_check_head(0, 64, 64, 0, 0, 1);
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	assert_int_equal(fe_start_ring(&fe, 0, base), 0);
	assert_int_equal(gpu_flush(1, all), OK);

	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	drv_ring_finish(&fe.rings[0]);
	assert_int_equal(drv_ring_init(&fe.rings[0], &fe.mem, RING_SIZE, true), 0);
	assert_int_equal(fe_start_ring(&fe, 0, drv_base(&fe.rings[0])), 0);
	assert_int_equal(gpu_flush(1, all), NO_RESOURCE);
	assert_int_equal(gpu_create(1, BGRX, 64, 64), OK);
	gpu_finish_shown();
}

/* A ring can stop where one begins, with a command that waits for the display until then. */
static void test_pause_at_start(void **state)
{
	/* a request takes one descriptor, and a packed ring has two laps */
	unsigned int n, requests = drv_packed_wanted() ? 2 * RING_SIZE : 65536;
	struct drv_buf bufs[2];
	uint32_t base;
	int pair[2], head;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	gpu_start(pair[1]);
	assert_int_equal(gpu_create(7, BGRX, 64, 64), OK);
	for (n = 2; n < requests; n++)
		assert_int_equal(gpu_unref(9), NO_RESOURCE);
	*(uint32_t *)(void *)req = htole32(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
	bufs[0] = (struct drv_buf){ req, sizeof(struct virtio_gpu_ctrl_hdr), false };
	bufs[1] = (struct drv_buf){ resp, 4096, true };
	head = drv_add(&fe.rings[0], bufs, 2, true);
	assert_true(head >= 0);
	drv_kick(&fe.rings[0]);
	gpu_wait_taken();
	assert_int_equal(fe_get_base(&fe, 0, &base), 0);
	assert_int_equal(base, drv_packed_wanted() ? PACKED_BASE_FRESH : 0);
	assert_int_equal(drv_get(&fe.rings[0], NULL), head);
	assert_int_equal(fe_start_ring(&fe, 0, base), 0);
	assert_int_equal(gpu_unref(7), OK);
	close(pair[0]);
	gpu_finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_no_display),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_picture),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_blob),
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_long_stream),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_fence),
		cmocka_unit_test(test_deaf_display),
		cmocka_unit_test(test_stop_while_waiting),
		cmocka_unit_test(test_pause_at_start),
		cmocka_unit_test(test_another_display),
		cmocka_unit_test(test_start_over),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: test-gpu PROGRAM [virgl]\n");
		return 2;
	}
	program = argv[1];
	virgl = argc > 2;
	/* OpenGL drivers keep what they have until the end */
	if (virgl)
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
