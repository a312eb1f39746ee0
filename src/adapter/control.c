// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/printable.h"
#include "common/unwanted.h"
#include "common/util.h"

int control_init(struct control *control, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	size_t i;

	control->listener = -1;
	for (i = 0; i < ARRAY_SIZE(control->clients); i++)
		control->clients[i] = -1;
	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unwanted_refuse(fd, true);
	/* The lock of this name is held, so what is there is a dead process's. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (chmod(path, 0600) < 0 || listen(fd, CONTROL_CLIENTS_MAX) < 0) {
		int error = errno;

		unlink(path);
		return -error;
	}
	control->listener = fd_steal(&fd);
	return 0;
}

void control_finish(struct control *control)
{
	size_t i;

	fd_close(&control->listener);
	for (i = 0; i < ARRAY_SIZE(control->clients); i++)
		fd_close(&control->clients[i]);
}

static int peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return 0;
	return peer.uid == 0 || peer.uid == geteuid();
}

void control_accept(struct control *control)
{
	_cleanup_close_ int fd = -1;
	size_t i;

	fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || !peer_allowed(fd))
		return;
	for (i = 0; i < ARRAY_SIZE(control->clients); i++) {
		if (control->clients[i] < 0) {
			control->clients[i] = fd_steal(&fd);
			return;
		}
	}
	log_ratelimited(LOG_LEVEL_WARNING,
			"too many connections to the control socket: one refused");
}

/* At once. */
static bool peer_waits(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) == 0;
}

void control_ready(struct control *control, unsigned int i, control_handler_t handler,
		   void *context)
{
	char order[128], answer[CONTROL_PACKET_MAX];
	ssize_t n;

	n = unwanted_recv(control->clients[i], order, sizeof(order) - 1);
	if (n <= 0) {
		if (n == -EBADFD)
			control->clients[i] = -1; /* left open: see common/unwanted.h */
		else if (n != -EAGAIN)
			fd_close(&control->clients[i]);
		return;
	}
	order[n] = '\0';
	order[strcspn(order, "\n")] = '\0';
	answer[0] = '\0';
	handler(context, order, peer_waits(control->clients[i]), answer, sizeof(answer));
	if (send(control->clients[i], answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		fd_close(&control->clients[i]);
}

/* Whoever listens there can be another user. */
static int ask(int fd, const char *path, const char *order, char *answer, size_t size,
	       deadline_t deadline)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	ssize_t n;
	int ret;

	strcpy(addr.sun_path, path); /* control_order() has checked that it fits */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (send(fd, order, strlen(order), MSG_NOSIGNAL) < 0)
		return -errno;
	ret = poll_fd(fd, POLLIN, deadline);
	if (ret < 0)
		return ret;
	n = unwanted_recv(fd, answer, size - 1);
	if (n < 0)
		return n == -EBADFD ? -EPROTO : (int)n;
	answer[n] = '\0';
	printable_lines(answer);
	return n ? 0 : -ECONNRESET;
}

int control_order(const char *path, const char *order, char *answer, size_t size,
		  deadline_t deadline)
{
	int fd, ret;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unwanted_refuse(fd, true);
	ret = ask(fd, path, order, answer, size, deadline);
	unwanted_close_packets(&fd);
	return ret;
}
