/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that others send and that nobody here wants. Whoever lets go of the last reference to one
 * waits for as long as it likes, and no signal ends that: close() of a file on FUSE asks a process,
 * and that of a TCP socket waits for its peer (SO_LINGER). That holds for those too that recvmsg()
 * has no room for, and for those that are in the queue of a socket that is closed: MSG_DONTWAIT
 * does not help.
 *
 * From Linux 6.16 on a socket can refuse them, and who sends one has an error. Before, a socket is
 * looked at before it is read or closed. What cannot be closed without such a wait is left open:
 * the end of the process waits for no TCP peer. That is told by -EBADFD, and whoever is told gives
 * the peer up for good: otherwise one more would stay open with each new connection.
 */
#ifndef VL_COMMON_UNWANTED_H
#define VL_COMMON_UNWANTED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/**
 * unwanted_refuse() - whether descriptors can be sent to a socket
 * @sock:	before it is connected, or before its other end is given away
 * @refuse:	none from now on; those that are in the queue stay there
 *
 * An accepted socket has it from its listener. From then on a look at it also sees what is sent out
 * of band, so this is for one that comes from elsewhere, too.
 *
 * Return: 0, or a negative errno when this kernel cannot: then the others here do more.
 */
int unwanted_refuse(int sock, bool refuse);

/**
 * unwanted_look() - what is there, if no descriptor is with it
 * @sock:	the socket, whether it refuses them or not
 * @buf:	a copy goes here
 * @len:	room there
 *
 * So many bytes, and no more, can be read then without a wait.
 *
 * Return: their number, 0 at the end, -EBADFD when a descriptor comes with them, or with what is in
 * the queue of a stream behind them; or another negative errno.
 */
ssize_t unwanted_look(int sock, void *buf, size_t len);

/* unwanted_recv() - recv() without waiting, of a socket that refuses; as unwanted_look() returns */
ssize_t unwanted_recv(int sock, void *buf, size_t len);

/**
 * unwanted_close() - end a stream for all who hold it, and close it
 * @sock:	connected or not; -1 afterwards
 *
 * Return: 0, or -EBADFD: there are descriptors in its queue, and it stays open.
 */
int unwanted_close(int *sock);

/*
 * unwanted_close_packets() - the same for packets, behind the first of which nobody can look: it
 * stays open where this kernel cannot refuse, and is not told. For what is closed once.
 */
void unwanted_close_packets(int *sock);

/**
 * unwanted_forget() - get rid of a descriptor that came in
 * @fd:		-1 afterwards
 *
 * Return: 0, or -EBADFD: it is no file in memory (tmpfs, hugetlbfs), and stays open.
 */
int unwanted_forget(int *fd);

#endif
