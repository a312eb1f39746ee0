// SPDX-License-Identifier: BSD-3-Clause
#include "backends/can/socketcan.h"

#include <errno.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/util.h"

/*
 * Room for what comes in while this process does not run: the kernel counts about 800 bytes for a
 * frame. Without privilege the limit is net.core.rmem_max.
 */
#define RECEIVE_BUFFER (4 << 20)
/* Frames of one system call */
#define BATCH 32

static struct socketcan *to_socketcan(struct can_bus *bus)
{
	return container_of(bus, struct socketcan, bus);
}

/* ---- opening ---- */

static int set_option(int sock, int option, const void *value, socklen_t size)
{
	return setsockopt(sock, SOL_CAN_RAW, option, value, size) < 0 ? -errno : 0;
}

/* Nothing is let through, until open_gate(). */
static int shut_gate(int sock)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &nothing };

	return setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ?
		       -errno :
		       0;
}

static int open_gate(int sock)
{
	int unused = 0;

	return setsockopt(sock, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0 ?
		       -errno :
		       0;
}

/* Return: the interface's index, or a negative errno after a line unless it is not there. */
static int check_interface(struct socketcan *can, int sock)
{
	struct ifreq req = { 0 };

	memcpy(req.ifr_name, can->bus.name, strlen(can->bus.name));
	if (ioctl(sock, SIOCGIFHWADDR, &req) < 0)
		return -errno;
	if (req.ifr_hwaddr.sa_family != ARPHRD_CAN) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: is not a CAN interface", can->bus.name);
		return -EINVAL;
	}
	if (ioctl(sock, SIOCGIFMTU, &req) < 0)
		return -errno;
	can->fd_capable = req.ifr_mtu >= (int)CANFD_MTU;
	return ioctl(sock, SIOCGIFINDEX, &req) < 0 ? -errno : req.ifr_ifindex;
}

