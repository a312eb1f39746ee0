/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One sendmsg() or recvmsg() with descriptors, without waiting: a piece of a message. What is a
 * message, and when it is whole, is the callers' to know.
 *
 * Both repeat what a signal interrupts. A peer that has gone is -ECONNRESET, however the kernel
 * tells it: end of file, ECONNRESET or EPIPE.
 */
#ifndef VHOST_USER_SOCKET_H
#define VHOST_USER_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/**
 * socket_send() - send what the socket takes
 * @sock:	a connected stream socket
 * @iov:	@niov parts, not empty together
 * @niov:	their number
 * @fds:	descriptors that go with the first byte; they stay the caller's
 * @nfds:	their number, at most VHOST_USER_MAX_FDS; 0 after the first piece of a message
 *
 * Return: bytes sent, and with them all descriptors; -EAGAIN, -ECONNRESET, or another negative
 * errno.
 */
ssize_t socket_send(int sock, struct iovec *iov, size_t niov, const int *fds, unsigned int nfds);

/**
 * socket_receive() - take in what is there
 * @sock:	a connected socket, of a stream or of packets of one byte at least
 * @buf:	where it goes
 * @len:	room there, at least 1
 * @fds:	descriptors of the message so far; those that come are added
 * @nfds:	their number
 * @max:	room in @fds, at most VHOST_USER_MAX_FDS
 *
 * What is in @fds is the caller's to close, on an error too: there may be more than before. What
 * there is no room for does not come into this process, which can have to wait for that all the
 * same: see common/unwanted.h.
 *
 * Return: bytes received, at least 1; -EAGAIN, -ECONNRESET, -EPROTO when more descriptors came than
 * there is room for, or another negative errno.
 */
ssize_t socket_receive(int sock, void *buf, size_t len, int *fds, unsigned int *nfds,
		       unsigned int max);

/**
 * socket_receive_all() - the same from a peer that is not to say how long that takes
 *
 * All descriptors come in, so that the kernel drops none. Those that there is no room for are
 * abandoned.
 *
 * Return: as socket_receive(); -EBADFD when one stays open.
 */
ssize_t socket_receive_all(int sock, void *buf, size_t len, int *fds, unsigned int *nfds,
			   unsigned int max);

#endif
