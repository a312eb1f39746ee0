// SPDX-License-Identifier: BSD-3-Clause
/*
 * queue-reset - a driver takes single virtqueues out of use and back into it
 *
 * A network device (virtio 5.1) made by hand, whose driver is asked for rings of other sizes, as
 * ethtool -G does: it resets a queue (virtio 2.6.1) and sets it up again. Prints how often that
 * went well, and exits with 1 and a line when something else came than what is right. Needs root
 * and the virtio_net driver.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "net-interface.h"
#include "raw-device.h"

#define QUEUES	  2
#define LARGEST	  128
#define NAME	  "ringnet"
#define POOL_SIZE (1 << 20)

/**
 * struct net - the device, and the thread that answers for it
 * @fd:		/dev/virtio-loopback
 * @pool:	mapping of the pool
 * @resets:	of each queue, that were answered
 * @enables:	of each queue
 * @refuse:	answer the next reset with an error
 * @bound:	the driver has taken the device, 1, or not, -1
 * @virtio_index: N of virtioN
 * @stop:	asks the thread to end
 */
struct net {
	int fd;
	uint8_t *pool;
	volatile unsigned int resets[QUEUES], enables[QUEUES];
	volatile bool refuse;
	volatile int bound;
	volatile int virtio_index;
	volatile bool stop;
};

static struct virtio_loopback_queue get_queue(const struct net *net, unsigned int index)
{
	struct virtio_loopback_queue queue = { .size = sizeof(queue), .index = index };

	if (ioctl(net->fd, VIRTIO_LOOPBACK_GET_QUEUE, &queue))
		err(1, "GET_QUEUE %u", index);
	return queue;
}

/* Return: the answer to a message */
static int answer_for(struct net *net, const struct virtio_loopback_msg *msg)
{
	const bool enable = msg->type == VIRTIO_LOOPBACK_MSG_QUEUE_ENABLE;
	const unsigned int index = msg->queue.index;
	struct virtio_loopback_queue queue;

	if (msg->type != VIRTIO_LOOPBACK_MSG_QUEUE_RESET && !enable)
		return 0;
	if (index >= QUEUES)
		errx(1, "message %u for virtqueue %u", msg->type, index);
	queue = get_queue(net, index);
	/* One that is being reset is nothing to begin with. */
	if (enable != !!(queue.flags & VIRTIO_LOOPBACK_QUEUE_ENABLED))
		errx(1, "message %u: virtqueue %u has the flags %#x", msg->type, index,
		     queue.flags);
	if (enable) {
		net->enables[index]++;
		return 0;
	}
	if (net->refuse)
		return -EIO;
	net->resets[index]++;
	return 0;
}

static void handle_message(struct net *net)
{
	struct virtio_loopback_reply reply = { 0 };
	struct virtio_loopback_msg msg;

	if (read(net->fd, &msg, sizeof(msg)) != sizeof(msg))
		return;
	if (msg.type == VIRTIO_LOOPBACK_MSG_REGISTERED) {
		net->virtio_index = msg.registered.virtio_index;
		net->bound = msg.registered.bound ? 1 : -1;
	}
	if (!(msg.flags & VIRTIO_LOOPBACK_MSG_NEED_REPLY))
		return;
	reply.seq = msg.seq;
	reply.error = answer_for(net, &msg);
	if (write(net->fd, &reply, sizeof(reply)) < 0)
		warn("reply to message %u", msg.type);
}

static void *answer(void *arg)
{
	struct net *net = arg;
	struct pollfd pfd = { net->fd, POLLIN, 0 };

	while (!net->stop) {
		if (poll(&pfd, 1, 20) > 0)
			handle_message(net);
	}
	return NULL;
}

static void create(struct net *net)
{
	static const uint8_t config[12] = { 2, 0, 0, 0, 0, 0x77 };
	static const uint16_t sizes[QUEUES] = { LARGEST, LARGEST };
	struct virtio_loopback_queue_fds fds = { .size = sizeof(fds) };
	int memfd = raw_memfd(POOL_SIZE, F_SEAL_SHRINK | F_SEAL_GROW);
	struct virtio_loopback_create args = raw_args(memfd, NAME);

	net->fd = raw_open();
	net->pool = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	args.device_id = 1;
	args.features |= 1ULL << VIRTIO_F_RING_RESET | 1ULL << VIRTIO_NET_F_MAC;
	args.num_queues = QUEUES;
	args.queue_sizes = (uintptr_t)sizes;
	args.config = (uintptr_t)config;
	args.config_size = sizeof(config);
	if (net->pool == MAP_FAILED || ioctl(net->fd, VIRTIO_LOOPBACK_CREATE, &args))
		err(1, "CREATE");
	for (fds.index = 0; fds.index < QUEUES; fds.index++) {
		fds.kick_fd = eventfd(0, EFD_CLOEXEC);
		fds.call_fd = eventfd(0, EFD_CLOEXEC);
		if (ioctl(net->fd, VIRTIO_LOOPBACK_SET_QUEUE_FDS, &fds))
			err(1, "SET_QUEUE_FDS");
	}
	close(memfd);
}

