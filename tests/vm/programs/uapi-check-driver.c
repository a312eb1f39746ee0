// SPDX-License-Identifier: BSD-3-Clause
/* Checks of a device that has its driver: requests, questions, the ends, and another adapter. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw-device.h"
#include "uapi-check.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

static long read_hwrng(uint8_t *bytes, size_t size)
{
	int fd = open("/dev/hwrng", O_RDONLY | O_NONBLOCK), error;
	long got = 0;

	/* The driver asks for bytes when it is read, and has them a moment later. */
	for (int tries = 0; fd >= 0 && tries < 500; tries++) {
		got = read(fd, bytes, size);
		if (got >= 0 || errno != EAGAIN)
			break;
		usleep(10000);
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return fd < 0 ? -1 : got;
}

static void start(struct raw_device *dev, const char *name, uint32_t timeout_ms, uint32_t orphan_ms)
{
	raw_create(dev, name, timeout_ms, orphan_ms);
	raw_run(dev);
	expect_error(ioctl(dev->fd, VIRTIO_LOOPBACK_START), 0, "START");
	expect(raw_wait_message(dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 10000), "MSG_REGISTERED");
}

static void finish(struct raw_device *dev, const char *name)
{
	raw_close(dev);
	expect(raw_wait_gone(name, 20000), "the device to go with its file");
}

void check_serves(void)
{
	struct virtio_loopback_queue queue = { .size = sizeof(queue) };
	uint8_t bytes[32] = { 0 };
	struct raw_device dev;
	long got;

	start(&dev, "serves", 5000, 0);
	EXPECT(dev.registered.registered.error == 0);
	EXPECT(dev.registered.registered.bound == 1);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_START), EINVAL, "START again");
	/* The kernel's core may still hold up to a cache line of what an earlier device gave. */
	for (int i = 0; i < 8; i++) {
		got = read_hwrng(bytes, sizeof(bytes));
		if (got <= 0)
			break;
	}
	if (got <= 0)
		fail("/dev/hwrng: expected bytes, saw %ld (%m)", got);
	for (long i = 0; i < got; i++)
		if (bytes[i] != 0xa5) {
			fail("byte %ld: expected 0xa5, saw %#x", i, bytes[i]);
			break;
		}
	/* Before and after the driver's first kick. */
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_GET_QUEUE, &queue), 0, "GET_QUEUE");
	EXPECT(dev.flags == (VIRTIO_LOOPBACK_QUEUE_ENABLED | VIRTIO_LOOPBACK_QUEUE_QUIET));
	EXPECT(queue.flags == VIRTIO_LOOPBACK_QUEUE_ENABLED);
	finish(&dev, "serves");
	if (dev.dirty)
		fail("stale bytes in buffers for the device: expected none, saw %zu", dev.dirty);
	EXPECT(dev.served > 0);
}

/* ---- pools that are made otherwise ---- */

static void start_on(struct raw_device *dev, const char *name)
{
	struct virtio_loopback_create args = raw_args(-1, name);

	raw_create_on(dev, &args);
	raw_run(dev);
	expect_error(ioctl(dev->fd, VIRTIO_LOOPBACK_START), 0, "START");
	expect(raw_wait_message(dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 10000), "MSG_REGISTERED");
}

/* Its pages are there, and nobody has seen them: what the driver writes first has to stay. */
void check_reserved_pool(void)
{
	struct virtio_loopback_queue queue = { .size = sizeof(queue) };
	struct raw_device dev;

	raw_begin(&dev);
	dev.late = true;
	expect_error(fallocate(dev.memfd, 0, 0, dev.size), 0, "fallocate");
	start_on(&dev, "reserved");
	for (int i = 0; i < 500; i++) {
		queue = (struct virtio_loopback_queue){ .size = sizeof(queue) };
		if (ioctl(dev.fd, VIRTIO_LOOPBACK_GET_QUEUE, &queue) ||
		    !(queue.flags & VIRTIO_LOOPBACK_QUEUE_QUIET))
			break;
		usleep(10000);
	}
	expect(queue.flags == VIRTIO_LOOPBACK_QUEUE_ENABLED, "a kick");
	raw_take_ring(&dev);
	if (!dev.vring.avail->idx)
		fail("the available ring: expected a buffer, saw none");
	finish(&dev, "reserved");
}

#define HUGE	(2UL << 20)

/* In one folio, which reaches past the end of the file. Return: false: not by this kernel */
static bool collapse(const struct raw_device *dev)
{
	uint8_t *room = mmap(NULL, 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
	int ret;

	if (room == MAP_FAILED || mmap(at, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
				       dev->memfd, 0) != at)
		return false;
	for (size_t i = 0; i < dev->size; i += 4096)
		at[i] = 1;
	ret = madvise(at, HUGE, MADV_COLLAPSE);
	munmap(room, 2 * HUGE);
	return !ret;
}

/* The end of the device is the end of it for the back-end as well. */
void check_huge_pool(void)
{
	struct virtio_loopback_fail args = { .size = sizeof(args) };
	struct raw_device dev;

	raw_begin(&dev);
	if (!collapse(&dev))
		printf("huge-pool: small pages, for this kernel makes no huge ones (%m)\n");
	start_on(&dev, "huge");
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL), 0, "CHECK_POOL");
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_FAIL, &args), 0, "FAIL");
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL), ESTALE, "CHECK_POOL after FAIL");
	finish(&dev, "huge");
}