static int bind_interface(struct socketcan *can, int sock, int own)
{
	can_err_mask_t errors = CAN_ERR_BUSOFF | CAN_ERR_CRTL;
	struct sockaddr_can addr = { .can_family = AF_CAN };
	int room = RECEIVE_BUFFER, fd_frames = 1, ret;

	addr.can_ifindex = check_interface(can, sock);
	if (addr.can_ifindex < 0)
		return addr.can_ifindex;
	if (setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	ret = shut_gate(sock);
	if (!ret)
		ret = set_option(sock, CAN_RAW_ERR_FILTER, &errors, sizeof(errors));
	if (!ret)
		ret = set_option(sock, CAN_RAW_FD_FRAMES, &fd_frames, sizeof(fd_frames));
	if (!ret)
		ret = set_option(sock, CAN_RAW_RECV_OWN_MSGS, &own, sizeof(own));
	if (!ret && bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		ret = -errno;
	return ret;
}

static int make_socket(struct socketcan *can, int own)
{
	_cleanup_close_ int sock =
		socket(PF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW);
	int ret;

	if (sock < 0)
		return -errno;
	ret = bind_interface(can, sock, own);
	return ret ? ret : fd_steal(&sock);
}

static void close_sockets(struct socketcan *can)
{
	fd_close(&can->socks[0]);
	fd_close(&can->socks[1]);
	can->sock = -1;
}

/* Return: 0 or a negative errno; -ENODEV: there is no such interface. */
static int make_sockets(struct socketcan *can)
{
	int own;

	for (own = 0; own <= 1; own++) {
		can->socks[own] = make_socket(can, own);
		if (can->socks[own] < 0) {
			int ret = can->socks[own];

			close_sockets(can);
			return ret;
		}
	}
	can->sock = can->socks[0];
	return 0;
}

/* ---- an interface that has gone ---- */

/* Return: true when links have changed, false when the search is over. */
static bool wait_links(const struct socketcan *can, int links)
{
	struct pollfd fds[] = { { .fd = links, .events = POLLIN },
				{ .fd = can->stop_fd, .events = POLLIN } };
	char news[4096];

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	if (fds[1].revents)
		return false;
	while (recv(links, news, sizeof(news), MSG_DONTWAIT) > 0)
		;
	return true;
}

static int watch_links(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	_cleanup_close_ int links = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (links < 0 || bind(links, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return fd_steal(&links);
}

static void look_for_interface(struct socketcan *can)
{
	_cleanup_close_ int links = watch_links();

	close_sockets(can);
	if (links < 0) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: links cannot be watched: %s", can->bus.name,
				strerror(-links));
		return;
	}
	do {
		can->found = make_sockets(can) == 0;
	} while (!can->found && wait_links(can, links));
	if (can->found)
		log_notice("%s: the interface is back", can->bus.name);
}

/* The main thread does not touch the sockets before it sees that the search is over. */
static void *search(void *data)
{
	struct socketcan *can = data;

	look_for_interface(can);
	__atomic_store_n(&can->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Ends the search; Return: true when there are sockets again. */
static bool end_search(struct socketcan *can)
{
	pthread_join(can->thread, NULL);
	fd_close(&can->stop_fd);
	can->searching = false;
	if (can->found)
		can->gone = false;
	return can->found;
}

static void begin_search(struct socketcan *can)
{
	int ret;

	if (can->searching)
		return;
	can->found = false;
	can->over = false;
	can->stop_fd = eventfd(0, EFD_CLOEXEC);
	ret = can->stop_fd < 0 ? errno : pthread_create(&can->thread, NULL, search, can);
	if (ret) {
		log_ratelimited(LOG_LEVEL_ERROR,
				"%s: the interface has gone, and cannot be waited for: %s",
				can->bus.name, strerror(ret));
		fd_close(&can->stop_fd);
		return;
	}
	can->searching = true;
}

/* Return: whether there is an interface. A search that could not be made is made again. */
static bool present(struct socketcan *can)
{
	if (!can->gone)
		return true;
	if (can->searching && __atomic_load_n(&can->over, __ATOMIC_ACQUIRE) && end_search(can))
		return true;
	begin_search(can);
	return false;
}

/* ---- the bus ---- */

/* A controller of the machine that is off its bus itself has no carrier. */
static int check_up(struct socketcan *can)
{
	struct ifreq req = { 0 };

	memcpy(req.ifr_name, can->bus.name, strlen(can->bus.name));
	if (ioctl(can->sock, SIOCGIFFLAGS, &req) < 0)
		return -errno;
	if (!(req.ifr_flags & IFF_UP)) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: the interface is down (ip link set %s up)",
				can->bus.name, can->bus.name);
		return -ENETDOWN;
	}
	if (!(req.ifr_flags & IFF_RUNNING)) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: the interface is off its bus",
				can->bus.name);
		return -ENETDOWN;
	}
	return 0;
}

/* What is left from before; also a pending error of the socket. */
static void drain(struct socketcan *can)
{
	struct can_received received[BATCH];
	int n;

	do
		n = can->bus.ops->receive(&can->bus, received, BATCH);
	while (n > 0);
}

/* Draining tells that the interface went, too. */
static bool choose_socket(struct socketcan *can, bool echo)
{
	if (!present(can))
		return false;
	can->sock = can->socks[echo];
	drain(can);
	return !can->gone;
}

static int bus_start(struct can_bus *bus, bool echo)
{
	struct socketcan *can = to_socketcan(bus);
	bool chosen = choose_socket(can, echo);
	int ret;

	/* The first try may be what tells that it has gone; then the second begins to search. */
	if (!chosen)
		chosen = choose_socket(can, echo);
	if (!chosen) {
		log_ratelimited(LOG_LEVEL_ERROR, "%s: the interface has gone", bus->name);
		return -ENODEV;
	}
	ret = check_up(can);
	if (ret)
		return ret;
	ret = open_gate(can->sock);
	if (ret)
		log_ratelimited(LOG_LEVEL_ERROR, "%s: the socket's filter: %s", bus->name,
				strerror(-ret));
	return ret;
}

