// SPDX-License-Identifier: BSD-3-Clause
/* The interface under vhost-user-can, without one: what is asked of the kernel is answered here. */
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/can/socketcan.h"
#include "check.h"
#include "common/deadline.h"
#include "common/log.h"

#define PATIENCE_MS 10000

static struct kernel {
	bool gone; /* the sockets' interface */
	bool no_links; /* they cannot be watched */
	short flags;
} kernel; /* set while no thread searches */

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *t);

int __wrap_socket(int domain, int type, int protocol)
{
	(void)protocol;
	if (domain == AF_NETLINK && kernel.no_links) {
		errno = EMFILE;
		return -1;
	}
	(void)type;
	return __real_socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t size)
{
	(void)fd;
	(void)addr;
	(void)size;
	return 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	(void)fd;
	(void)level;
	(void)option;
	(void)value;
	(void)size;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct ifreq *req;
	va_list ap;

	(void)fd;
	va_start(ap, request);
	req = va_arg(ap, struct ifreq *);
	va_end(ap);
	if (request == SIOCGIFHWADDR)
		req->ifr_hwaddr.sa_family = ARPHRD_CAN;
	else if (request == SIOCGIFMTU)
		req->ifr_mtu = 72;
	else if (request == SIOCGIFINDEX)
		req->ifr_ifindex = 1;
	else
		req->ifr_flags = kernel.flags;
	return 0;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *t)
{
	(void)fd;
	(void)msgs;
	(void)n;
	(void)flags;
	(void)t;
	errno = kernel.gone ? ENODEV : EAGAIN;
	return -1;
}

static struct socketcan can;

static void begin(void)
{
	kernel = (struct kernel){ .flags = IFF_UP | IFF_RUNNING };
	assert_int_equal(socketcan_open(&can, "can9"), 0);
}

static int start(void)
{
	return can.bus.ops->start(&can.bus, true);
}

/* The interface goes, and the search for it cannot be made: it is made at the next start. */
static void test_search_again(void **state)
{
	deadline_t deadline;
	int ret, tries = 0;

	(void)state;
	begin();
	assert_int_equal(start(), 0);
	can.bus.ops->stop(&can.bus);
	kernel.gone = true;
	kernel.no_links = true;
	assert_int_equal(start(), -ENODEV);
	assert_true(can.searching);
	poll(NULL, 0, 50); /* until it has failed */
	kernel.no_links = false;
	kernel.gone = false;
	deadline = deadline_after_ms(PATIENCE_MS);
	while ((ret = start()) && !deadline_passed(deadline)) {
		tries++;
		poll(NULL, 0, 5);
	}
	print_message("%d starts without the interface\n", tries);
	assert_int_equal(ret, 0);
	socketcan_close(&can);
}

/* It is down, and its driver does not believe it. */
static void test_many_starts(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	static char text[65536];
	unsigned int i, lines = 0;
	ssize_t len;

	(void)state;
	begin();
	assert_true(log >= 0 && saved >= 0);
	dup2(log, STDERR_FILENO);
	for (i = 0; i < 200; i++) {
		kernel.flags = i % 2 ? IFF_UP : 0;
		assert_int_equal(start(), -ENETDOWN);
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	len = pread(log, text, sizeof(text), 0);
	while (len-- > 0)
		lines += text[len] == '\n';
	print_message("%u lines about 200 starts\n", lines);
	assert_in_range(lines, 2, 100);
	close(log);
	socketcan_close(&can);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_search_again),
		cmocka_unit_test(test_many_starts),
	};

	log_init("test-socketcan", LOG_LEVEL_NOTICE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
