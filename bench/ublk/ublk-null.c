// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-ublk-null - /dev/ublkb0, a disk of 1 GiB that reads zeroes and forgets what is written
 *
 * The peer of vhost-user-blk with a null image: one queue of 128, one thread that sleeps in one
 * place, answers together what came together, and fills the buffers that are read. It goes when
 * the process is killed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
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

struct server {
	int ctrl_fd;
	int queue_fd;
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

static int32_t serve(struct server *s, uint16_t tag)
{
	const struct ublksrv_io_desc *desc = &s->descs[tag];
	size_t size = (size_t)desc->nr_sectors << 9;

	switch (ublksrv_get_op(desc)) {
	case UBLK_IO_OP_READ:
		memset(&s->buffers[(size_t)tag * BUFFER_SIZE], 0, size);
		return (int32_t)size;
	case UBLK_IO_OP_WRITE:
		return (int32_t)size;
	default:
		return 0;
	}
}

static void *queue_thread(void *data)
{
	struct server *s = data;

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
			uint16_t tag = (uint16_t)io_uring_cqe_get_data64(cqe);

			if (cqe->res == UBLK_IO_RES_ABORT)
				return NULL;
			fetch(s, UBLK_IO_COMMIT_AND_FETCH_REQ, tag, serve(s, tag));
			n++;
		}
		io_uring_cq_advance(&s->ring, n);
	}
}

int main(void)
{
	struct server s = { .queue_fd = -1 };
	pthread_t thread;

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
