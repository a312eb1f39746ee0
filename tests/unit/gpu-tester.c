// SPDX-License-Identifier: BSD-3-Clause
#include "gpu-tester.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
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
#include "vhost-user/edid.h"

const char *program; /* argv[1] */
bool virgl; /* argv[2] */

struct fe fe;
struct display_thread dt;
char gpu_dir[64], gpu_mode[80];
uint8_t *req, *resp;

/* ---- the front-end ---- */

int gpu_set_socket(int sock)
{
	struct vu_message msg;

	vu_message_init(&msg, VU_REQUEST, VHOST_USER_GPU_SET_SOCKET);
	vu_message_add_fd(&msg, sock);
	return vu_send(fe.sock, &msg, VU_REQUEST, deadline_after_ms(FE_TIMEOUT_MS));
}

/* @display: its end of the display socket, or -1 */
void gpu_start(int display)
{
	const char *argv[] = { program, "--memory", "64M", virgl ? "--virgl" : NULL, NULL };

	assert_int_equal(fe_init(&fe, MEMORY, 2, RING_SIZE, true), 0);
	assert_int_equal(fe_spawn(&fe, argv), 0);
	if (display >= 0) {
		assert_int_equal(gpu_set_socket(display), 0);
		close(display);
	}
	assert_int_equal(fe_handshake(&fe, ~0ULL), 0);
	req = drv_alloc(&fe.mem, 65536, 64);
	resp = drv_alloc(&fe.mem, 65536, 64);
}

void gpu_finish(void)
{
	int status;

	close(fe.sock);
	fe.sock = -1;
	status = fe_wait(&fe);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("the back-end: expected exit status 0, saw %#x", status);
	fe_finish(&fe);
}

void gpu_start_shown(unsigned int heads)
{
	strcpy(gpu_dir, "/tmp/test-gpu.XXXXXX");
	assert_non_null(mkdtemp(gpu_dir));
	snprintf(gpu_mode, sizeof(gpu_mode), "png=%s", gpu_dir);
	dt_start(&dt, gpu_mode, heads, 640, 480);
	gpu_start(dt_hand_over(&dt));
}

void gpu_finish_shown(void)
{
	char command[96];

	gpu_finish();
	dt_stop(&dt);
	snprintf(command, sizeof(command), "rm -r %s", gpu_dir);
	assert_int_equal(system(command), 0);
}

void gpu_wait_taken(void)
{
	struct pollfd kick = { .fd = fe.rings[0].kick_fd, .events = POLLIN };

	while (poll(&kick, 1, 0) == 1)
		sched_yield();
}

/* One command of the control queue; Return: the response's type */
uint32_t gpu_submit(size_t len)
{
	struct drv_buf bufs[2] = { { req, (uint32_t)len, false }, { resp, 65536, true } };
	struct virtio_gpu_ctrl_hdr hdr;
	uint32_t got = 0;
	int head;

	memset(resp, 0, sizeof(hdr));
	head = drv_add(&fe.rings[0], bufs, 2, true);
	assert_true(head >= 0);
	drv_kick(&fe.rings[0]);
	if (drv_wait(&fe.rings[0], &got, DT_TIMEOUT_MS) != head)
		fail_msg("command %#x: expected an answer, saw none", *(uint32_t *)(void *)req);
	assert_true(got >= sizeof(hdr));
	memcpy(&hdr, resp, sizeof(hdr));
	return le32toh(hdr.type);
}

uint32_t gpu_create(uint32_t id, uint32_t format, uint32_t width, uint32_t height)
{
	return SUBMIT(virtio_gpu_resource_create_2d, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
		      .resource_id = id, .format = format, .width = width, .height = height);
}

uint32_t gpu_scanout(uint32_t head, uint32_t id, struct virtio_gpu_rect r)
{
	return SUBMIT(virtio_gpu_set_scanout, VIRTIO_GPU_CMD_SET_SCANOUT, .r = r,
		      .scanout_id = head, .resource_id = id);
}

uint32_t gpu_transfer(uint32_t id, struct virtio_gpu_rect r, uint64_t offset)
{
	return SUBMIT(virtio_gpu_transfer_to_host_2d, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, .r = r,
		      .offset = offset, .resource_id = id);
}

