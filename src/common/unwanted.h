/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that others send and that nobody here wants. Whoever lets go of the last reference to one
 * waits for as long as it likes, and no signal ends that: close() of a file on FUSE asks a process,
 * and that of a TCP socket waits for its peer (SO_LINGER). What such a wait would be for is left
 * open instead: the end of the process waits for no peer.
 *
 * Each of these is told by -EBADFD. Whoever is told gives the peer up for good: otherwise one more
 * would stay open with each new connection.
 */
#ifndef VL_COMMON_UNWANTED_H
#define VL_COMMON_UNWANTED_H

/**
 * unwanted_forget() - get rid of a descriptor that came in
 * @fd:		-1 afterwards
 *
 * Return: 0, or -EBADFD: it is no file in memory (tmpfs, hugetlbfs), and stays open.
 */
int unwanted_forget(int *fd);

#endif
