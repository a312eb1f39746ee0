// SPDX-License-Identifier: BSD-3-Clause
/*
 * uapi-cycles N - devices that come and go, N times, by each of the ways in turn
 *
 * Memory may run out at any moment (fault injection, by the caller): a call that fails for that is
 * counted, and the device has to go nevertheless. Prints "N cycles, M refused"; exits with 1 when
 * something else failed, or a device did not go. Needs root and the virtio_rng driver.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw-device.h"

#define NAME	"cycle"

static struct raw_device dev;
static unsigned int refused;

/* Whether it worked; what fails for another reason than memory ends the program. */
static bool tried(long result, const char *what)
{
	if (result >= 0)
		return true;
	/* EINVAL is the driver core's word for a device name that it could not allocate. */
	if (errno != ENOMEM && errno != EINVAL && errno != ENODEV)
		err(1, "%s", what);
	refused++;
	return false;
}

static bool create(uint32_t timeout_ms, uint32_t orphan_ms)
{
	struct virtio_loopback_queue_fds fds = { .size = sizeof(fds) };
	struct virtio_loopback_create args;

	memset(&dev, 0, sizeof(dev));
	dev.size = 1 << 20;
	dev.answer = dev.serve = true;
	dev.memfd = raw_memfd(dev.size, F_SEAL_SHRINK | F_SEAL_GROW);
	dev.pool = mmap(NULL, dev.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev.memfd, 0);
	dev.kick = fds.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dev.call = fds.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev.pool == MAP_FAILED || dev.kick < 0 || dev.call < 0)
		err(2, "set-up");
	args = raw_args(dev.memfd, NAME);
	args.message_timeout_ms = timeout_ms;
	args.orphan_timeout_ms = orphan_ms;
	dev.fd = open("/dev/virtio-loopback", O_RDWR | O_CLOEXEC);
	return tried(dev.fd, "open") &&
	       tried(ioctl(dev.fd, VIRTIO_LOOPBACK_CREATE, &args), "CREATE") &&
	       tried(ioctl(dev.fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds), "SET_QUEUE_FDS");
}

/* Registered, with its driver where there was memory for that. */
static bool start(void)
{
	raw_run(&dev);
	if (!tried(ioctl(dev.fd, VIRTIO_LOOPBACK_START), "START"))
		return false;
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, 30000))
		errx(1, "START without an end");
	return !dev.registered.registered.error;
}

static void stop(void)
{
	if (!tried(ioctl(dev.fd, VIRTIO_LOOPBACK_STOP), "STOP"))
		return;
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_UNREGISTERED, 1, 30000))
		errx(1, "STOP without an end");
}

/* A new adapter, at the moment at which the device is given up, and gone at once again */
static void take_over(unsigned int cycle, uint32_t orphan_ms)
{
	struct virtio_loopback_takeover args = { .size = sizeof(args), .name = NAME };
	int fd = open("/dev/virtio-loopback", O_RDWR | O_CLOEXEC);

	raw_halt(&dev);
	close(dev.fd);
	usleep(orphan_ms * 1000 - 500 + cycle * 37 % 1000);
	if (fd >= 0)
		ioctl(fd, VIRTIO_LOOPBACK_TAKEOVER, &args);
	dev.fd = fd;
}

static void fail_device(void)
{
	struct virtio_loopback_fail args = { .size = sizeof(args) };

	tried(ioctl(dev.fd, VIRTIO_LOOPBACK_FAIL, &args), "FAIL");
}

static void one(unsigned int cycle)
{
	const uint32_t orphan_ms = 4;
	unsigned int way = cycle % 7;

	/* The last way is silence. */
	if (create(way == 6 ? 100 : 2000, way == 5 ? orphan_ms : 0) && way) {
		if (way == 1) {
			raw_run(&dev);
			tried(ioctl(dev.fd, VIRTIO_LOOPBACK_START), "START");
		} else if (start()) {
			if (way == 2)
				ioctl(dev.fd, VIRTIO_LOOPBACK_DESTROY);
			else if (way == 3)
				stop();
			else if (way == 4)
				fail_device();
			else if (way == 5)
				take_over(cycle, orphan_ms);
			else
				dev.answer = dev.serve = false;
		}
	}
	raw_close(&dev);
	if (!raw_wait_gone(NAME, 60000))
		errx(1, "cycle %u: the device does not go", cycle);
}

int main(int argc, char **argv)
{
	unsigned int cycles = argc > 1 ? strtoul(argv[1], NULL, 0) : 70, i;

	for (i = 0; i < cycles; i++)
		one(i);
	printf("%u cycles, %u refused\n", cycles, refused);
	return 0;
}
