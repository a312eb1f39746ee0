// SPDX-License-Identifier: BSD-3-Clause
#include "blk-tester.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/util.h"

const char *bt_program;
char bt_image[64];

void bt_make_request(struct fe *fe, struct request *req, size_t data)
{
	req->header = drv_alloc(&fe->mem, sizeof(*req->header), 16);
	req->data = drv_alloc(&fe->mem, data ? data : 1, 4096);
	req->status = drv_alloc(&fe->mem, 1, 1);
	assert_non_null(req->header);
	assert_non_null(req->data);
	assert_non_null(req->status);
}

/* Puts it on the ring. Data longer than @cut goes in pieces of that size. */
int bt_submit_cut(struct fe *fe, unsigned int ring, struct request *req, uint32_t type,
		  uint64_t sector, uint32_t len, uint32_t cut)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct drv_buf bufs[DRV_TABLE];
	unsigned int n = 0;
	uint32_t done;

	req->header->type = type;
	req->header->ioprio = 0;
	req->header->sector = sector;
	*req->status = 0xff;
	bufs[n++] = (struct drv_buf){ req->header, sizeof(*req->header), false };
	for (done = 0; done < len; done += cut)
		bufs[n++] = (struct drv_buf){ req->data + done, MIN(cut, len - done), in };
	bufs[n++] = (struct drv_buf){ req->status, 1, true };
	return drv_add(&fe->rings[ring], bufs, n, true);
}

int bt_submit(struct fe *fe, struct request *req, uint32_t type, uint64_t sector, uint32_t len)
{
	return bt_submit_cut(fe, 0, req, type, sector, len, len ? len : 1);
}

/* One request, to its end. Return: its status. */
int bt_run(struct fe *fe, struct request *req, uint32_t type, uint64_t sector, uint32_t len)
{
	int head = bt_submit(fe, req, type, sector, len);

	assert_true(head >= 0);
	drv_kick(&fe->rings[0]);
	assert_int_equal(drv_wait(&fe->rings[0], NULL, FE_TIMEOUT_MS), head);
	return *req->status;
}

void bt_make_image(size_t size)
{
	int fd;

	snprintf(bt_image, sizeof(bt_image), "test-blk-%d.img", (int)getpid());
	fd = open(bt_image, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

void bt_spawn(struct fe *fe, const char *const *extra)
{
	const char *argv[16] = { bt_program, "--image", bt_image };
	size_t n = 3, i;

	for (i = 0; extra && extra[i]; i++)
		argv[n++] = extra[i];
	assert_int_equal(fe_spawn(fe, argv), 0);
}

void bt_start_with(struct fe *fe, const char *const *extra, uint64_t features, unsigned int rings)
{
	bool event_idx = features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX);

	bt_make_image(IMAGE_SIZE);
	assert_int_equal(fe_init(fe, MEMORY, rings, 128, event_idx), 0);
	bt_spawn(fe, extra);
	assert_int_equal(fe_handshake(fe, features), 0);
}

void bt_start(struct fe *fe, const char *const *extra)
{
	bt_start_with(fe, extra, ALL_FEATURES, 1);
}

/* The connection ends: so must the bt_program, with status 0. */
void bt_finish(struct fe *fe)
{
	int status;

	close(fe->sock);
	fe->sock = -1;
	status = fe_wait(fe);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	fe_finish(fe);
	unlink(bt_image);
}

void bt_fill(uint8_t *data, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 9));
}

void bt_image_read(uint64_t offset, void *buf, size_t len)
{
	int fd = open(bt_image, O_RDONLY);

	assert_int_equal(pread(fd, buf, len, (off_t)offset), len);
	close(fd);
}

int bt_arguments(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-vhost-user-blk [FOLDER]\n", argv[0]);
		return -1;
	}
	bt_program = realpath(argv[1], NULL);
	if (!bt_program) {
		perror(argv[1]);
		return -1;
	}
	if (argc > 2 && chdir(argv[2]) < 0) { /* the image's file system decides how I/O is done */
		perror(argv[2]);
		return -1;
	}
	return 0;
}
