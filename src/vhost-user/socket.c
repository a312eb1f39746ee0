// SPDX-License-Identifier: BSD-3-Clause
#include "vhost-user/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost-user/protocol.h"

/* Room for the descriptors of one message, aligned as a control message wants it */
union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
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

/* Takes over the descriptors of one recvmsg(): all that the control buffer had room for. */
static int collect_fds(struct msghdr *mh, int *fds, unsigned int *nfds)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		size_t n;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + *nfds, CMSG_DATA(cmsg), n * sizeof(int));
		*nfds += (unsigned int)n;
	}
	return mh->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

/*
 * The buffer has room for exactly those that may come. The kernel drops all others, and says so by
 * MSG_CTRUNC: to close one here could take for ever, as its file system likes.
 */
ssize_t socket_receive(int sock, void *buf, size_t len, int *fds, unsigned int *nfds,
		       unsigned int max)
{
	union fd_control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;
	int ret;

	if (*nfds < max) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_LEN(sizeof(int) * (max - *nfds));
	}
	do {
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return socket_error();
	ret = collect_fds(&mh, fds, nfds);
	if (ret)
		return ret;
	return n ? n : -ECONNRESET;
}
