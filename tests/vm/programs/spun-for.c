// SPDX-License-Identifier: BSD-3-Clause
/*
 * spun-for - devices whose driver waits for a buffer without sleeping, of an adapter that lies
 *
 * virtio_console waits so for its output, virtio_net for the answers of its control queue. Where
 * the adapter does not say so (QF_POSTED, QF_STRICT), and nobody takes the buffers, a driver that
 * bound would spin under a lock of its own for good; so would one that refills a queue that is
 * posted. Prints which of the devices got their driver: those of which the truth is told. Needs
 * root and the drivers of console, net and entropy.
 */
#include <err.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "raw-device.h"

#define NAME	    "spun-for"
#define QUEUES	    4
#define PATIENCE_MS 15000
#define STRICT	    (VIRTIO_LOOPBACK_QF_POSTED | VIRTIO_LOOPBACK_QF_STRICT)

static const uint16_t sizes[QUEUES] = { RAW_QUEUE_SIZE, RAW_QUEUE_SIZE, RAW_QUEUE_SIZE,
					RAW_QUEUE_SIZE };

/* The network device has none that counts here. */
static const struct virtio_console_config config = { .max_nr_ports = 1 };

static const struct {
	const char *what;
	uint32_t device_id, queues;
	uint64_t features;
	uint16_t flags[QUEUES];
} devices[] = {
	{ "terminal", VIRTIO_ID_CONSOLE, 2, 0, { 0 } },
	{ "terminal posted", VIRTIO_ID_CONSOLE, 2, 0, { 0, VIRTIO_LOOPBACK_QF_POSTED } },
	{ "ports", VIRTIO_ID_CONSOLE, 4, 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
	  { 0, VIRTIO_LOOPBACK_QF_POSTED } },
	{ "ports without strict", VIRTIO_ID_CONSOLE, 4, 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
	  { 0, VIRTIO_LOOPBACK_QF_POSTED, 0, VIRTIO_LOOPBACK_QF_POSTED } },
	{ "ports, all posted", VIRTIO_ID_CONSOLE, 4, 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
	  { 0, VIRTIO_LOOPBACK_QF_POSTED, VIRTIO_LOOPBACK_QF_POSTED, STRICT } },
	{ "ports posted", VIRTIO_ID_CONSOLE, 4, 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
	  { 0, VIRTIO_LOOPBACK_QF_POSTED, 0, STRICT } },
	{ "ports packed", VIRTIO_ID_CONSOLE, 4,
	  1ULL << VIRTIO_CONSOLE_F_MULTIPORT | 1ULL << VIRTIO_F_RING_PACKED, { 0 } },
	{ "network posted", VIRTIO_ID_NET, 3, 1ULL << VIRTIO_NET_F_CTRL_VQ, { 0, 0, STRICT } },
	{ "randomness", VIRTIO_ID_RNG, 1, 0, { 0 } },
	{ "randomness posted", VIRTIO_ID_RNG, 1, 0, { VIRTIO_LOOPBACK_QF_POSTED } },
};

static void try_device(size_t i)
{
	struct virtio_loopback_create args = raw_args(-1, NAME);
	struct raw_device dev;

	args.device_id = devices[i].device_id;
	args.features |= devices[i].features;
	args.config = (uintptr_t)&config;
	args.config_size = args.device_id == VIRTIO_ID_CONSOLE ? sizeof(config) : 0;
	args.num_queues = devices[i].queues;
	args.queue_sizes = (uintptr_t)sizes;
	args.queue_flags = (uintptr_t)devices[i].flags;
	raw_create_with(&dev, &args);
	dev.serve = false;
	raw_run(&dev);
	if (ioctl(dev.fd, VIRTIO_LOOPBACK_START))
		err(1, "%s: START", devices[i].what);
	if (!raw_wait_message(&dev, VIRTIO_LOOPBACK_MSG_REGISTERED, 1, PATIENCE_MS))
		errx(1, "%s: expected the start to end, it has not in %d ms", devices[i].what,
		     PATIENCE_MS);
	if (dev.registered.registered.bound)
		printf("%s: bound\n", devices[i].what);
	raw_close(&dev);
	if (!raw_wait_gone(NAME, PATIENCE_MS))
		errx(1, "%s: the device does not go", devices[i].what);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		try_device(i);
	return 0;
}
