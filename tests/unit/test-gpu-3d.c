// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user-gpu --virgl: capability sets, contexts, and resources that are drawn by OpenGL. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_gpu.h>

#include "check.h"
#include "common/util.h"
#include "gpu-tester.h"

static void test_commands(void **state)
{
	struct virtio_gpu_resp_capset_info info;

	(void)state;
	gpu_start(-1);
	assert_int_equal(SUBMIT(virtio_gpu_get_capset_info, VIRTIO_GPU_CMD_GET_CAPSET_INFO,
				.capset_index = 1),
			 VIRTIO_GPU_RESP_OK_CAPSET_INFO);
	memcpy(&info, resp, sizeof(info));
	print_message("capability set %u, version %u, %u bytes\n", info.capset_id,
		      info.capset_max_version, info.capset_max_size);
	assert_int_equal(info.capset_id, VIRTIO_GPU_CAPSET_VIRGL2);
	assert_true(info.capset_max_size > 300);
	assert_int_equal(SUBMIT(virtio_gpu_get_capset, VIRTIO_GPU_CMD_GET_CAPSET, .capset_id = 2,
				.capset_version = info.capset_max_version),
			 VIRTIO_GPU_RESP_OK_CAPSET);
	assert_int_equal(SUBMIT(virtio_gpu_get_capset, VIRTIO_GPU_CMD_GET_CAPSET, .capset_id = 4),
			 BAD);
	assert_int_equal(SUBMIT(virtio_gpu_get_capset_info, VIRTIO_GPU_CMD_GET_CAPSET_INFO,
				.capset_index = 2),
			 BAD);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE, .hdr.ctx_id = 1,
				.context_init = 2, .nlen = 4, .debug_name = "test"),
			 OK);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE, .hdr.ctx_id = 1),
			 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	/* venus */
	assert_int_equal(SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE, .hdr.ctx_id = 2,
				.context_init = 4),
			 BAD);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE, .hdr.ctx_id = 2,
				.nlen = 65),
			 BAD);
	assert_int_equal(SUBMIT(virtio_gpu_cmd_submit, VIRTIO_GPU_CMD_SUBMIT_3D, .hdr.ctx_id = 1,
				.size = 4),
			 BAD);
	assert_int_equal(SUBMIT(virtio_gpu_cmd_submit, VIRTIO_GPU_CMD_SUBMIT_3D, .hdr.ctx_id = 9),
			 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	/* answered once the renderer's fence has passed */
	assert_int_equal(SUBMIT(virtio_gpu_cmd_submit, VIRTIO_GPU_CMD_SUBMIT_3D, .hdr.ctx_id = 1,
				.hdr.flags = VIRTIO_GPU_FLAG_FENCE, .hdr.fence_id = 77),
			 OK);
	assert_int_equal(le64toh(((struct virtio_gpu_ctrl_hdr *)(void *)resp)->fence_id), 77);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_resource, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
				.hdr.ctx_id = 1, .resource_id = 5),
			 NO_RESOURCE);
	assert_int_equal(
		SUBMIT(virtio_gpu_ctx_destroy, VIRTIO_GPU_CMD_CTX_DESTROY, .hdr.ctx_id = 1), OK);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_destroy, VIRTIO_GPU_CMD_CTX_DESTROY,
				.hdr.ctx_id = 1),
			 VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	gpu_finish();
}

static uint32_t create_3d(uint32_t id, uint32_t target, uint32_t format, uint32_t bind,
			  uint32_t width, uint32_t height)
{
	return SUBMIT(virtio_gpu_resource_create_3d, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
		      .resource_id = id, .target = target, .format = format, .bind = bind,
		      .width = width, .height = height, .depth = 1, .array_size = 1);
}

static uint32_t transfer_3d(uint32_t id, uint32_t type, struct virtio_gpu_box box)
{
	return SUBMIT(virtio_gpu_transfer_host_3d, type, .box = box, .resource_id = id);
}

