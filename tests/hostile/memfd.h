/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end can do to the file whose memory it shares. */
#ifndef HOSTILE_MEMFD_H
#define HOSTILE_MEMFD_H

#include <stddef.h>
#include <sys/types.h>

/* memfd_punch() - a hole */
void memfd_punch(int fd, off_t offset, off_t size);

/**
 * memfd_stall() - begin a write that never ends: the kernel holds the file's lock meanwhile
 * @fd:	 to be written to, at its start, by a thread of its own; stays open
 *
 * Needs the privilege to have the kernel's faults wait (userfaultfd(2)).
 */
void memfd_stall(int fd);

#endif
