// SPDX-License-Identifier: BSD-3-Clause
/*
 * crowd start|stop|takeover - devices that wait keep nobody else from coming and going
 *
 * More devices than a work queue runs works at once are started by one who does not answer their
 * drivers' questions, or, when all have their drivers, stopped by him. Meanwhile somebody else's
 * device, that was there before, goes, and another one comes and goes. Prints "gone, come, gone".
 *
 * Or one device is failed, whose driver does not take its buffer, which is waited for for a while,
 * and asked for by another adapter meanwhile, and a third one comes. Prints "at once" or "late".
 *
 * Exits with 1 when something did not happen. Needs root and vlb_late.ko.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "raw-device.h"

#define DEVICE_ID   0xfff1
/* A work queue's works at once are 256 where the kernel has not been asked for more. */
#define CROWD	    280
#define PATIENCE_MS 15000
#define TIMEOUT_MS  120000

static int crowd[CROWD];

static int create_one(unsigned int number)
{
	int memfd = raw_memfd(96 << 10, F_SEAL_SHRINK | F_SEAL_GROW), fd = raw_open();
	struct virtio_loopback_create args;
	char name[32];

	snprintf(name, sizeof(name), "crowd%u", number);
	args = raw_args(memfd, name);
	args.device_id = DEVICE_ID;
	args.message_timeout_ms = TIMEOUT_MS;
	if (ioctl(fd, VIRTIO_LOOPBACK_CREATE, &args) || ioctl(fd, VIRTIO_LOOPBACK_START))
		err(1, "%s", name);
	close(memfd);
	return fd;
}

/* Has one asked something, and not got an answer? */
static bool asks(int fd, int ms)
{
	struct pollfd asked = { .fd = fd, .events = POLLIN };

	return poll(&asked, 1, ms) == 1;
}

static void wait_for_questions(void)
{
	for (int i = 0; i < CROWD; i++)
		if (!asks(crowd[i], 100))
			return;
}

/* Answers until the driver has bound. */
static void answer_one(int fd)
{
	struct virtio_loopback_reply reply = { 0 };
	struct virtio_loopback_msg msg = { 0 };

	while (msg.type != VIRTIO_LOOPBACK_MSG_REGISTERED) {
		if (!asks(fd, PATIENCE_MS) || read(fd, &msg, sizeof(msg)) != sizeof(msg))
			err(1, "a start's question");
		reply.seq = msg.seq;
		if ((msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY) &&
		    write(fd, &reply, sizeof(reply)) != sizeof(reply))
			err(1, "reply");
	}
	if (!msg.registered.bound)
		errx(1, "no driver has bound: is vlb_late.ko loaded?");
}

static void gather(bool stop)
{
	struct rlimit files = { CROWD + 64, CROWD + 64 };

	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = create_one(i);
		if (stop)
			answer_one(crowd[i]);
	}
	for (int i = 0; stop && i < CROWD; i++)
		if (ioctl(crowd[i], VIRTIO_LOOPBACK_STOP))
			err(1, "STOP");
	wait_for_questions();
}

static void come(struct raw_device *dev, const char *name)
{
	raw_create_as(dev, DEVICE_ID, name, 5000, 0);
	dev->serve = false;
	raw_run(dev);
	if (ioctl(dev->fd, VIRTIO_LOOPBACK_START))
		err(1, "START");
}

static bool has_come(struct raw_device *dev)
{
	return raw_wait_message(dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, PATIENCE_MS);
}

static bool has_gone(struct raw_device *dev, const char *name)
{
	raw_close(dev);
	return raw_wait_gone(name, PATIENCE_MS);
}

static void *fail(void *arg)
{
	struct virtio_loopback_fail args = { .size = sizeof(args) };
	const struct raw_device *dev = arg;

	if (ioctl(dev->fd, VIRTIO_LOOPBACK_FAIL, &args))
		warn("FAIL");
	return NULL;
}

static void *take_over(void *arg)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = "before" };
	int fd = raw_open();

	(void)arg;
	if (!ioctl(fd, VIRTIO_LOOPBACK_TAKEOVER, &args) || errno != EBUSY)
		warn("TAKEOVER of a device that has an adapter");
	close(fd);
	return NULL;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int take_over_while_failing(void)
{
	struct raw_device before, after;
	pthread_t failing, taking;
	long begin, end;

	come(&before, "before");
	if (!has_come(&before))
		errx(1, "no device has come");
	begin = now_ms();
	if (pthread_create(&failing, NULL, fail, &before))
		errx(1, "pthread_create");
	usleep(200000);
	if (pthread_create(&taking, NULL, take_over, NULL))
		errx(1, "pthread_create");
	usleep(200000);
	raw_create_as(&after, DEVICE_ID, "after", 5000, 0);
	end = now_ms();
	pthread_join(failing, NULL);
	if (now_ms() - begin < 1500)
		errx(1, "the device has failed at once");
	pthread_join(taking, NULL);
	if (!has_gone(&before, "before") || !has_gone(&after, "after"))
		errx(1, "a device has not gone with its file");
	puts(end - begin < 1500 ? "at once" : "late");
	return 0;
}

int main(int argc, char **argv)
{
	struct raw_device before, after;
	bool gone, came, gone_too;

	if (argc != 2)
		errx(2, "usage: crowd start|stop|takeover");
	if (!strcmp(argv[1], "takeover"))
		return take_over_while_failing();
	come(&before, "before");
	if (!has_come(&before))
		errx(1, "no device has come, before there was anybody else");
	gather(!strcmp(argv[1], "stop"));
	gone = has_gone(&before, "before");
	come(&after, "after");
	came = has_come(&after);
	gone_too = has_gone(&after, "after");
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
	for (int i = 0; i < CROWD; i++) {
		char name[32];

		snprintf(name, sizeof(name), "crowd%d", i);
		if (!raw_wait_gone(name, 4 * PATIENCE_MS))
			errx(1, "%s has not gone with its file", name);
	}
	printf("%s, %s, %s\n", gone ? "gone" : "not gone", came ? "come" : "not come",
	       gone_too ? "gone" : "not gone");
	return 0;
}
