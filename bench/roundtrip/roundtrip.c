// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench-roundtrip COUNT ROUNDS - kick, back-end, call, against an eventfd ping-pong
 * bench-roundtrip COUNT MORE MODE - COUNT round trips, then MORE, each between two marks
 *
 * Prints CSV: what,round,nanoseconds per round trip. MODE: the driver's, sleep or chain; marks are
 * for bench/profile. Needs vlb_roundtrip.ko. The back-end
 * here is as lean as one can be: a thread that sleeps in read() of the kick eventfd.
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
#define RUN		"/sys/module/vlb_roundtrip/parameters/run"

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

static double ping_pong(unsigned int count)
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
		wake(there);
		wait_for(back);
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
			vring_used_elem_t *elem = &dev->vring.used->ring[dev->used % dev->vring.num];

			elem->id = dev->vring.avail->ring[dev->seen++ % dev->vring.num];
			elem->len = 8;
			__atomic_store_n(&dev->vring.used->idx, ++dev->used, __ATOMIC_RELEASE);
			wake(dev->call);
		}
	}
	return NULL;
}

/* Everything but DRIVER_OK is answered as it comes. */
static void set_up(struct raw_device *dev)
{
	struct virtio_loopback_create args;
	struct virtio_loopback_queue_fds fds = { .size = sizeof(fds) };
	struct virtio_loopback_msg msg;
	struct virtio_loopback_reply reply;

	dev->size = 1 << 20;
	dev->fd = raw_open();
	dev->memfd = raw_memfd(dev->size, F_SEAL_SHRINK | F_SEAL_GROW);
	dev->pool = mmap(NULL, dev->size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->memfd, 0);
	args = raw_args(dev->memfd, "roundtrip");
	args.device_id = DEVICE_ID;
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_CREATE, &args))
		err(2, "CREATE");
	dev->kick = fds.kick_fd = eventfd(0, EFD_CLOEXEC);
	dev->call = fds.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds) ||
	    ioctl(dev->fd, VIRTIO_LOOPBACK_START))
		err(2, "START");
	do {
		if (read(dev->fd, &msg, sizeof(msg)) != sizeof(msg))
			err(2, "read");
		reply = (struct virtio_loopback_reply){ .seq = msg.seq };
		if (msg.type == VIRTIO_LOOPBACK_MSG_STATUS &&
		    (msg.status.status & VIRTIO_CONFIG_S_DRIVER_OK))
			raw_take_ring(dev);
		if ((msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY) &&
		    write(dev->fd, &reply, sizeof(reply)) != sizeof(reply))
			err(2, "reply");
	} while (msg.type != VIRTIO_LOOPBACK_MSG_REGISTERED);
	if (!msg.registered.bound)
		errx(2, "no driver: is vlb_roundtrip.ko loaded?");
	if (pthread_create(&dev->thread, NULL, serve, dev))
		errx(2, "pthread_create");
}

static double run(const char *mode, unsigned int count)
{
	char words[64];
	int fd = open(RUN, O_RDWR);
	ssize_t got;

	snprintf(words, sizeof(words), "%s %u", mode, count);
	if (fd < 0 || write(fd, words, strlen(words)) < 0)
		err(2, "%s: %s", RUN, words);
	got = pread(fd, words, sizeof(words) - 1, 0);
	if (got <= 0)
		err(2, "%s", RUN);
	words[got] = 0;
	close(fd);
	return strtod(words, NULL) / count;
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? atoi(argv[1]) : 20000;
	unsigned int rounds = argc > 2 ? atoi(argv[2]) : 3;
	struct raw_device dev = { 0 };

	set_up(&dev);
	run("sleep", 100);
	if (argc > 3) {
		mark();
		run(argv[3], count);
		mark();
		run(argv[3], rounds);
		mark();
		return 0;
	}
	for (unsigned int i = 0; i < rounds; i++) {
		printf("eventfd-ping-pong,%u,%.1f\n", i, ping_pong(count));
		printf("kick-to-sleeper,%u,%.1f\n", i, run("sleep", count));
		printf("kick-to-callback,%u,%.1f\n", i, run("chain", count));
		fflush(stdout);
	}
	/* The device goes with the process. */
	return 0;
}
