// SPDX-License-Identifier: BSD-3-Clause
#include "display-thread.h"

#include <errno.h>
#include <poll.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "common/deadline.h"

static void *run(void *data)
{
	struct display_thread *dt = data;

	return (void *)(intptr_t)loop_run(dt->display.loop);
}

void dt_start(struct display_thread *dt, const char *mode, unsigned int heads, uint32_t width,
	      uint32_t height)
{
	struct failure failure = { 0 };
	char text[64];
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	dt->control = pair[0];
	assert_int_equal(display_init(&dt->display, heads, width, height), 0);
	if (output_open(&dt->display, mode, &failure))
		fail_msg("%s", failure.text);
	assert_int_equal(control_start(&dt->display.control, pair[1]), 0);
	control_ready(&dt->display.control);
	assert_int_equal(pthread_create(&dt->thread, NULL, run, dt), 0);
	dt_told(dt, text, sizeof(text));
	assert_string_equal(text, "ready");
}

void dt_stop(struct display_thread *dt)
{
	void *status;

	assert_int_equal(send(dt->control, "Q", 1, 0), 1);
	pthread_join(dt->thread, &status);
	assert_ptr_equal(status, NULL);
	display_finish(&dt->display);
	close(dt->control);
}

int dt_hand_over(struct display_thread *dt)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char order = 'S';
	struct iovec iov = { .iov_base = &order, .iov_len = 1 };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &pair[1], sizeof(int));
	assert_int_equal(sendmsg(dt->control, &mh, 0), 1);
	close(pair[1]);
	return pair[0];
}

void dt_told(struct display_thread *dt, char *text, size_t size)
{
	ssize_t n;

	assert_true(poll_fd(dt->control, POLLIN, deadline_after_ms(DT_TIMEOUT_MS)) > 0);
	n = recv(dt->control, text, size - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
}

void dt_send(int sock, struct vgpu_message *msg)
{
	struct vgpu_writer writer;
	int ret;

	vgpu_writer_init(&writer);
	vgpu_writer_start(&writer, msg);
	while ((ret = vgpu_writer_write(&writer, sock)) == -EAGAIN)
		assert_true(poll_fd(sock, POLLOUT, deadline_after_ms(DT_TIMEOUT_MS)) > 0);
	assert_int_equal(ret, 0);
}

void dt_scanout(int sock, uint32_t id, uint32_t width, uint32_t height)
{
	struct vgpu_message msg;

	vgpu_message_init(&msg, VGPU_REQUEST, VGPU_SCANOUT);
	msg.payload.scanout = (struct vgpu_scanout){ id, width, height };
	dt_send(sock, &msg);
}

void dt_update(int sock, struct vgpu_update update, uint32_t seed)
{
	struct vgpu_message msg;
	uint32_t x, y;

	assert_int_equal(vgpu_message_init_update(&msg, &update), 0);
	for (y = 0; y < update.height; y++)
		for (x = 0; x < update.width; x++)
			msg.pixels[y * update.width + x] =
				dt_pattern(update.x + x, update.y + y, seed);
	dt_send(sock, &msg);
}

int dt_answer(int sock, struct vgpu_message *msg)
{
	struct vgpu_reader reader;
	int ret;

	vgpu_reader_init(&reader);
	while ((ret = vgpu_reader_read(&reader, sock, VGPU_REPLY, msg)) == -EAGAIN)
		assert_true(poll_fd(sock, POLLIN, deadline_after_ms(DT_TIMEOUT_MS)) > 0);
	vgpu_reader_finish(&reader);
	return ret;
}

uint8_t *dt_png(const char *path, uint32_t *width, uint32_t *height)
{
	deadline_t end = deadline_after_ms(DT_TIMEOUT_MS);
	png_image image = { .version = PNG_IMAGE_VERSION };
	uint8_t *rgb;

	while (access(path, R_OK) < 0) {
		if (deadline_passed(end))
			fail_msg("%s: expected a picture, saw none", path);
		poll(NULL, 0, 10);
	}
	assert_true(png_image_begin_read_from_file(&image, path));
	image.format = PNG_FORMAT_RGB;
	rgb = malloc(PNG_IMAGE_SIZE(image));
	assert_non_null(rgb);
	assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
	*width = image.width;
	*height = image.height;
	return rgb;
}

uint32_t dt_pattern(uint32_t x, uint32_t y, uint32_t seed)
{
	return ((x * 2654435761U) ^ (y * 40503U + seed * 97U) ^ (x * y)) & 0xffffff;
}
