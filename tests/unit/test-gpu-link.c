// SPDX-License-Identifier: BSD-3-Clause
/* A GPU's commands that wait for a display which then goes, or is another one. */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <linux/virtio_gpu.h>

#include "backends/common/loop.h"
#include "backends/gpu/gpu.h"
#include "check.h"
#include "common/util.h"

static struct gpu gpu;
static struct loop *loop;
static int display = -1; /* its end of the socket */

static void work(struct gpu *the_gpu)
{
	(void)the_gpu;
	loop_quit(loop, 1);
}

static void end_of_patience(void *data, uint32_t events)
{
	(void)data;
	(void)events;
	loop_quit(loop, 0);
}

/* Return: whether commands were told to go on within this time */
static bool run(unsigned int ms)
{
	struct itimerspec when = { .it_value = { ms / 1000, ms % 1000 * 1000000L } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct loop_source *timer = loop_add(loop, fd, EPOLLIN, end_of_patience, NULL);
	int ret;

	assert_non_null(timer);
	assert_int_equal(timerfd_settime(fd, 0, &when, NULL), 0);
	ret = loop_run(loop);
	loop_remove(loop, timer);
	close(fd);
	return ret;
}

static void connect_display(void)
{
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	if (display >= 0)
		close(display);
	display = pair[0];
	assert_int_equal(link_start(&gpu.link, pair[1]), 0);
}

static void answer(uint32_t request, const void *payload, uint32_t size)
{
	const uint32_t header[] = { request, 4, size };

	assert_int_equal(write(display, header, sizeof(header)), sizeof(header));
	assert_int_equal(write(display, payload, size), size);
}

static int ask(uint32_t type, uint32_t *response)
{
	struct virtio_gpu_cmd_get_edid request = { .hdr.type = htole32(type) };
	struct virtio_gpu_ctrl_hdr hdr;
	struct gpu_answer reply;
	int ret = gpu_control(&gpu, &request, sizeof(request), &reply);

	memcpy(&hdr, gpu.reply, sizeof(hdr));
	*response = le32toh(hdr.type);
	return ret;
}

/* A display that has said what it can do, and a command that waits for its answer */
static void begin(void)
{
	const uint64_t features = BIT_ULL(VGPU_PROTOCOL_F_EDID);
	uint32_t response;

	loop = loop_create();
	assert_non_null(loop);
	assert_int_equal(gpu_init(&gpu, loop, &gpu_renderer_2d, NULL), 0);
	gpu.work = work;
	connect_display();
	answer(VGPU_GET_PROTOCOL_FEATURES, &features, sizeof(features));
	assert_true(run(1000));
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &response), -EAGAIN);
}

static void end(void)
{
	link_stop(&gpu.link);
	gpu_finish(&gpu);
	loop_destroy(loop);
	if (display >= 0)
		close(display);
	display = -1;
}

/* Its end is noticed first by what the cursor's queue sends. */
static void test_gone_as_seen_by_the_cursor(void **state)
{
	struct virtio_gpu_update_cursor move = { .hdr.type = htole32(VIRTIO_GPU_CMD_MOVE_CURSOR) };
	uint32_t response;

	(void)state;
	begin();
	close(display);
	display = -1;
	gpu_cursor(&gpu, &move, sizeof(move));
	assert_false(link_up(&gpu.link));
	if (!run(1000))
		fail_msg("the display has gone: expected the command to go on, saw it wait");
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &response), 0);
	assert_int_equal(response, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	end();
}

static void test_another_while_one_is_waited_for(void **state)
{
	uint32_t response;

	(void)state;
	begin();
	connect_display();
	if (!run(1000))
		fail_msg("another display: expected the command to go on, saw it wait");
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &response), 0);
	assert_int_equal(response, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	/* nothing is left that would end the new one's patience */
	assert_false(run(LINK_PATIENCE_MS + 500));
	assert_true(link_waits(&gpu.link));
	end();
}

/* The queue broke and was stopped. What is asked next does not get that answer. */
static void test_answer_that_nobody_waits_for(void **state)
{
	struct virtio_gpu_resp_display_info info = {
		.hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO)
	};
	struct virtio_gpu_resp_edid edid = {
		.hdr.type = htole32(VIRTIO_GPU_RESP_OK_EDID),
		.size = htole32(256),
		.edid = { [100] = 77 },
	};
	uint32_t response;
	int ret;

	(void)state;
	begin();
	gpu_memory_changed(&gpu, NULL);
	answer(VGPU_GET_DISPLAY_INFO, &info, sizeof(info));
	run(100);
	ret = ask(VIRTIO_GPU_CMD_GET_EDID, &response);
	if (ret != -EAGAIN)
		fail_msg("GET_EDID: expected it to wait for its own answer, saw %d", ret);
	answer(VGPU_GET_EDID, &edid, sizeof(edid));
	assert_true(run(1000));
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_EDID, &response), 0);
	assert_int_equal(response, VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(((struct virtio_gpu_resp_edid *)(void *)gpu.reply)->edid[100], 77);
	end();
}

