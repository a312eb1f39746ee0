// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-ublk-null [FILE] - /dev/ublkb0, a disk of 1 GiB that reads zeroes and forgets what is
 *	written, or is that file
 *
 * The peer of vhost-user-blk with a null image or a file: one queue of 128, one thread that sleeps
 * in one place, answers together what came together, and fills the buffers that are read. It goes
 * when the process is killed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/ublk_cmd.h>

#define DEPTH		128
#define BUFFER_SIZE	(1U << 20)
#define SECTORS		(1U << 21)
#define OF_FILE		(1ULL << 32) /* with a tag: not a request, but the file's answer to it */

struct server {
	int ctrl_fd;
	int queue_fd;
	int file_fd; /* -1: there is none */
	struct io_uring ctrl;
	struct io_uring ring;
	const struct ublksrv_io_desc *descs;
	uint8_t *buffers;
	pthread_barrier_t ready; /* all requests can be taken */
};

static void ring_init(struct io_uring *ring, unsigned int entries, unsigned int flags)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 | flags };
	int ret = io_uring_queue_init_params(entries, ring, &params);

	if (ret)
		errx(2, "io_uring: %s", strerror(-ret));
}

/* A command to the driver: its place is the second half of an entry of 128 bytes. */
static void *prepare(struct io_uring *ring, int fd, unsigned int op, uint64_t tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		errx(2, "io_uring: no entry left");
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->off = op;
	io_uring_sqe_set_data64(sqe, tag);
	return sqe->cmd;
}

static void control(struct server *s, unsigned int op, void *addr, uint16_t len, uint64_t data)
{
	struct ublksrv_ctrl_cmd *cmd = prepare(&s->ctrl, s->ctrl_fd, op, 0);
	struct io_uring_cqe *cqe;

	cmd->queue_id = UINT16_MAX;
	cmd->addr = (uintptr_t)addr;
	cmd->len = len;
	cmd->data[0] = data;
	if (io_uring_submit_and_wait(&s->ctrl, 1) < 0 || io_uring_peek_cqe(&s->ctrl, &cqe))
		errx(2, "io_uring: no answer to command %#x", op);
	if (cqe->res < 0)
		errx(2, "ublk: command %#x: %s", op, strerror(-cqe->res));
	io_uring_cqe_seen(&s->ctrl, cqe);
}

static void add_device(struct server *s)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = 1,
		.queue_depth = DEPTH,
		.max_io_buf_bytes = BUFFER_SIZE,
		.ublksrv_pid = getpid(),
	};
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = {
			.logical_bs_shift = 9,
			.physical_bs_shift = 12,
			.io_opt_shift = 12,
			.io_min_shift = 9,
			.max_sectors = BUFFER_SIZE >> 9,
			.dev_sectors = SECTORS,
		},
	};

	control(s, UBLK_CMD_ADD_DEV, &info, sizeof(info), 0);
	control(s, UBLK_CMD_SET_PARAMS, &params, sizeof(params), 0);
}

static void open_queue(struct server *s)
{
	size_t size = DEPTH * sizeof(struct ublksrv_io_desc);

	/* udev makes the node; it may take a moment */
	for (unsigned int i = 0; i < 1000; i++) {
		s->queue_fd = open("/dev/ublkc0", O_RDWR | O_CLOEXEC);
		if (s->queue_fd >= 0 || errno != ENOENT)
			break;
		usleep(10000);
	}
	if (s->queue_fd < 0)
		err(2, "/dev/ublkc0");
	size = (size + (size_t)getpagesize() - 1) & ~((size_t)getpagesize() - 1);
	s->descs = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, s->queue_fd,
			UBLKSRV_CMD_BUF_OFFSET);
	s->buffers = mmap(NULL, (size_t)DEPTH * BUFFER_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->descs == MAP_FAILED || s->buffers == MAP_FAILED)
		err(2, "mmap");
}

static void fetch(struct server *s, unsigned int op, uint16_t tag, int32_t result)
{
	struct ublksrv_io_cmd *cmd = prepare(&s->ring, s->queue_fd, op, tag);

	cmd->tag = tag;
	cmd->result = result;
	cmd->addr = (uintptr_t)&s->buffers[(size_t)tag * BUFFER_SIZE];
}

/* Read or written by the same ring; its answer completes the request. */
static void ask_file(struct server *s, uint16_t tag, bool read)
{
	const struct ublksrv_io_desc *desc = &s->descs[tag];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	void *buffer = &s->buffers[(size_t)tag * BUFFER_SIZE];
	uint64_t offset = desc->start_sector << 9;
	unsigned int size = desc->nr_sectors << 9;

	if (!sqe)
		errx(2, "io_uring: no entry left");
	memset(sqe, 0, 2 * sizeof(*sqe));
	if (read)
		io_uring_prep_read(sqe, s->file_fd, buffer, size, offset);
	else
		io_uring_prep_write(sqe, s->file_fd, buffer, size, offset);
	io_uring_sqe_set_data64(sqe, tag | OF_FILE);
}

static void serve(struct server *s, uint16_t tag)
{
	const struct ublksrv_io_desc *desc = &s->descs[tag];
	size_t size = (size_t)desc->nr_sectors << 9;
	unsigned int op = ublksrv_get_op(desc);

	if (op != UBLK_IO_OP_READ && op != UBLK_IO_OP_WRITE) {
		size = 0;
	} else if (s->file_fd >= 0) {
		ask_file(s, tag, op == UBLK_IO_OP_READ);
		return;
	} else if (op == UBLK_IO_OP_READ) {
		memset(&s->buffers[(size_t)tag * BUFFER_SIZE], 0, size);
	}
	fetch(s, UBLK_IO_COMMIT_AND_FETCH_REQ, tag, (int32_t)size);
}

static void *queue_thread(void *server)
{
	struct server *s = server;

	ring_init(&s->ring, DEPTH, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	io_uring_register_ring_fd(&s->ring);
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		fetch(s, UBLK_IO_FETCH_REQ, tag, 0);
	io_uring_submit(&s->ring);
	pthread_barrier_wait(&s->ready);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned int head, n = 0;

		io_uring_submit_and_wait(&s->ring, 1);
		io_uring_for_each_cqe(&s->ring, head, cqe)
		{
			uint64_t data = io_uring_cqe_get_data64(cqe);

			if (data & OF_FILE)
				fetch(s, UBLK_IO_COMMIT_AND_FETCH_REQ, (uint16_t)data, cqe->res);
			else if (cqe->res == UBLK_IO_RES_ABORT)
				return NULL;
			else
				serve(s, (uint16_t)data);
			n++;
		}
		io_uring_cq_advance(&s->ring, n);
	}
}

int main(int argc, char **argv)
{
	struct server s = { .queue_fd = -1, .file_fd = -1 };
	pthread_t thread;

	if (argc > 1) {
		s.file_fd = open(argv[1], O_RDWR | O_CLOEXEC);
		if (s.file_fd < 0)
			err(2, "%s", argv[1]);
	}

	s.ctrl_fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (s.ctrl_fd < 0)
		err(2, "/dev/ublk-control");
	ring_init(&s.ctrl, 4, 0);
	add_device(&s);
	open_queue(&s);
	pthread_barrier_init(&s.ready, NULL, 2);
	if (pthread_create(&thread, NULL, queue_thread, &s))
		errx(2, "pthread_create");
	pthread_barrier_wait(&s.ready);
	control(&s, UBLK_CMD_START_DEV, NULL, 0, (uint64_t)getpid());
	pthread_join(thread, NULL);
	return 0;
}
