// SPDX-License-Identifier: BSD-3-Clause
#include "common/unwanted.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "common/cleanup.h"

#define PIECE 4096
#define PIECES 1024 /* more than a socket takes, unless somebody has allowed that */

static bool kernel_refuses; /* as it said last */

/*
 * A byte that is sent out of band (MSG_OOB, from Linux 5.15 on) is passed over where it is looked
 * for what comes next, and the next read drops it, with its descriptor. In line it is seen.
 */
static void see_out_of_band(int sock)
{
	const int on = 1;

	setsockopt(sock, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)); /* there need not be any */
}

int unwanted_refuse(int sock, bool refuse)
{
	const int pass = !refuse;

	see_out_of_band(sock);
	kernel_refuses = setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &pass, sizeof(pass)) == 0;
	return kernel_refuses ? 0 : -errno;
}

/*
 * Nothing is taken out of the queue, so that no reference is the last one. MSG_CTRUNC says that
 * there was something that the control buffer, which is none, has no room for.
 */
ssize_t unwanted_look(int sock, void *buf, size_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do {
		n = recvmsg(sock, &mh, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return mh.msg_flags & MSG_CTRUNC ? -EBADFD : n;
}

ssize_t unwanted_recv(int sock, void *buf, size_t len)
{
	ssize_t n;

	if (!kernel_refuses) {
		n = unwanted_look(sock, buf, len);
		if (n <= 0)
			return n;
		len = (size_t)n; /* more can have come by now, with a descriptor */
	}
	do {
		n = recv(sock, buf, len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* As much as is known to have no descriptor is read, which leads on to what is behind it. */
static ssize_t skip_piece(int sock)
{
	static char piece[PIECE]; /* nobody reads it */
	ssize_t n = unwanted_look(sock, piece, sizeof(piece));

	if (n > 0 && recv(sock, piece, (size_t)n, MSG_DONTWAIT) != n)
		return -EBADFD;
	return n;
}

int unwanted_close(int *sock)
{
	unsigned int i;
	ssize_t n = 1;

	if (*sock < 0)
		return 0;
	see_out_of_band(*sock);
	/* nothing comes any more behind what is seen */
	shutdown(*sock, SHUT_RDWR);
	for (i = 0; i < PIECES && n > 0; i++)
		n = skip_piece(*sock);
	if (n == -EBADFD || n > 0) {
		*sock = -1;
		return -EBADFD;
	}
	fd_close(sock);
	return 0;
}

void unwanted_close_packets(int *sock)
{
	char byte;

	if (*sock < 0)
		return;
	shutdown(*sock, SHUT_RDWR);
	/* a packet can be empty, so 0 is not the end */
	if (kernel_refuses || unwanted_look(*sock, &byte, 1) == -ENOTCONN)
		fd_close(sock);
	*sock = -1;
}

int unwanted_forget(int *fd)
{
	if (*fd < 0)
		return 0;
	/* answered without asking the file system: those that have seals wait for nobody */
	if (fcntl(*fd, F_GET_SEALS) < 0) {
		*fd = -1;
		return -EBADFD;
	}
	fd_close(fd);
	return 0;
}
