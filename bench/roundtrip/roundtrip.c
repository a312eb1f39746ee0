// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-roundtrip COUNT ROUNDS - kick, back-end, call, against an eventfd ping-pong
 * bench-roundtrip COUNT ROUNDS each - what half of the round trips, 99 of 100, 999 of 1000 and all
 *	of them take at most
 * bench-roundtrip COUNT MORE sleep|chain - COUNT round trips, then MORE, each between two marks,
 *	for bench/profile
 *
 * Prints CSV: what,round,nanoseconds per round trip. Needs vlb_roundtrip.ko. The back-end
 * here is as lean as one can be: a thread that sleeps in read() of the kick eventfd, one for each
 * of the virtqueues, of which there are as many as the module's parameter says.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "../instructions/mark.h"
#include "raw-device.h"

#define DEVICE_ID	0xfff0
#define PARAMETERS	"/sys/module/vlb_roundtrip/parameters/"
#define RUN		PARAMETERS "run"
#define MOST_QUEUES	32

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		err(2, "eventfd");
}

static void wait_for(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		err(2, "eventfd");
}

/* @took: nanoseconds of each, or NULL */
static double ping_pong(unsigned int count, uint32_t *took)
{
	int there = eventfd(0, EFD_CLOEXEC), back = eventfd(0, EFD_CLOEXEC);
	pid_t child = fork();
	uint64_t start;

	if (!child) {
		for (unsigned int i = 0; i < count; i++) {
			wait_for(there);
			wake(back);
		}
		_exit(0);
	}
	start = now_ns();
	for (unsigned int i = 0; i < count; i++) {
		uint64_t one = took ? now_ns() : 0;

		wake(there);
		wait_for(back);
		if (took)
			took[i] = now_ns() - one;
	}
	start = now_ns() - start;
	waitpid(child, NULL, 0);
	close(there);
	close(back);
	return (double)start / count;
}

static void *serve(void *arg)
{
	struct raw_device *dev = arg;

	for (;;) {
		wait_for(dev->kick);
		while (dev->vring.num &&
		       dev->seen != __atomic_load_n(&dev->vring.avail->idx, __ATOMIC_ACQUIRE)) {
			uint16_t place = dev->used % dev->vring.num;
			vring_used_elem_t *elem = &dev->vring.used->ring[place];

			elem->id = dev->vring.avail->ring[dev->seen++ % dev->vring.num];
			elem->len = 8;
			__atomic_store_n(&dev->vring.used->idx, ++dev->used, __ATOMIC_RELEASE);
			wake(dev->call);
		}
	}
	return NULL;
}

static unsigned int wanted_queues(void)
{
	FILE *f = fopen(PARAMETERS "queues", "re");
	unsigned int n = 0;
	char line[32];

	if (f && fgets(line, sizeof(line), f))
		n = strtoul(line, NULL, 10);
	if (f)
		fclose(f);
	if (!n || n > MOST_QUEUES)
		errx(2, PARAMETERS "queues: expected 1 to %d, saw %u", MOST_QUEUES, n);
	return n;
}

static void create(struct raw_device *dev, unsigned int queues)
{
	uint16_t sizes[MOST_QUEUES];
	struct virtio_loopback_create args;

	for (unsigned int i = 0; i < queues; i++)
		sizes[i] = RAW_QUEUE_SIZE;
	dev->size = 1 << 20;
	dev->fd = raw_open();
	dev->memfd = raw_memfd(dev->size, F_SEAL_SHRINK | F_SEAL_GROW);
	dev->pool = mmap(NULL, dev->size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->memfd, 0);
	args = raw_args(dev->memfd, "roundtrip");
	args.device_id = DEVICE_ID;
	args.num_queues = queues;
	args.queue_sizes = (uintptr_t)sizes;
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_CREATE, &args))
		err(2, "CREATE");
}

/* Each queue is a device of its own to its thread. */
static void make_queues(struct raw_device *devs, unsigned int queues)
{
	for (unsigned int i = 0; i < queues; i++) {
		struct virtio_loopback_queue_fds fds = { .size = sizeof(fds), .index = i };

		devs[i] = devs[0];
		devs[i].kick = fds.kick_fd = eventfd(0, EFD_CLOEXEC);
		devs[i].call = fds.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (ioctl(devs[0].fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds))
			err(2, "SET_QUEUE_FDS");
	}
}