void check_stop_and_start(void)
{
	struct raw_device dev;
	char state[64] = "";

	start(&dev, "again", 5000, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_STOP), 0, "STOP");
		expect(raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_UNREGISTERED, i, 10000),
		       "MSG_UNREGISTERED");
		raw_sysfs("again", "state", state, sizeof(state));
		if (strcmp(state, "created"))
			fail("after STOP: expected created, saw %s", state);
		expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_STOP), EINVAL, "STOP twice");
		expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_START), 0, "START");
		expect(raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, i + 1, 10000),
		       "MSG_REGISTERED");
	}
	finish(&dev, "again");
}

/* The driver's probe asks, and nobody answers. */
void check_silence(void)
{
	struct virtio_loopback_msg msg;
	struct raw_device dev;
	char timeouts[64] = "";

	raw_create(&dev, "silence", 300, 0);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_START), 0, "START");
	do {
		expect_error(read(dev.fd, &msg, sizeof(msg)) < 0 ? -1 : 0, 0, "read");
	} while (msg.type != VIRTIO_LOOPBACK_MSG_REGISTERED && !check_failed);
	EXPECT(msg.registered.bound == 0);
	raw_sysfs("silence", "message_timeouts", timeouts, sizeof(timeouts));
	EXPECT(atoi(timeouts) > 0);
	finish(&dev, "silence");
}

void check_close_while_probing(void)
{
	struct raw_device dev;

	for (int i = 0; i < 20; i++) {
		raw_create(&dev, "probing", 5000, 0);
		dev.answer = i & 1;
		raw_run(&dev);
		expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_START), 0, "START");
		usleep(i * 300);
		finish(&dev, "probing");
	}
}

static int holder_pipe[2];

/* A reader of /dev/hwrng that waits: it must come back when the device ends. */
static pid_t blocked_reader(struct raw_device *dev)
{
	pid_t child = fork();

	if (!child) {
		char byte;
		int fd = open("/dev/hwrng", O_RDONLY);

		/* The device's file must not live on here. */
		close(dev->fd);
		if (write(holder_pipe[1], "", 1) != 1)
			_exit(2);
		for (int i = 0; i < 1000; i++)
			if (read(fd, &byte, 1) <= 0)
				break;
		_exit(0);
	}
	return child;
}

void check_fail_unblocks(void)
{
	struct virtio_loopback_fail args = { .size = sizeof(args) };
	struct raw_device dev;
	char byte, state[64] = "", live[64] = "";
	pid_t reader;
	int status = -1;

	start(&dev, "fail", 5000, 0);
	dev.serve = false;
	if (pipe(holder_pipe) || (reader = blocked_reader(&dev)) < 0 || read(holder_pipe[0], &byte, 1) != 1)
		return fail("no reader");
	/* By now the driver's buffer lies in the ring, or will in a moment. */
	for (int i = 0; i < 200 && !dev.vring.avail->idx; i++)
		usleep(10000);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_FAIL, &args), 0, "FAIL");
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_FAIL, &args), 0, "FAIL again");
	raw_sysfs("fail", "state", state, sizeof(state));
	if (strcmp(state, "failed"))
		fail("expected the state failed, saw %s", state);
	raw_sysfs("fail", "pool_used", live, sizeof(live));
	if (strcmp(live, "0"))
		fail("expected no byte of the pool in use, saw %s", live);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_CHECK_POOL), ESTALE, "CHECK_POOL");
	finish(&dev, "fail");
	for (int i = 0; i < 1000 && !waitpid(reader, &status, WNOHANG); i++)
		usleep(10000);
	EXPECT(status == 0);
	close(holder_pipe[0]);
	close(holder_pipe[1]);
}

/* Rubbish in the ring: the queue breaks, the adapter is told, the end is clean. */
void check_forged_used(void)
{
	uint8_t bytes[8];
	uint64_t one = 1;
	struct raw_device dev;

	start(&dev, "forged", 5000, 0);
	dev.serve = false;
	raw_halt(&dev);
	memset(dev.vring.used->ring, 0xee, sizeof(*dev.vring.used->ring) * dev.vring.num);
	dev.vring.used->idx += 3;
	raw_run(&dev);
	expect(write(dev.call, &one, sizeof(one)) == sizeof(one), "call");
	expect(raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_BROKEN, 1, 5000), "MSG_BROKEN");
	memset(dev.pool, 0xff, dev.size);
	read_hwrng(bytes, 0);
	finish(&dev, "forged");
}

