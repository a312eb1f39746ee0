// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-ublk-null [--queues N] [FILE] - /dev/ublkb0, or the next that is free, a disk of 1 GiB that
 *	reads zeroes and forgets what is written, or is that file
 *
 * The peer of vhost-user-blk with a null image or a file: queues of 128, for each a thread that
 * sleeps in one place, answers together what came together, and fills the buffers that are read. It
 * goes when the process is killed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/ublk_cmd.h>

#define DEPTH		128
#define QUEUES_MAX	64
#define BUFFER_SIZE	(1U << 20)
#define SECTORS		(1U << 21)
#define OF_FILE		(1ULL << 32) /* with a tag: not a request, but the file's answer to it */

struct server;

struct queue {
	struct server *server;
	uint16_t id;
	struct io_uring ring;
	const struct ublksrv_io_desc *descs;
	uint8_t *buffers;
	pthread_t thread;
};

struct server {
	int ctrl_fd;
	int queue_fd;
	int file_fd; /* -1: there is none */
	uint32_t device; /* the number in its name, by the driver */
	struct io_uring ctrl;
	uint16_t n_queues;
	struct queue queues[QUEUES_MAX];
	pthread_barrier_t ready; /* all requests of all queues can be taken */
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

	cmd->dev_id = s->device;
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
		.dev_id = s->device,
		.nr_hw_queues = s->n_queues,
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
	s->device = info.dev_id;
	control(s, UBLK_CMD_SET_PARAMS, &params, sizeof(params), 0);
}

static void open_device(struct server *s)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/ublkc%u", s->device);
	/* udev makes the node; it may take a moment */
	for (unsigned int i = 0; i < 1000; i++) {
		s->queue_fd = open(path, O_RDWR | O_CLOEXEC);
		if (s->queue_fd >= 0 || errno != ENOENT)
			break;
		usleep(10000);
	}
	if (s->queue_fd < 0)
		err(2, "%s", path);
}

static void map_queue(struct queue *q)
{
	size_t size = DEPTH * sizeof(struct ublksrv_io_desc);
	off_t each = UBLK_MAX_QUEUE_DEPTH * sizeof(struct ublksrv_io_desc);

	size = (size + (size_t)getpagesize() - 1) & ~((size_t)getpagesize() - 1);
	q->descs = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, q->server->queue_fd,
			UBLKSRV_CMD_BUF_OFFSET + q->id * each);
	q->buffers = mmap(NULL, (size_t)DEPTH * BUFFER_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (q->descs == MAP_FAILED || q->buffers == MAP_FAILED)
		err(2, "mmap");
}

static void fetch(struct queue *q, unsigned int op, uint16_t tag, int32_t result)
{
	struct ublksrv_io_cmd *cmd = prepare(&q->ring, q->server->queue_fd, op, tag);

	cmd->q_id = q->id;
	cmd->tag = tag;
	cmd->result = result;
	cmd->addr = (uintptr_t)&q->buffers[(size_t)tag * BUFFER_SIZE];
}

/* Read or written by the same ring; its answer completes the request. */
static void ask_file(struct queue *q, uint16_t tag, bool read)
{
	const struct ublksrv_io_desc *desc = &q->descs[tag];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);
	void *buffer = &q->buffers[(size_t)tag * BUFFER_SIZE];
	uint64_t offset = desc->start_sector << 9;
	unsigned int size = desc->nr_sectors << 9;

	if (!sqe)
		errx(2, "io_uring: no entry left");
	memset(sqe, 0, 2 * sizeof(*sqe));
	if (read)
		io_uring_prep_read(sqe, q->server->file_fd, buffer, size, offset);
	else
		io_uring_prep_write(sqe, q->server->file_fd, buffer, size, offset);
	io_uring_sqe_set_data64(sqe, tag | OF_FILE);
}

static void serve(struct queue *q, uint16_t tag)
{
	const struct ublksrv_io_desc *desc = &q->descs[tag];
	size_t size = (size_t)desc->nr_sectors << 9;
	unsigned int op = ublksrv_get_op(desc);

	if (op != UBLK_IO_OP_READ && op != UBLK_IO_OP_WRITE) {
		size = 0;
	} else if (q->server->file_fd >= 0) {
		ask_file(q, tag, op == UBLK_IO_OP_READ);
		return;
	} else if (op == UBLK_IO_OP_READ) {
		memset(&q->buffers[(size_t)tag * BUFFER_SIZE], 0, size);
	}
	fetch(q, UBLK_IO_COMMIT_AND_FETCH_REQ, tag, (int32_t)size);
}

static void *queue_thread(void *queue)
{
	struct queue *q = queue;

	ring_init(&q->ring, DEPTH, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	io_uring_register_ring_fd(&q->ring);
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		fetch(q, UBLK_IO_FETCH_REQ, tag, 0);
	io_uring_submit(&q->ring);
	pthread_barrier_wait(&q->server->ready);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned int head, n = 0;

		io_uring_submit_and_wait(&q->ring, 1);
		io_uring_for_each_cqe(&q->ring, head, cqe)
		{
			uint64_t data = io_uring_cqe_get_data64(cqe);

			if (data & OF_FILE)
				fetch(q, UBLK_IO_COMMIT_AND_FETCH_REQ, (uint16_t)data, cqe->res);
			else if (cqe->res == UBLK_IO_RES_ABORT)
				return NULL;
			else
				serve(q, (uint16_t)data);
			n++;
		}
		io_uring_cq_advance(&q->ring, n);
	}
}

static void parse(struct server *s, int argc, char **argv)
{
	static const struct option options[] = { { "queues", required_argument, NULL, 'q' }, {} };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int n = c == 'q' ? atoi(optarg) : 0;

		if (n < 1 || n > QUEUES_MAX)
			errx(2, "usage: bench-ublk-null [--queues 1 to %d] [FILE]", QUEUES_MAX);
		s->n_queues = (uint16_t)n;
	}
	if (optind == argc)
		return;
	s->file_fd = open(argv[optind], O_RDWR | O_CLOEXEC);
	if (s->file_fd < 0)
		err(2, "%s", argv[optind]);
}

int main(int argc, char **argv)
{
	static struct server s = { .queue_fd = -1, .file_fd = -1, .device = UINT32_MAX,
				   .n_queues = 1 };

	parse(&s, argc, argv);
	s.ctrl_fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (s.ctrl_fd < 0)
		err(2, "/dev/ublk-control");
	ring_init(&s.ctrl, 4, 0);
	add_device(&s);
	open_device(&s);
	pthread_barrier_init(&s.ready, NULL, s.n_queues + 1U);
	for (uint16_t i = 0; i < s.n_queues; i++) {
		struct queue *q = &s.queues[i];

		q->server = &s;
		q->id = i;
		map_queue(q);
		if (pthread_create(&q->thread, NULL, queue_thread, q))
			errx(2, "pthread_create");
	}
	pthread_barrier_wait(&s.ready);
	control(&s, UBLK_CMD_START_DEV, NULL, 0, (uint64_t)getpid());
	for (uint16_t i = 0; i < s.n_queues; i++)
		pthread_join(s.queues[i].thread, NULL);
	return 0;
}
