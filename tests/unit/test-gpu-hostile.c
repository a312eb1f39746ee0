// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost-user-gpu --virgl under a driver that means harm: ids, sizes, offsets, capability sets and
 * command streams that are made up, half of each likely enough to get past the first check. The
 * numbers come from a seed, so that a run can be repeated:
 *
 *	test-gpu-hostile PROGRAM [SEED [ROUNDS]]
 *
 * Whatever comes, each command is answered, and the process goes on to serve one that means well.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_gpu.h>

#include "check.h"
#include "common/util.h"
#include "gpu-tester.h"

#define ROUNDS 4000
#define STREAM_WORDS 4000
/* What virglrenderer has of each, and some more */
#define STREAM_COMMANDS 60
#define STREAM_OBJECTS 12
#define FORMATS 320
#define TARGETS 10

static uint32_t state_of_rnd = 1;
static unsigned int rounds = ROUNDS;

static uint32_t rnd(void)
{
	state_of_rnd ^= state_of_rnd << 13;
	state_of_rnd ^= state_of_rnd >> 17;
	state_of_rnd ^= state_of_rnd << 5;
	return state_of_rnd;
}

static uint32_t below(uint32_t n)
{
	return rnd() % n;
}

/* A number as those have it who look for mistakes */
static uint32_t odd(void)
{
	static const uint32_t edges[] = { 0, 1, 2, 3, 4, 64, 255, 4096,
					  0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff };

	switch (below(4)) {
	case 0:
		return edges[below(ARRAY_SIZE(edges))];
	case 1:
		return 1U << below(32);
	case 2:
		return rnd();
	default:
		return below(64);
	}
}

/* Mostly one that passes, and now and then any */
static uint32_t mostly(uint32_t most)
{
	return below(8) ? below(most) : odd();
}

static uint32_t id(void)
{
	return mostly(6);
}

static void put(size_t at, uint32_t value)
{
	value = htole32(value);
	memcpy(req + at, &value, sizeof(value));
}

static struct virtio_gpu_ctrl_hdr header(void)
{
	return (struct virtio_gpu_ctrl_hdr){
		.flags = htole32(below(4) ? 0 : VIRTIO_GPU_FLAG_FENCE),
		.fence_id = htole64(rnd()),
		.ctx_id = htole32(id()),
	};
}

/* ---- commands ---- */

static void contexts(void)
{
	if (below(3))
		SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE, .hdr = header(),
		       .nlen = htole32(mostly(65)), .context_init = htole32(mostly(5)));
	else
		SUBMIT(virtio_gpu_ctx_destroy, VIRTIO_GPU_CMD_CTX_DESTROY, .hdr = header());
}

static void context_resources(void)
{
	SUBMIT(virtio_gpu_ctx_resource,
	       below(3) ? VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE : VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE,
	       .hdr = header(), .resource_id = htole32(id()));
}

static void create_3d(void)
{
	SUBMIT(virtio_gpu_resource_create_3d, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, .hdr = header(),
	       .resource_id = htole32(id()), .target = htole32(mostly(TARGETS)),
	       .format = htole32(mostly(FORMATS)),
	       .bind = htole32(1U << below(24) | (below(2) ? 1U << below(24) : 0)),
	       .width = htole32(mostly(70)), .height = htole32(mostly(70)),
	       .depth = htole32(mostly(3)), .array_size = htole32(mostly(8)),
	       .last_level = htole32(mostly(4)), .nr_samples = htole32(mostly(3)),
	       .flags = htole32(mostly(2)));
}

static void plain_resources(void)
{
	struct virtio_gpu_rect r = { htole32(odd()), htole32(odd()), htole32(mostly(70)),
				     htole32(mostly(70)) };

	switch (below(5)) {
	case 0:
		gpu_create(id(), mostly(200), mostly(70), mostly(70));
		break;
	case 1:
		gpu_unref(id());
		break;
	case 2:
		gpu_transfer(id(), r, odd());
		break;
	case 3:
		gpu_scanout(mostly(2), id(), r);
		break;
	default:
		gpu_flush(id(), r);
	}
}

/* Pages that are there, and others */
static void backing(const struct pages *pages)
{
	struct virtio_gpu_resource_attach_backing attach = { .hdr = header(),
							     .resource_id = htole32(id()) };
	uint32_t i, n = gpu_put_entries(pages, req + sizeof(attach));

	if (!below(4)) {
		SUBMIT(virtio_gpu_resource_detach_backing, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
		       .hdr = header(), .resource_id = htole32(id()));
		return;
	}
	for (i = 0; i < n && !below(3); i++)
		put(sizeof(attach) + i * sizeof(struct virtio_gpu_mem_entry) + below(4) * 4, odd());
	attach.hdr.type = htole32(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING);
	attach.nr_entries = htole32(below(4) ? n : odd());
	memcpy(req, &attach, sizeof(attach));
	gpu_submit(sizeof(attach) + n * sizeof(struct virtio_gpu_mem_entry));
}