static void *chain_for_ever(void *arg)
{
	struct raw_device *dev = arg;

	while (!dev->stop)
		for (unsigned int i = 0; i < RAW_QUEUE_SIZE; i++)
			*(volatile uint16_t *)&dev->vring.desc[i].flags = VRING_DESC_F_NEXT;
	return NULL;
}

/*
 * All descriptors go on to another one, however often that is mended. The driver follows its own, and
 * the device goes on.
 */
void check_endless_chain(void)
{
	struct raw_device dev;
	char state[64] = "";
	pthread_t thread;
	uint8_t bytes[64];

	start(&dev, "chain", 5000, 0);
	if (pthread_create(&thread, NULL, chain_for_ever, &dev))
		return fail("no thread");
	for (int i = 0; i < 100; i++) {
		memset(bytes, 0, sizeof(bytes));
		read_hwrng(bytes, sizeof(bytes));
		if (memcmp(bytes, (uint8_t[]){ dev.fill, dev.fill }, 2))
			fail("read %d: expected %#x, saw %#x", i, dev.fill, bytes[0]);
	}
	raw_sysfs("chain", "state", state, sizeof(state));
	if (strcmp(state, "running"))
		fail("expected the state running, saw %s", state);
	raw_halt(&dev);
	pthread_join(thread, NULL);
	finish(&dev, "chain");
}

void check_takeover(void)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = "orphan" };
	struct virtio_loopback_store store = { .size = sizeof(store) };
	uint8_t bytes[16] = { 0 };
	struct raw_device dev;
	char state[64] = "";

	start(&dev, "orphan", 5000, 20000);
	raw_halt(&dev);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_TAKEOVER, &args), EBUSY, "TAKEOVER on its own file");
	close(dev.fd);
	dev.fd = raw_open();
	raw_sysfs("orphan", "state", state, sizeof(state));
	if (strcmp(state, "orphan"))
		fail("expected the state orphan, saw %s", state);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_TAKEOVER, &args), 0, "TAKEOVER");
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_FETCH_FD, &store), 0, "the pool");
	EXPECT(lseek(store.fd, 0, SEEK_END) == (off_t)dev.size);
	close(store.fd);
	close(dev.kick);
	close(dev.call);
	raw_queue_fds(&dev);
	raw_take_ring(&dev);
	dev.fill = 0x3c;
	raw_run(&dev);
	for (int i = 0; i < 20 && bytes[0] != 0x3c; i++)
		read_hwrng(bytes, sizeof(bytes));
	EXPECT(bytes[0] == 0x3c);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_DESTROY), 0, "DESTROY");
	finish(&dev, "orphan");
}

/* A driver's question: no adapter is there for longer than its time, and then one is. */
void check_patience(void)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = "patience" };
	struct virtio_loopback_msg msg;
	struct raw_device dev;
	char timeouts[64] = "";

	raw_create(&dev, "patience", 2000, 20000);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_START), 0, "START");
	expect_error(read(dev.fd, &msg, sizeof(msg)) < 0 ? -1 : 0, 0, "read");
	close(dev.fd);
	usleep(4500000);
	dev.fd = raw_open();
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_TAKEOVER, &args), 0, "TAKEOVER");
	close(dev.kick);
	close(dev.call);
	raw_queue_fds(&dev);
	raw_run(&dev);
	expect(raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 10000), "MSG_REGISTERED");
	EXPECT(dev.registered.registered.bound == 1);
	raw_sysfs("patience", "message_timeouts", timeouts, sizeof(timeouts));
	if (strcmp(timeouts, "0"))
		fail("expected no question given up, saw %s", timeouts);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_DESTROY), 0, "DESTROY");
	finish(&dev, "patience");
}

/* The same, and adapters come and go for ever without an answer. */
void check_patience_ends(void)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = "games" };
	struct virtio_loopback_msg msg;
	struct raw_device dev;
	char timeouts[64] = "";

	raw_create(&dev, "games", 2000, 2000);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_START), 0, "START");
	expect_error(read(dev.fd, &msg, sizeof(msg)) < 0 ? -1 : 0, 0, "read");
	for (int i = 0; i < 30 && atoi(timeouts) < 1; i++) {
		close(dev.fd);
		usleep(500000);
		dev.fd = raw_open();
		expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_TAKEOVER, &args), 0, "TAKEOVER");
		raw_sysfs("games", "message_timeouts", timeouts, sizeof(timeouts));
	}
	if (strcmp(timeouts, "1"))
		fail("expected one question given up, saw %s", timeouts);
	expect_error(ioctl(dev.fd, VIRTIO_LOOPBACK_DESTROY), 0, "DESTROY");
	finish(&dev, "games");
}

void check_orphan_ends(void)
{
	struct raw_device dev;

	start(&dev, "alone", 5000, 200);
	finish(&dev, "alone");
}
