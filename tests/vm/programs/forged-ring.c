// SPDX-License-Identifier: BSD-3-Clause
/*
 * forged-ring net|vsock|can - a device side that joins the buffers which a driver has left
 *
 * As one chain, by the flags of their descriptors, in the receive queue; then the driver is unbound.
 * A driver that takes all its buffers back when it lets go has the virtio core count descriptors:
 * where it sees those flags, the count is wrong, which is a BUG of the core's. Prints "gone". Needs
 * root and the driver.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/virtio_ids.h>

#include "net-interface.h"
#include "raw-device.h"

#define NAME	    "forged"
#define JOINED	    4
#define PATIENCE_MS 15000

/**
 * struct type - one whose driver fills a receive queue
 * @id:     virtio id
 * @features: of the type
 * @name:   on the command line
 * @driver: for messages
 * @queues: how many
 * @receive: which one is filled
 * @config: configuration space, of @config_size bytes
 * @interface: the driver fills the queue when this is up
 */
static const struct type {
	uint32_t id;
	uint64_t features;
	const char *name, *driver;
	uint16_t queues, receive;
	uint8_t config[8];
	uint32_t config_size;
	bool interface;
} types[] = {
	{ VIRTIO_ID_NET, 0, "net", "virtio_net", 2, 0, { 0 }, 8, true },
	{ VIRTIO_ID_VSOCK, 0, "vsock", "vmw_vsock_virtio_transport", 3, 0, { 3 }, 8, false },
	{ VIRTIO_ID_CAN, 1, "can", "virtio_can", 3, 1, { 0 }, 2, false },
};

static void create(struct raw_device *dev, const struct type *type)
{
	static const uint16_t sizes[] = { RAW_QUEUE_SIZE, RAW_QUEUE_SIZE, RAW_QUEUE_SIZE };
	struct virtio_loopback_create args = raw_args(-1, NAME);

	args.device_id = type->id;
	args.features |= type->features;
	args.num_queues = type->queues;
	args.queue_sizes = (uintptr_t)sizes;
	args.config = (uintptr_t)type->config;
	args.config_size = type->config_size;
	raw_create_with(dev, &args);
	dev->serve = false;
	raw_start(dev, type->driver, PATIENCE_MS);
}

static void bring_up(const struct raw_device *dev)
{
	char name[IFNAMSIZ];

	net_interface_find((int)dev->registered.registered.virtio_index, name);
	net_interface_up(name);
}

static void join(struct raw_device *dev, const struct type *type)
{
	const volatile uint16_t *filled;
	int i, ms;

	raw_take_ring_of(dev, type->receive);
	if (!dev->vring.num)
		errx(1, "virtqueue %u is not enabled", type->receive);
	filled = &dev->vring.avail->idx;
	for (ms = 0; ms < PATIENCE_MS && *filled < JOINED; ms += 10)
		usleep(10000);
	if (*filled < JOINED)
		errx(1, "the driver has %u buffers to receive, and not %d", *filled, JOINED);
	for (i = 0; i < JOINED - 1; i++)
		dev->vring.desc[dev->vring.avail->ring[i]].flags |= VRING_DESC_F_NEXT;
}

int main(int argc, char **argv)
{
	const struct type *type = NULL;
	struct raw_device dev;

	for (size_t i = 0; argc == 2 && i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(argv[1], types[i].name))
			type = &types[i];
	if (!type)
		errx(2, "usage: forged-ring net|vsock|can");
	create(&dev, type);
	if (type->interface)
		bring_up(&dev);
	join(&dev, type);
	/* In good order: no I/O is ended before, and nothing noticed by it. */
	if (ioctl(dev.fd, VIRTIO_LOOPBACK_STOP))
		err(1, "STOP");
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_UNREGISTERED, 1, PATIENCE_MS))
		errx(1, "the driver did not let go within %d ms", PATIENCE_MS);
	raw_close(&dev);
	puts(raw_wait_gone(NAME, 2 * PATIENCE_MS) ? "gone" : "not gone");
	return 0;
}
