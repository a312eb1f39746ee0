// SPDX-License-Identifier: BSD-3-Clause
/*
 * storm DISK SECONDS [THREADS DEPTH SEED] - write and read, and believe nothing
 *
 * Each block carries its number and a version. What was submitted and what was acknowledged
 * is kept here, outside of the disk. While the storm lasts, and in the end over the whole
 * disk, a block must hold the last acknowledged version, or the one that is on its way:
 * never an older one, never another block's. SIGINT ends the storm early.
 *
 * Prints one line a second with the requests done so far, then a summary; exits with 1
 * when something was lost, wrong, or failed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <liburing.h>
#include <sys/ioctl.h>
#include <linux/fs.h>

#define BLOCK		4096
#define SECTOR		512
#define MAX_BLOCKS	32	/* 128 KiB a request */
#define MAGIC		0x6d726f7473626c76ULL

/* struct stamp - at the start of each sector */
struct stamp {
	uint64_t magic;
	uint64_t block;
	uint64_t version;
	uint64_t sector;
};

/* struct block - what is known of one */
struct block {
	uint32_t submitted;
	uint32_t acknowledged;
	bool busy;
};

struct op {
	bool used, write;
	uint64_t first;
	unsigned int count;
	uint32_t version;
	char *data;
};

/* struct worker - a thread and the part of the disk that is its own */
struct worker {
	pthread_t thread;
	int fd;
	uint64_t first, count;
	unsigned int depth, seed;
	struct block *blocks;
	struct op *ops;
	struct io_uring ring;
	uint64_t reads, writes;
};

static atomic_bool stop;
static atomic_ulong done, failures;

static void on_signal(int number)
{
	(void)number;
	stop = true;
}

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list args;

	/* The first few tell it all. */
	if (failures++ > 20)
		return;
	va_start(args, format);
	vfprintf(stdout, format, args);
	va_end(args);
	fflush(stdout);
}

static void fill(char *data, uint64_t block, uint32_t version)
{
	for (unsigned int s = 0; s < BLOCK / SECTOR; s++) {
		struct stamp stamp = { MAGIC, block, version, s };

		memset(data + s * SECTOR, (int)(version * 7 + s), SECTOR);
		memcpy(data + s * SECTOR, &stamp, sizeof(stamp));
	}
}

/* Every sector has to be of one version, between the two. */
static void check(const char *data, uint64_t block, uint32_t low, uint32_t high, const char *when)
{
	char expected[BLOCK];
	struct stamp stamp;

	memcpy(&stamp, data, sizeof(stamp));
	if (!low && !memcmp(data, (char[sizeof(stamp)]){ 0 }, sizeof(stamp)))
		return;
	if (stamp.magic != MAGIC || stamp.block != block || stamp.version < low ||
	    stamp.version > high) {
		complain("WRONG block %lu %s: expected version %u to %u, saw %#lx block %lu version %lu\n",
			 block, when, low, high, stamp.magic, stamp.block, stamp.version);
		return;
	}
	fill(expected, block, stamp.version);
	if (memcmp(expected, data, BLOCK))
		complain("TORN block %lu %s: version %lu, and not all of it\n", block, when,
			 stamp.version);
}

static bool take(struct worker *w, struct op *op)
{
	uint64_t first = rand_r(&w->seed) % w->count;
	unsigned int count = rand_r(&w->seed) % 4 ? 1 + rand_r(&w->seed) % 4 :
						    1 + rand_r(&w->seed) % MAX_BLOCKS;

	if (first + count > w->count)
		count = w->count - first;
	for (unsigned int i = 0; i < count; i++)
		if (w->blocks[first + i].busy)
			return false;
	op->used = true;
	op->write = rand_r(&w->seed) % 10 < 7;
	op->first = first;
	op->count = count;
	for (unsigned int i = 0; i < count; i++)
		w->blocks[first + i].busy = true;
	return true;
}

static void submit(struct worker *w, struct op *op)
{
	static atomic_uint versions;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
	uint64_t offset = (w->first + op->first) * BLOCK;

	if (op->write) {
		op->version = ++versions;
		for (unsigned int i = 0; i < op->count; i++) {
			w->blocks[op->first + i].submitted = op->version;
			fill(op->data + i * BLOCK, w->first + op->first + i, op->version);
		}
		io_uring_prep_write(sqe, w->fd, op->data, op->count * BLOCK, offset);
	} else {
		io_uring_prep_read(sqe, w->fd, op->data, op->count * BLOCK, offset);
	}
	io_uring_sqe_set_data(sqe, op);
}

