// SPDX-License-Identifier: BSD-3-Clause
/*
 * forged-console free|full|unused - a console whose device side joins buffers of its input
 *
 * As one chain, by the flags of their descriptors. Where the virtio core sees those flags, the
 * others go with the first buffer that the driver takes back, or that it has left when it lets go
 * of the device (unused), and then the count of free descriptors is wrong. The driver is to know its
 * buffers nevertheless, also when its output, which nobody takes, waits behind a posted queue that
 * is full. Prints "2 back, gone", or "0 back, gone" of unused ones. Needs root and the driver
 * virtio_console.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "raw-device.h"

#define DEVICE_ID   3
#define NAME	    "forged"
#define JOINED	    4
#define USED	    2
#define PATIENCE_MS 15000

static const uint16_t sizes[] = { RAW_QUEUE_SIZE, RAW_QUEUE_SIZE };
static const uint16_t flags[] = { 0, VIRTIO_LOOPBACK_QF_POSTED };

static void create(struct raw_device *dev)
{
	struct virtio_loopback_create args = raw_args(-1, NAME);

	args.device_id = DEVICE_ID;
	args.num_queues = 2;
	args.queue_sizes = (uintptr_t)sizes;
	args.queue_flags = (uintptr_t)flags;
	raw_create_with(dev, &args);
	dev->serve = false;
	raw_start(dev, "virtio_console", PATIENCE_MS);
}

/* The one terminal that there is */
static int open_console(void)
{
	struct termios mode;
	char path[32];
	int fd;

	for (int i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/hvc%d", i);
		fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || tcgetattr(fd, &mode))
			continue;
		cfmakeraw(&mode);
		if (!tcsetattr(fd, TCSANOW, &mode))
			return fd;
	}
	errx(1, "no /dev/hvcN can be opened");
}

/* Until nothing more goes, for some time */
static void fill(int console)
{
	static const char bytes[1024];
	size_t written = 0;
	ssize_t part;

	for (int waits = 0; waits < 50;) {
		part = write(console, bytes, sizeof(bytes));
		if (part > 0) {
			written += (size_t)part;
			waits = 0;
			continue;
		}
		if (part < 0 && errno != EAGAIN)
			err(1, "the console");
		usleep(10000);
		waits++;
	}
	if (written < 32 << 10)
		errx(1, "the queue was full when %zu bytes were written", written);
}

static void join(struct raw_device *dev)
{
	struct vring *vring = &dev->vring;

	if (vring->avail->idx < JOINED)
		errx(1, "the driver has %u buffers for its input, and not %d", vring->avail->idx,
		     JOINED);
	for (int i = 0; i < JOINED - 1; i++)
		vring->desc[vring->avail->ring[i]].flags |= VRING_DESC_F_NEXT;
}

/* Uses the first two. Returns how many the driver has given anew. */
static unsigned int use(struct raw_device *dev)
{
	const uint16_t before = dev->vring.avail->idx;
	volatile uint16_t *now = &dev->vring.avail->idx;
	uint64_t call = 1;

	for (int i = 0; i < USED; i++)
		dev->vring.used->ring[i] =
			(vring_used_elem_t){ dev->vring.avail->ring[i], 4 };
	__atomic_store_n(&dev->vring.used->idx, USED, __ATOMIC_RELEASE);
	if (write(dev->call, &call, sizeof(call)) != sizeof(call))
		err(1, "call");
	for (int ms = 0; ms < PATIENCE_MS && (uint16_t)(*now - before) < USED; ms += 10)
		usleep(10000);
	return (uint16_t)(*now - before);
}

int main(int argc, char **argv)
{
	unsigned int back = 0;
	struct raw_device dev;
	int console;

	if (argc != 2)
		errx(2, "usage: forged-console free|full|unused");
	create(&dev);
	console = open_console();
	if (!strcmp(argv[1], "full"))
		fill(console);
	join(&dev);
	if (strcmp(argv[1], "unused"))
		back = use(&dev);
	tcflush(console, TCOFLUSH);
	close(console);
	raw_close(&dev);
	printf("%u back, %s\n", back,
	       raw_wait_gone(NAME, 2 * PATIENCE_MS) ? "gone" : "not gone");
	return 0;
}