static void bus_stop(struct can_bus *bus)
{
	struct socketcan *can = to_socketcan(bus);

	if (present(can))
		shut_gate(can->sock);
}

/* The socket belongs to an interface that is no more; it would only say so again. */
static int check_gone(struct socketcan *can, int error)
{
	if (error == -ENODEV || error == -ENXIO)
		can->gone = true;
	return error;
}

static int bus_send(struct can_bus *bus, const struct can_message *message)
{
	struct socketcan *can = to_socketcan(bus);
	size_t size = message->fd ? CANFD_MTU : CAN_MTU;

	if (can->gone)
		return -ENODEV;
	while (send(can->sock, &message->frame, size, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		/* the socket's buffer, or the interface's queue */
		if (errno == EAGAIN || errno == ENOBUFS)
			return -EAGAIN;
		return check_gone(can, -errno);
	}
	return 0;
}

static int bus_receive(struct can_bus *bus, struct can_received *received, unsigned int max)
{
	struct socketcan *can = to_socketcan(bus);
	struct mmsghdr msgs[BATCH] = { 0 };
	struct iovec iov[BATCH];
	int i, n;

	if (can->gone)
		return -ENODEV;
	max = MIN(max, (unsigned int)BATCH);
	for (i = 0; i < (int)max; i++) {
		iov[i].iov_base = &received[i].message.frame;
		iov[i].iov_len = sizeof(received[i].message.frame);
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(can->sock, msgs, max, 0, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : check_gone(can, -errno);
	for (i = 0; i < n; i++) {
		received[i].message.fd = msgs[i].msg_len == CANFD_MTU;
		received[i].own = msgs[i].msg_hdr.msg_flags & MSG_CONFIRM;
	}
	return n;
}

static uint32_t bus_dropped(struct can_bus *bus)
{
	struct socketcan *can = to_socketcan(bus);
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(info);

	/* SO_RXQ_OVFL says it too, but only with the next frame that finds room. */
	if (getsockopt(can->sock, SOL_SOCKET, SO_MEMINFO, info, &size) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}

static int bus_fd(struct can_bus *bus)
{
	return to_socketcan(bus)->sock;
}

static const struct can_bus_ops ops = {
	.start = bus_start,
	.stop = bus_stop,
	.send = bus_send,
	.receive = bus_receive,
	.dropped = bus_dropped,
	.fd = bus_fd,
};

void socketcan_init(struct socketcan *can)
{
	*can = (struct socketcan){
		.bus.ops = &ops,
		.socks = { -1, -1 },
		.sock = -1,
		.stop_fd = -1,
	};
}

int socketcan_open(struct socketcan *can, const char *name)
{
	int ret;

	socketcan_init(can);
	can->bus.name = name;
	if (!name[0] || strlen(name) >= IFNAMSIZ) {
		log_error("%s: is no name of an interface", name);
		return -EINVAL;
	}
	ret = make_sockets(can);
	switch (-ret) {
	case 0:
	case EINVAL: /* has been told */
		break;
	case ENODEV:
		log_error("%s: there is no such interface", name);
		break;
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		log_error("%s: this kernel has no raw CAN sockets (module can_raw, CONFIG_CAN_RAW)",
			  name);
		break;
	default:
		log_error("%s: no raw CAN socket on it: %s", name, strerror(-ret));
		break;
	}
	return ret;
}

void socketcan_close(struct socketcan *can)
{
	uint64_t one = 1;

	if (can->searching) {
		if (write(can->stop_fd, &one, sizeof(one)) < 0)
			log_error("%s: the search cannot be ended: %m", can->bus.name);
		end_search(can);
	}
	close_sockets(can);
}