static void complete(struct worker *w, struct op *op, int res)
{
	if (res != (int)op->count * BLOCK)
		complain("ERROR %s of %u blocks at %lu: %s\n", op->write ? "write" : "read",
			 op->count, w->first + op->first, res < 0 ? strerror(-res) : "short");
	for (unsigned int i = 0; i < op->count; i++) {
		struct block *block = &w->blocks[op->first + i];

		if (op->write && res > 0)
			block->acknowledged = op->version;
		if (!op->write && res > 0)
			check(op->data + i * BLOCK, w->first + op->first + i,
			      block->acknowledged, block->submitted, "while it storms");
		block->busy = false;
	}
	op->write ? w->writes++ : w->reads++;
	op->used = false;
	done++;
}

static void reap(struct worker *w, bool wait)
{
	struct io_uring_cqe *cqe;
	int ret;

	ret = io_uring_submit_and_wait(&w->ring, wait);
	if (ret < 0 && ret != -EINTR)
		errx(2, "io_uring: %s", strerror(-ret));
	while (!io_uring_peek_cqe(&w->ring, &cqe)) {
		complete(w, io_uring_cqe_get_data(cqe), cqe->res);
		io_uring_cqe_seen(&w->ring, cqe);
	}
}

static unsigned int in_flight(const struct worker *w)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < w->depth; i++)
		count += w->ops[i].used;
	return count;
}

static void *storm(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		for (unsigned int i = 0; i < w->depth; i++)
			if (!w->ops[i].used && take(w, &w->ops[i]))
				submit(w, &w->ops[i]);
		reap(w, in_flight(w) > 0);
	}
	while (in_flight(w))
		reap(w, true);
	return NULL;
}

static void set_up(struct worker *w, int fd, uint64_t first, uint64_t count, unsigned int depth,
		   unsigned int seed)
{
	w->fd = fd;
	w->first = first;
	w->count = count;
	w->depth = depth;
	w->seed = seed;
	w->blocks = calloc(count, sizeof(*w->blocks));
	w->ops = calloc(depth, sizeof(*w->ops));
	for (unsigned int i = 0; i < depth; i++)
		w->ops[i].data = aligned_alloc(BLOCK, MAX_BLOCKS * BLOCK);
	if (io_uring_queue_init(depth, &w->ring, 0))
		err(2, "io_uring");
}

static void look_back(const struct worker *w)
{
	char *data = w->ops[0].data;

	for (uint64_t i = 0; i < w->count; i += MAX_BLOCKS) {
		size_t count = w->count - i < MAX_BLOCKS ? w->count - i : MAX_BLOCKS;

		if (pread(w->fd, data, count * BLOCK, (w->first + i) * BLOCK) !=
		    (ssize_t)(count * BLOCK)) {
			complain("ERROR reading %zu blocks at %lu in the end: %s\n", count,
				 w->first + i, strerror(errno));
			continue;
		}
		for (size_t j = i; j < i + count; j++)
			check(data + (j - i) * BLOCK, w->first + j, w->blocks[j].acknowledged,
			      w->blocks[j].submitted, "in the end");
	}
}

int main(int argc, char **argv)
{
	unsigned int threads = argc > 3 ? atoi(argv[3]) : 4, depth = argc > 4 ? atoi(argv[4]) : 32;
	unsigned int seed = argc > 5 ? atoi(argv[5]) : 1;
	struct sigaction action = { .sa_handler = on_signal };
	uint64_t size, blocks, reads = 0, writes = 0;
	struct worker *workers;
	int fd;

	if (argc < 3)
		errx(2, "usage: storm DISK SECONDS [THREADS DEPTH SEED]");
	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		err(2, "%s", argv[1]);
	sigaction(SIGINT, &action, NULL);
	blocks = size / BLOCK / threads;
	workers = calloc(threads, sizeof(*workers));
	for (unsigned int i = 0; i < threads; i++) {
		set_up(&workers[i], fd, i * blocks, blocks, depth, seed * 1000 + i);
		if (pthread_create(&workers[i].thread, NULL, storm, &workers[i]))
			errx(2, "pthread_create");
	}
	for (int i = 0; i < atoi(argv[2]) * 10 && !stop; i++) {
		usleep(100000);
		if (i % 10 == 9)
			printf("done %lu\n", done);
		fflush(stdout);
	}
	stop = true;
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		look_back(&workers[i]);
		reads += workers[i].reads;
		writes += workers[i].writes;
	}
	printf("writes %lu reads %lu failures %lu\n", writes, reads, failures);
	return failures != 0;
}
