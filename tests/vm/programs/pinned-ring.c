// SPDX-License-Identifier: BSD-3-Clause
/*
 * pinned-ring index|elements|packed - the end of a device whose used ring is still written to
 *
 * The device side has an io_uring that holds the used ring's page pinned: it keeps that page when
 * the pool is taken away. At the end of I/O, which puts the driver's buffer there as failed, it
 * writes over it for a while, again and again: the index that was there before, elements that name
 * no buffer, or, in a packed ring, the descriptor as it was when it was not used. Prints "back"
 * when the driver has its buffer, and "lost" when the end of I/O has come without it. Needs root
 * and vlb_late.ko, which takes its buffers.
 */
#include <err.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "raw-device.h"

#define DEVICE_ID  0xfff1
#define NAME	   "pinned"
#define WRITES	   64
#define HAMMER_MS  1000

/**
 * struct hammer - what is written, and where
 * @ring:   has the page
 * @source: a file that holds it
 * @to:     in the page
 * @size:   bytes
 * @begun:  it is being written
 */
struct hammer {
	struct io_uring ring;
	int source;
	uint8_t *to;
	unsigned int size;
	volatile bool begun;
};

static void pin(struct hammer *hammer, uint8_t *what)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct iovec area = { (void *)((uintptr_t)what & ~(page - 1)), page };
	int ret = io_uring_queue_init(WRITES, &hammer->ring, 0);

	if (!ret)
		ret = io_uring_register_buffers(&hammer->ring, &area, 1);
	if (ret)
		errx(1, "io_uring: %s", strerror(-ret));
}

static void aim(struct hammer *hammer, void *to, const void *bytes, unsigned int size)
{
	hammer->source = raw_memfd(size, 0);
	if (pwrite(hammer->source, bytes, size, 0) != (ssize_t)size)
		err(1, "write");
	hammer->to = to;
	hammer->size = size;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void write_some(struct hammer *hammer)
{
	struct io_uring_cqe *done;

	for (int i = 0; i < WRITES; i++)
		io_uring_prep_read_fixed(io_uring_get_sqe(&hammer->ring), hammer->source,
					 hammer->to, hammer->size, 0, 0);
	io_uring_submit_and_wait(&hammer->ring, WRITES);
	for (int i = 0; i < WRITES; i++) {
		if (io_uring_wait_cqe(&hammer->ring, &done))
			errx(1, "io_uring");
		if (done->res != (int)hammer->size)
			errx(1, "a write to the pinned page: %s", strerror(-done->res));
		io_uring_cqe_seen(&hammer->ring, done);
	}
}

static void *write_again_and_again(void *arg)
{
	struct hammer *hammer = arg;
	long end = now_ms() + HAMMER_MS;

	for (; now_ms() < end; hammer->begun = true)
		write_some(hammer);
	return NULL;
}

static void create(struct raw_device *dev, bool packed)
{
	struct virtio_loopback_create args = raw_args(-1, NAME);

	args.device_id = DEVICE_ID;
	args.features |= packed ? 1ULL << VIRTIO_F_RING_PACKED : 0;
	raw_create_with(dev, &args);
	dev->serve = false;
	raw_run(dev);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_START))
		err(1, "START");
	if (!raw_wait_message(dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 10000) ||
	    !dev->registered.registered.bound)
		errx(1, "no driver has bound: is vlb_late.ko loaded?");
	if (packed ? !dev->vring.desc[0].len : dev->vring.avail->idx != 1)
		errx(1, "the driver has offered no buffer");
}

int main(int argc, char **argv)
{
	struct virtio_loopback_fail fail = { .size = sizeof(fail) };
	vring_used_elem_t elements[RAW_QUEUE_SIZE];
	struct hammer hammer = { 0 };
	struct raw_device dev;
	char used[64] = "";
	struct vring_desc desc;
	uint16_t index;
	pthread_t thread;
	bool packed;

	if (argc != 2)
		errx(2, "usage: pinned-ring index|elements|packed");
	packed = !strcmp(argv[1], "packed");
	create(&dev, packed);
	pin(&hammer, packed ? (uint8_t *)dev.vring.desc : (uint8_t *)dev.vring.used);
	memset(elements, 0x7, sizeof(elements));
	desc = dev.vring.desc[0];
	index = dev.vring.used->idx;
	if (packed)
		aim(&hammer, dev.vring.desc, &desc, sizeof(desc));
	else if (!strcmp(argv[1], "index"))
		aim(&hammer, (void *)&dev.vring.used->idx, &index, sizeof(index));
	else
		aim(&hammer, dev.vring.used->ring, elements, sizeof(elements));
	if (pthread_create(&thread, NULL, write_again_and_again, &hammer))
		errx(1, "pthread_create");
	while (!hammer.begun)
		usleep(100);
	if (ioctl(dev.fd, VIRTIO_LOOPBACK_FAIL, &fail))
		err(1, "FAIL");
	raw_sysfs(NAME, "pool_used", used, sizeof(used));
	pthread_join(thread, NULL);
	io_uring_queue_exit(&hammer.ring);
	raw_close(&dev);
	if (!raw_wait_gone(NAME, 20000))
		errx(1, "the device has not gone with its file");
	puts(strcmp(used, "0") ? "lost" : "back");
	return 0;
}
