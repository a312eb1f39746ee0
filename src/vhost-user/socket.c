// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/unwanted.h"
#include "vhost-user/protocol.h"

/* Room for the descriptors of one message, aligned as a control message wants it */
union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
};

/* ... and of one of any kind: SCM_MAX_FD of the kernel */
#define MESSAGE_MOST_FDS 253
union any_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * MESSAGE_MOST_FDS)];
};

static int socket_error(void)
{
	return errno == EPIPE ? -ECONNRESET : -errno;
}

/* ---- sending ---- */

static void attach_fds(struct msghdr *mh, union fd_control *control, const int *fds,
		       unsigned int nfds)
{
	struct cmsghdr *cmsg;

	memset(control, 0, sizeof(*control));
	mh->msg_control = control->buf;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
}

ssize_t socket_send(int sock, struct iovec *iov, size_t niov, const int *fds, unsigned int nfds)
{
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };
	union fd_control control;
	ssize_t n;

	if (nfds)
		attach_fds(&mh, &control, fds, nfds);
	do {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? socket_error() : n;
}

/* ---- receiving ---- */

/* Takes over those of one message, up to @max. The others are abandoned. */
static int collect_fds(const struct cmsghdr *cmsg, int *fds, unsigned int *nfds, unsigned int max)
{
	size_t i, n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int ret = 0;

	for (i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (*nfds < max)
			fds[(*nfds)++] = fd;
		else if (unwanted_forget(&fd))
			ret = -EBADFD;
		else if (!ret)
			ret = -EPROTO;
	}
	return ret;
}

/* One recvmsg(); @mh: with the room for descriptors that there is to be */
static ssize_t receive(int sock, struct msghdr *mh, int *fds, unsigned int *nfds, unsigned int max)
{
	struct cmsghdr *cmsg;
	ssize_t n;
	int ret = 0;

	do {
		n = recvmsg(sock, mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return socket_error();
	for (cmsg = CMSG_FIRSTHDR(mh); cmsg && !ret; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
			ret = collect_fds(cmsg, fds, nfds, max);
	}
	if (!ret && (mh->msg_flags & MSG_CTRUNC))
		ret = -EPROTO;
	if (ret)
		return ret;
	return n ? n : -ECONNRESET;
}

/*
 * The buffer has room for exactly those that may come. The kernel drops all others, and says so by
 * MSG_CTRUNC.
 */
ssize_t socket_receive(int sock, void *buf, size_t len, int *fds, unsigned int *nfds,
		       unsigned int max)
{
	union fd_control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (*nfds < max) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_LEN(sizeof(int) * (max - *nfds));
	}
	return receive(sock, &mh, fds, nfds, max);
}

ssize_t socket_receive_all(int sock, void *buf, size_t len, int *fds, unsigned int *nfds,
			   unsigned int max)
{
	union any_control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};

	return receive(sock, &mh, fds, nfds, max);
}
