// SPDX-License-Identifier: BSD-3-Clause
#include "raw-peer.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static long send_flags(int sock, const void *bytes, size_t len, int fd, unsigned int copies,
		       int flags)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * RAW_PEER_MAX_FDS)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	unsigned int i;

	assert(copies <= RAW_PEER_MAX_FDS);
	if (copies) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * copies);
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * copies);
		for (i = 0; i < copies; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(fd));
	}
	return sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
}

long raw_peer_send(int sock, const void *bytes, size_t len, int fd, unsigned int copies)
{
	return send_flags(sock, bytes, len, fd, copies, 0);
}

long raw_peer_send_urgent(int sock, const void *bytes, size_t len, int fd, unsigned int copies)
{
	return send_flags(sock, bytes, len, fd, copies, MSG_OOB);
}