/* A buffer has as many bytes as it is wide, whatever format the driver says that it is of. */
static void test_buffer(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 4096, 1 };
	const struct virtio_gpu_box box = { 0, 0, 0, 4096, 1, 1 };
	const uint32_t format = 31 /* of 16 bytes */, vertices = 1 << 4;
	struct pages pages;
	uint32_t i, wrong = 0;

	(void)state;
	gpu_start(-1);
	gpu_alloc_pages(&pages, 16 * 4096);
	assert_int_equal(create_3d(1, 0, format, vertices, 4096, 1), OK);
	assert_int_equal(gpu_attach(1, &pages), OK);
	for (i = 0; i < 1024; i++)
		*gpu_word(&pages, i) = 3 * i;
	assert_int_equal(transfer_3d(1, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, box), OK);
	for (i = 0; i < 16 * 1024; i++)
		*gpu_word(&pages, i) = 0x5a5a5a5a;
	assert_int_equal(transfer_3d(1, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, box), OK);
	for (i = 0; i < 16 * 1024; i++)
		wrong += *gpu_word(&pages, i) != (i < 1024 ? 3 * i : 0x5a5a5a5a);
	if (wrong)
		fail_msg("a buffer of 4096 bytes: expected these back, saw %u wrong words", wrong);
	/* nor is it a picture */
	assert_int_equal(gpu_scanout(0, 1, all), BAD);
	assert_int_equal(gpu_transfer(1, all, 0), BAD);
	gpu_finish();
}

/* A command of a stream that does the same; Return: what the stream is answered with */
static uint32_t stream_transfer(uint32_t id, struct virtio_gpu_box box, uint32_t stride,
				uint32_t layer_stride)
{
	const struct {
		struct virtio_gpu_cmd_submit submit;
		uint32_t words[2 + 14];
	} c = {
		.submit = { .hdr.type = VIRTIO_GPU_CMD_SUBMIT_3D, .hdr.ctx_id = 1, .size = 64 },
		/* one that does nothing, and TRANSFER3D from the host */
		.words = { 0 | 1 << 16, 0, 43 | 13 << 16, id, 0, 0, stride, layer_stride, box.x,
			   box.y, box.z, box.w, box.h, box.d, 0, 2 },
	};

	memcpy(req, &c, sizeof(c));
	return gpu_submit(sizeof(c));
}

static void begin_transfers(struct pages *pages)
{
	gpu_start(-1);
	gpu_alloc_pages(pages, 4 * 64 * 64);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE, .hdr.ctx_id = 1),
			 OK);
	/* R9G9B9E5, which is read otherwise than what can be drawn to */
	assert_int_equal(create_3d(1, 2, 125, 1 << 3, 64, 64), OK);
	assert_int_equal(gpu_attach(1, pages), OK);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_resource, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
				.hdr.ctx_id = 1, .resource_id = 1),
			 OK);
}

/* Boxes that begin before their texture, and strides by which they would end behind the pages */
static void test_transfers(void **state)
{
	static const struct {
		uint32_t z, d, stride, layer_stride;
	} wrong[] = {
		{ -1U, 1, 0, 0 },
		{ -262143U, 1, 0, 0 },
		{ 0x80000000, 1, 0, 0 },
		{ 0, -1U, 0, 0 },
		{ 0, 1, 0xffffffff, 0 },
		{ 0, 1, 0x08000000, 0 },
		{ 0, 3, 0, 0x80000000 },
	};
	struct virtio_gpu_box box = { 0, 0, 0, 64, 64, 1 };
	struct pages pages;
	unsigned int i;

	(void)state;
	begin_transfers(&pages);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint32_t direct, stream;

		box.z = wrong[i].z;
		box.d = wrong[i].d;
		direct = SUBMIT(virtio_gpu_transfer_host_3d, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D,
				.box = box, .resource_id = 1, .stride = wrong[i].stride,
				.layer_stride = wrong[i].layer_stride);
		stream = stream_transfer(1, box, wrong[i].stride, wrong[i].layer_stride);
		if (direct != BAD || stream != BAD)
			fail_msg("transfer %u: expected it refused, saw %#x and %#x in a stream", i,
				 direct, stream);
	}
	box.z = 0;
	box.d = 1;
	assert_int_equal(transfer_3d(1, VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, box), OK);
	assert_int_equal(stream_transfer(1, box, 256, 64 * 256), OK);
	gpu_finish();
}