/* GET_EDID came before the display had said that it does not know it: there is one all the same. */
static void test_edid_is_not_known(void **state)
{
	const struct virtio_gpu_resp_display_info info = {
		.hdr.type = htole32(VIRTIO_GPU_RESP_OK_DISPLAY_INFO),
		.pmodes[0].r.width = htole32(777),
	};
	const uint64_t features = 0;
	uint32_t response, asked[16];
	ssize_t i, n;

	(void)state;
	loop = loop_create();
	assert_non_null(loop);
	assert_int_equal(gpu_init(&gpu, loop, &gpu_renderer_2d, NULL), 0);
	gpu.work = work;
	connect_display();
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_EDID, &response), -EAGAIN);
	answer(VGPU_GET_PROTOCOL_FEATURES, &features, sizeof(features));
	if (!run(1000))
		fail_msg("EDID is not known: expected the command to go on, saw it wait");
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_EDID, &response), 0);
	assert_int_equal(response, VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_EDID, &response), 0);
	/* GET_PROTOCOL_FEATURES and SET_PROTOCOL_FEATURES, of three words each and a u64 */
	n = recv(display, asked, sizeof(asked), MSG_DONTWAIT);
	for (i = 0; i + 12 <= n; i += 12 + asked[i / 4 + 2])
		if (asked[i / 4] == VGPU_GET_EDID)
			fail_msg("EDID is not known: expected no question, saw GET_EDID");
	/* and what is asked next has its own answer */
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &response), -EAGAIN);
	answer(VGPU_GET_DISPLAY_INFO, &info, sizeof(info));
	assert_true(run(1000));
	assert_int_equal(ask(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &response), 0);
	assert_int_equal(((struct virtio_gpu_resp_display_info *)(void *)gpu.reply)
				 ->pmodes[0].r.width, htole32(777));
	end();
}

/* ---- a display that hangs ---- */

/* A buffer of the renderer's own, which the display is told of */
static int export(struct gpu *the_gpu, struct gpu_resource *res, struct vgpu_dmabuf_scanout *d)
{
	(void)the_gpu;
	d->fd_width = res->width;
	d->fd_height = res->height;
	d->fd_stride = 4 * res->width;
	d->fd_drm_fourcc = VGPU_FOURCC_XR24;
	return memfd_create("picture", MFD_CLOEXEC);
}

#define COMMAND(kind, id, ...)                               \
	({                                                   \
		struct kind c_ = { __VA_ARGS__ };            \
		struct gpu_answer answer_;                   \
		c_.hdr.type = htole32(id);                   \
		gpu_control(&gpu, &c_, sizeof(c_), &answer_); \
	})

static int flush(void)
{
	return COMMAND(virtio_gpu_resource_flush, VIRTIO_GPU_CMD_RESOURCE_FLUSH,
		       .r = { 0, 0, 64, 64 }, .resource_id = 1);
}

static void begin_picture(const struct gpu_renderer *renderer)
{
	static const struct mem_table no_regions;
	const uint64_t features = 0;

	loop = loop_create();
	assert_non_null(loop);
	assert_int_equal(gpu_init(&gpu, loop, renderer, NULL), 0);
	gpu.work = work;
	gpu_memory_changed(&gpu, &no_regions);
	connect_display();
	answer(VGPU_GET_PROTOCOL_FEATURES, &features, sizeof(features));
	assert_true(run(1000));
	assert_int_equal(COMMAND(virtio_gpu_resource_create_2d, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
				 .resource_id = 1, .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
				 .width = 64, .height = 64),
			 0);
	assert_int_equal(COMMAND(virtio_gpu_set_scanout, VIRTIO_GPU_CMD_SET_SCANOUT,
				 .r = { 0, 0, 64, 64 }, .resource_id = 1),
			 0);
}

/* It is waited for once: what its socket takes in afterwards is no sign of it. */
static void test_hangs_with_a_buffer(void **state)
{
	struct gpu_renderer renderer = gpu_renderer_2d;
	unsigned int i;

	(void)state;
	renderer.export = export;
	begin_picture(&renderer);
	assert_int_equal(flush(), -EAGAIN);
	link_give_up(&gpu.link);
	for (i = 0; i < 4; i++) {
		struct virtio_gpu_update_cursor move = {
			.hdr.type = htole32(VIRTIO_GPU_CMD_MOVE_CURSOR),
			.pos.x = htole32(i),
		};

		gpu_cursor(&gpu, &move, sizeof(move));
		if (flush())
			fail_msg("frame %u: expected no wait for a display that hangs, saw one", i);
	}
	/* until it answers */
	answer(VGPU_DMABUF_UPDATE, NULL, 0);
	run(100);
	assert_true(link_waits(&gpu.link));
	assert_int_equal(flush(), -EAGAIN);
	end();
}

/* One that is sent pixels owes no answers: that it takes them is its sign. */
static void test_back_with_pixels(void **state)
{
	(void)state;
	begin_picture(&gpu_renderer_2d);
	assert_int_equal(flush(), 0);
	link_give_up(&gpu.link);
	assert_int_equal(flush(), 0);
	assert_true(link_waits(&gpu.link));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gone_as_seen_by_the_cursor),
		cmocka_unit_test(test_another_while_one_is_waited_for),
		cmocka_unit_test(test_answer_that_nobody_waits_for),
		cmocka_unit_test(test_edid_is_not_known),
		cmocka_unit_test(test_hangs_with_a_buffer),
		cmocka_unit_test(test_back_with_pixels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