/* As ethtool -G does. Return: 0 or an errno */
static int resize(int sock, const char *name, unsigned int rx, unsigned int tx)
{
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
	struct ifreq ifr = { .ifr_data = (void *)&ring };

	strcpy(ifr.ifr_name, name);
	if (ioctl(sock, SIOCETHTOOL, &ifr))
		err(1, "ETHTOOL_GRINGPARAM");
	ring.cmd = ETHTOOL_SRINGPARAM;
	ring.rx_pending = rx;
	ring.tx_pending = tx;
	return ioctl(sock, SIOCETHTOOL, &ifr) ? errno : 0;
}

static void expect_queue(const struct net *net, unsigned int index, unsigned int num)
{
	struct virtio_loopback_queue queue = get_queue(net, index);

	if (!(queue.flags & VIRTIO_LOOPBACK_QUEUE_ENABLED) || queue.num != num)
		errx(1, "virtqueue %u: expected %u entries, saw %u, flags %#x", index, num,
		     queue.num, queue.flags);
}

/* The driver fills its receive queue anew: in the ring that GET_QUEUE names. */
static void expect_filled(const struct net *net, unsigned int num)
{
	struct virtio_loopback_queue queue = get_queue(net, 0);
	const struct vring_avail *avail =
		(const void *)(net->pool + queue.driver_addr - RAW_POOL_BASE);
	struct virtio_loopback_outstanding out = { .size = sizeof(out) };

	if (!avail->idx || avail->idx > num || queue.used_index)
		errx(1, "receive ring: expected 1 to %u buffers and none used, saw %u and %u", num,
		     avail->idx, queue.used_index);
	if (ioctl(net->fd, VIRTIO_LOOPBACK_GET_OUTSTANDING, &out))
		err(1, "GET_OUTSTANDING");
}

static unsigned int resize_often(struct net *net, int sock, const char *name)
{
	unsigned int i, rx[] = { 32, 64, 16, 128, 8, 32 }, tx[] = { 64, 32, 128, 128, 32, 64 };
	unsigned int turns = 0, was[QUEUES] = { LARGEST, LARGEST }, changes[QUEUES] = { 0 };

	for (; turns < 60; turns++) {
		i = turns % 6;
		if (resize(sock, name, rx[i], tx[i]))
			errx(1, "resize %u to %u and %u: %s", turns, rx[i], tx[i], strerror(errno));
		changes[0] += rx[i] != was[0];
		changes[1] += tx[i] != was[1];
		was[0] = rx[i];
		was[1] = tx[i];
		expect_queue(net, 0, rx[i]);
		expect_queue(net, 1, tx[i]);
		expect_filled(net, rx[i]);
	}
	for (i = 0; i < QUEUES; i++)
		if (net->resets[i] != changes[i] || net->enables[i] != changes[i])
			errx(1, "virtqueue %u: expected %u resets, saw %u, and enabled again %u", i,
			     changes[i], net->resets[i], net->enables[i]);
	return turns;
}

/* The back-end keeps the queue: the device has to end, and the driver keeps its buffers. */
static void refused(struct net *net, int sock, const char *name)
{
	struct virtio_loopback_state state = { .size = sizeof(state) };
	int tries = 1000;

	net->refuse = true;
	if (!resize(sock, name, 16, 32))
		errx(1, "a reset that is refused: expected an error, saw none");
	do {
		if (ioctl(net->fd, VIRTIO_LOOPBACK_GET_STATE, &state))
			err(1, "GET_STATE");
	} while (state.state != VIRTIO_LOOPBACK_FAILED && tries-- && !usleep(5000));
	if (state.state != VIRTIO_LOOPBACK_FAILED)
		errx(1, "a reset that is refused: expected state %u, saw %u",
		     VIRTIO_LOOPBACK_FAILED, state.state);
	if (!resize(sock, name, 128, 128))
		errx(1, "a device that has ended: expected an error, saw none");
}

int main(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct net net = { .fd = -1 };
	char name[IFNAMSIZ];
	pthread_t thread;
	int tries = 2000;
	unsigned int turns;

	create(&net);
	if (sock < 0 || pthread_create(&thread, NULL, answer, &net))
		err(1, "socket or thread");
	if (ioctl(net.fd, VIRTIO_LOOPBACK_START))
		err(1, "START");
	while (!net.bound && tries-- && !usleep(5000))
		;
	if (net.bound != 1)
		errx(1, "no driver has bound: is virtio_net there?");
	net_interface_find(net.virtio_index, name);
	net_interface_up(name);
	turns = resize_often(&net, sock, name);
	if (!resize(sock, name, 2 * LARGEST, LARGEST))
		errx(1, "a ring of %u: expected a refusal, saw none", 2 * LARGEST);
	refused(&net, sock, name);
	net.stop = true;
	pthread_join(thread, NULL);
	close(net.fd);
	if (!raw_wait_gone(NAME, 10000))
		errx(1, "the device has not gone with its file");
	printf("%u resizes\n", turns);
	return 0;
}
