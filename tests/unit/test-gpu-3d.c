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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
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