/* What OpenGL does not read is black: nothing of the back-end's memory is seen. */
static void test_unreadable(void **state)
{
	const struct virtio_gpu_rect all = { 0, 0, 64, 64 };
	uint8_t *rgb;

	(void)state;
	setenv("MALLOC_PERTURB_", "85", 1);
	gpu_start_shown(1);
	unsetenv("MALLOC_PERTURB_");
	/* of four samples a pixel */
	assert_int_equal(SUBMIT(virtio_gpu_resource_create_3d, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
				.resource_id = 1, .target = 2, .format = BGRX, .bind = 1 << 1,
				.width = 64, .height = 64, .depth = 1, .array_size = 1,
				.nr_samples = 4),
			 OK);
	assert_int_equal(gpu_scanout(0, 1, all), OK);
	assert_int_equal(gpu_flush(1, all), OK);
	rgb = gpu_newest(0, 64, 64, 0);
	free(rgb);
	gpu_finish_shown();
}

/* 64 MiB were allowed, whatever a texel takes, and however few layers the driver names. */
static void test_memory_limit_3d(void **state)
{
	static const struct {
		const char *what;
		uint32_t format, width, height, depth, layers, levels;
		bool fits;
	} cases[] = {
		{ "4 bytes a texel", BGRX, 4096, 4096, 1, 1, 0, true },
		{ "4 bytes a texel, one line more", BGRX, 4096, 4097, 1, 1, 0, false },
		{ "no layers", BGRX, 4096, 4096, 1, 0, 0, true },
		{ "no layers, one line more", BGRX, 4096, 4097, 1, 0, 0, false },
		{ "with levels", BGRX, 4096, 4096, 1, 1, 1, false },
		{ "16 bytes a texel", 31, 2048, 2048, 1, 1, 0, true },
		{ "16 bytes a texel, one line more", 31, 2048, 2049, 1, 1, 0, false },
		{ "8 bytes a texel", 94, 2048, 4096, 1, 1, 0, true },
		{ "8 bytes a texel, one line more", 94, 2048, 4097, 1, 1, 0, false },
		{ "1 byte a texel", 64, 8192, 8192, 1, 1, 0, true },
		{ "sizes that overflow", 31, -1U, -1U, -1U, -1U, 0, false },
		{ "sizes of 0 that overflow", 31, -1U, 0, -1U, 0, 0, false },
	};
	unsigned int i;

	(void)state;
	gpu_start(-1);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t ret = SUBMIT(virtio_gpu_resource_create_3d,
				      VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, .resource_id = 1,
				      .target = 2, .format = cases[i].format, .bind = 1 << 3,
				      .width = cases[i].width, .height = cases[i].height,
				      .depth = cases[i].depth, .array_size = cases[i].layers,
				      .last_level = cases[i].levels);

		if (ret != (cases[i].fits ? OK : VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY))
			fail_msg("%s: expected it %s, saw %#x", cases[i].what,
				 cases[i].fits ? "made" : "refused", ret);
		if (cases[i].fits)
			assert_int_equal(gpu_unref(1), OK);
	}
	gpu_finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_memory_limit_3d),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: test-gpu-3d PROGRAM\n");
		return 2;
	}
	program = argv[1];
	virgl = true;
	/* OpenGL drivers keep what they have until the end */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