/* Everything but DRIVER_OK is answered as it comes. */
static void set_up(struct raw_device *devs)
{
	unsigned int queues = wanted_queues();
	struct virtio_loopback_msg msg;
	struct virtio_loopback_reply reply;

	create(&devs[0], queues);
	make_queues(devs, queues);
	if (ioctl(devs[0].fd, VIRTIO_LOOPBACK_START))
		err(2, "START");
	do {
		if (read(devs[0].fd, &msg, sizeof(msg)) != sizeof(msg))
			err(2, "read");
		reply = (struct virtio_loopback_reply){ .seq = msg.seq };
		if (msg.type == VIRTIO_LOOPBACK_MSG_STATUS &&
		    (msg.status.status & VIRTIO_CONFIG_S_DRIVER_OK))
			for (unsigned int i = 0; i < queues; i++)
				raw_take_ring_of(&devs[i], i);
		if ((msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY) &&
		    write(devs[0].fd, &reply, sizeof(reply)) != sizeof(reply))
			err(2, "reply");
	} while (msg.type != VIRTIO_LOOPBACK_MSG_REGISTERED);
	if (!msg.registered.bound)
		errx(2, "no driver: is vlb_roundtrip.ko loaded?");
	for (unsigned int i = 0; i < queues; i++)
		if (pthread_create(&devs[i].thread, NULL, serve, &devs[i]))
			errx(2, "pthread_create");
}

/* What the driver says when it has done it: nanoseconds in all, then what shares took at most. */
static void run(const char *mode, unsigned int count, char *said, size_t size)
{
	int fd = open(RUN, O_RDWR);
	ssize_t got;

	snprintf(said, size, "%s %u", mode, count);
	if (fd < 0 || write(fd, said, strlen(said)) < 0)
		err(2, "%s: %s", RUN, said);
	got = pread(fd, said, size - 1, 0);
	if (got <= 0)
		err(2, "%s", RUN);
	said[got] = 0;
	close(fd);
}

static double mean(const char *mode, unsigned int count)
{
	char said[128];

	run(mode, count, said, sizeof(said));
	return strtod(said, NULL) / count;
}

static void profiled(const char *mode, unsigned int count, unsigned int more)
{
	mark();
	mean(mode, count);
	mark();
	mean(mode, more);
	mark();
}

static const char *const shares[] = { "half", "99-of-100", "999-of-1000", "all" };
static const unsigned int per_mille[] = { 500, 990, 999, 1000 };
#define SHARES (sizeof(per_mille) / sizeof(per_mille[0]))

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void distribution(unsigned int count, unsigned int round)
{
	uint32_t *took = calloc(count, sizeof(*took));
	char said[128], *next = said;

	if (!took)
		err(2, "memory");
	ping_pong(count, took);
	qsort(took, count, sizeof(*took), compare);
	for (size_t i = 0; i < SHARES; i++)
		printf("eventfd-ping-pong/%s,%u,%u\n", shares[i], round,
		       took[(uint64_t)(count - 1) * per_mille[i] / 1000]);
	free(took);
	run("each", count, said, sizeof(said));
	strtoull(said, &next, 10);
	for (size_t i = 0; i < SHARES; i++)
		printf("kick-to-sleeper/%s,%u,%llu\n", shares[i], round, strtoull(next, &next, 10));
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? atoi(argv[1]) : 20000;
	unsigned int rounds = argc > 2 ? atoi(argv[2]) : 3;
	bool each = argc > 3 && !strcmp(argv[3], "each");
	static struct raw_device devs[MOST_QUEUES];

	if (!count || !rounds)
		errx(2, "expected a count and rounds");
	set_up(devs);
	mean("sleep", 100);
	if (argc > 3 && !each) {
		profiled(argv[3], count, rounds);
		return 0;
	}
	for (unsigned int i = 0; i < rounds; i++) {
		if (each) {
			distribution(count, i);
		} else {
			printf("eventfd-ping-pong,%u,%.1f\n", i, ping_pong(count, NULL));
			printf("kick-to-sleeper,%u,%.1f\n", i, mean("sleep", count));
			printf("kick-to-callback,%u,%.1f\n", i, mean("chain", count));
		}
		fflush(stdout);
	}
	/* The device goes with the process. */
	return 0;
}
