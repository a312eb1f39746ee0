/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clean-up attributes for what is local to one function: descriptors and heap memory.
 *
 *	_cleanup_close_ int fd = open(...);	closed when fd goes out of scope
 *	return fd_steal(&fd);			... unless it was handed on
 */
#ifndef VL_COMMON_CLEANUP_H
#define VL_COMMON_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/**
 * fd_close() - close a descriptor and forget it
 * @fd:	the descriptor, or a negative number for none; -1 afterwards
 *
 * Keeps errno, so that it can be used on error paths.
 */
static inline void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/**
 * fd_steal() - hand a descriptor on to a new owner
 * @fd:	the descriptor; -1 afterwards
 *
 * Return: what *@fd was.
 */
static inline int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

#define _cleanup_close_ _cleanup_(fd_close)
#define _cleanup_free_ _cleanup_(cleanup_free)

/* ptr_steal() - hand a heap pointer on to a new owner; the old name is NULL afterwards */
#define ptr_steal(p)                         \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

#endif
