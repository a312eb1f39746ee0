/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer that sends what no codec would: any bytes, with any number of descriptors. */
#ifndef RAW_PEER_H
#define RAW_PEER_H

#include <stddef.h>

#define RAW_PEER_MAX_FDS 64

/**
 * raw_peer_send() - one sendmsg(), without waiting
 * @sock:	a connected socket
 * @bytes:	what is sent
 * @len:	bytes
 * @fd:	the descriptor that goes with it
 * @copies:	so many times, at most RAW_PEER_MAX_FDS
 *
 * Return: bytes sent, or -1 with errno set.
 */
long raw_peer_send(int sock, const void *bytes, size_t len, int fd, unsigned int copies);

/* raw_peer_send_urgent() - the same; the last byte with MSG_OOB, and of one byte the descriptor */
long raw_peer_send_urgent(int sock, const void *bytes, size_t len, int fd, unsigned int copies);

#endif