static void blob(const struct pages *pages)
{
	struct virtio_gpu_resource_create_blob create = {
		.hdr = header(),
		.resource_id = htole32(id()),
		.blob_mem = htole32(mostly(4)),
		.blob_flags = htole32(mostly(8)),
		.blob_id = odd(),
		.size = htole64(below(2) ? 4096 : odd()),
	};
	uint32_t n = gpu_put_entries(pages, req + sizeof(create));

	create.hdr.type = htole32(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB);
	create.nr_entries = htole32(below(4) ? n : odd());
	memcpy(req, &create, sizeof(create));
	gpu_submit(sizeof(create) + n * sizeof(struct virtio_gpu_mem_entry));
}

static void transfer_3d(void)
{
	SUBMIT(virtio_gpu_transfer_host_3d,
	       below(2) ? VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D : VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D,
	       .hdr = header(),
	       .box = { htole32(mostly(8)), htole32(mostly(8)), htole32(mostly(2)),
			htole32(mostly(70)), htole32(mostly(70)), htole32(mostly(3)) },
	       .offset = htole64(odd()), .resource_id = htole32(id()), .level = htole32(mostly(3)),
	       .stride = htole32(below(2) ? 0 : odd()),
	       .layer_stride = htole32(below(2) ? 0 : odd()));
}

static void capsets(void)
{
	if (below(2))
		SUBMIT(virtio_gpu_get_capset_info, VIRTIO_GPU_CMD_GET_CAPSET_INFO, .hdr = header(),
		       .capset_index = htole32(mostly(4)));
	else
		SUBMIT(virtio_gpu_get_capset, VIRTIO_GPU_CMD_GET_CAPSET, .hdr = header(),
		       .capset_id = htole32(mostly(6)), .capset_version = htole32(mostly(4)));
}

/* Commands of a stream have a header of their own: what, on which kind of object, how many words */
static void stream(void)
{
	struct virtio_gpu_cmd_submit submit = { .hdr = header() };
	uint32_t i, len, words = 0, most = 1 + below(STREAM_WORDS);

	while (words < most) {
		len = below(4) ? below(24) : below(300);
		put(sizeof(submit) + 4 * (size_t)words++,
		    mostly(STREAM_COMMANDS) | (mostly(STREAM_OBJECTS) & 0xff) << 8 |
			    (below(16) ? len : odd()) << 16);
		for (i = 0; i < len; i++)
			put(sizeof(submit) + 4 * (size_t)words++, below(2) ? mostly(16) : odd());
	}
	submit.hdr.type = htole32(VIRTIO_GPU_CMD_SUBMIT_3D);
	submit.size = htole32(below(8) ? 4 * words : odd());
	memcpy(req, &submit, sizeof(submit));
	gpu_submit(sizeof(submit) + 4 * (size_t)words);
}

static void anything(const struct pages *pages)
{
	switch (below(12)) {
	case 0:
		contexts();
		break;
	case 1:
		context_resources();
		break;
	case 2:
		create_3d();
		break;
	case 3:
		plain_resources();
		break;
	case 4:
		backing(pages);
		break;
	case 5:
		blob(pages);
		break;
	case 6:
		capsets();
		break;
	case 7:
	case 8:
		transfer_3d();
		break;
	default:
		stream();
	}
}

static void test_hostile_driver(void **state)
{
	struct pages pages;
	unsigned int i;

	(void)state;
	gpu_start(-1);
	gpu_alloc_pages(&pages, 16 * 4096);
	for (i = 0; i < rounds; i++)
		anything(&pages);
	/* ids that no one has used before */
	assert_int_equal(SUBMIT(virtio_gpu_ctx_create, VIRTIO_GPU_CMD_CTX_CREATE,
				.hdr.ctx_id = htole32(1000)),
			 OK);
	assert_int_equal(SUBMIT(virtio_gpu_resource_create_3d, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
				.resource_id = htole32(1000), .target = htole32(2),
				.format = htole32(BGRX), .bind = htole32(2), .width = htole32(64),
				.height = htole32(64),
				.depth = htole32(1), .array_size = htole32(1)),
			 OK);
	assert_int_equal(SUBMIT(virtio_gpu_ctx_resource, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
				.hdr.ctx_id = htole32(1000), .resource_id = htole32(1000)),
			 OK);
	assert_int_equal(SUBMIT(virtio_gpu_cmd_submit, VIRTIO_GPU_CMD_SUBMIT_3D,
				.hdr.ctx_id = htole32(1000),
				.hdr.flags = htole32(VIRTIO_GPU_FLAG_FENCE),
				.hdr.fence_id = htole64(77)),
			 OK);
	gpu_finish();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hostile_driver) };

	if (argc < 2) {
		fprintf(stderr, "usage: test-gpu-hostile PROGRAM [SEED [ROUNDS]]\n");
		return 2;
	}
	program = argv[1];
	virgl = true;
	if (argc > 2)
		state_of_rnd = (uint32_t)strtoul(argv[2], NULL, 0) | 1;
	if (argc > 3)
		rounds = (unsigned int)strtoul(argv[3], NULL, 0);
	/* OpenGL drivers keep what they have until the end */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