uint32_t gpu_flush(uint32_t id, struct virtio_gpu_rect r)
{
	return SUBMIT(virtio_gpu_resource_flush, VIRTIO_GPU_CMD_RESOURCE_FLUSH, .r = r,
		      .resource_id = id);
}

uint32_t gpu_unref(uint32_t id)
{
	return SUBMIT(virtio_gpu_resource_unref, VIRTIO_GPU_CMD_RESOURCE_UNREF, .resource_id = id);
}

void gpu_alloc_pages(struct pages *p, size_t bytes)
{
	uint8_t *all;
	uint32_t i;

	p->count = (uint32_t)((bytes + 4095) / 4096);
	assert_true(p->count <= ARRAY_SIZE(p->page));
	all = drv_alloc(&fe.mem, 2 * 4096 * (size_t)p->count, 4096);
	assert_non_null(all);
	for (i = 0; i < p->count; i++)
		p->page[i] = all + 2 * 4096 * (size_t)(p->count - 1 - i);
}

uint32_t *gpu_word(const struct pages *p, size_t n)
{
	return (uint32_t *)(void *)(p->page[n * 4 / 4096] + n * 4 % 4096);
}

uint32_t gpu_put_entries(const struct pages *p, uint8_t *at)
{
	uint32_t i;

	for (i = 0; i < p->count; i++) {
		struct virtio_gpu_mem_entry entry = {
			.addr = htole64(drv_gpa(&fe.mem, p->page[i])),
			.length = htole32(4096),
		};

		memcpy(at + i * sizeof(entry), &entry, sizeof(entry));
	}
	return p->count;
}

uint32_t gpu_attach(uint32_t id, const struct pages *p)
{
	struct virtio_gpu_resource_attach_backing c = {
		.hdr.type = htole32(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
		.resource_id = id,
	};

	c.nr_entries = gpu_put_entries(p, req + sizeof(c));
	memcpy(req, &c, sizeof(c));
	return gpu_submit(sizeof(c) + p->count * sizeof(struct virtio_gpu_mem_entry));
}

void gpu_draw(const struct pages *p, uint32_t width, uint32_t height, uint32_t seed)
{
	uint32_t x, y;

	for (y = 0; y < height; y++)
		for (x = 0; x < width; x++)
			*gpu_word(p, (size_t)y * width + x) = dt_pattern(x, y, seed);
}

/* The newest file of a head, as soon as it is a picture of this size and corner */
uint8_t *gpu_newest(unsigned int head, uint32_t width, uint32_t height, uint32_t last)
{
	deadline_t end = deadline_after_ms(DT_TIMEOUT_MS);
	uint32_t w, h, saw;
	char path[128];
	uint8_t *rgb;

	snprintf(path, sizeof(path), "%s/head%u.png", gpu_dir, head);
	for (;;) {
		const uint8_t *p;

		rgb = dt_png(path, &w, &h);
		p = rgb + 3 * ((size_t)w * h - 1);
		saw = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		if (w == width && h == height && saw == last)
			return rgb;
		free(rgb);
		if (deadline_passed(end))
			fail_msg("head %u: expected %u x %u ending in %06x, saw %u x %u, %06x",
				 head, width, height, last, w, h, saw);
		poll(NULL, 0, 20);
	}
}

/* That picture is @seed's pattern, whose corner on the head is at @x0, @y0 of the resource. */
void gpu_check_head(unsigned int head, uint32_t width, uint32_t height, uint32_t x0, uint32_t y0,
		    uint32_t seed)
{
	uint8_t *rgb =
		gpu_newest(head, width, height, dt_pattern(x0 + width - 1, y0 + height - 1, seed));
	uint32_t x, y;

	for (y = 0; y < height; y++) {
		for (x = 0; x < width; x++) {
			const uint8_t *p = rgb + 3 * ((size_t)y * width + x);
			uint32_t saw = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

			if (saw != dt_pattern(x0 + x, y0 + y, seed))
				fail_msg("head %u at %u, %u: expected %06x, saw %06x", head, x, y,
					 dt_pattern(x0 + x, y0 + y, seed), saw);
		}
	}
	free(rgb);
}
