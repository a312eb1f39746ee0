/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outcome of set-up, one line to whoever started the adapter (--ready-fd):
 *
 *	ok PARENT VIRTIO BOUND		numbers of the two devices; 1: a driver took it
 *	error ERRNO TEXT
 */
#ifndef ADAPTER_REPORT_H
#define ADAPTER_REPORT_H

#include <stdbool.h>

#include "common/failure.h"

#define REPORT_MAX 512

/*
 * Both close the descriptor; @fd < 0: nobody asked. Return: 0, or -EPIPE when the one who asked is
 * gone.
 */
int report_ok(int fd, int parent, int virtio_index, bool bound);
int report_error(int fd, int error, const char *text);

/**
 * report_quote() - add to a failure what was said in the log
 * @log:	its path, NULL: there is none
 * @self:	lines that begin with this name are our own
 * @failure:	worded already
 *
 * A process that does not come up says why in the log, which is about to be removed: its last line
 * is the best reason there is.
 */
void report_quote(const char *log, const char *self, struct failure *failure);

#endif
