// SPDX-License-Identifier: BSD-3-Clause
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "missing-page.h"

void memfd_punch(int fd, off_t offset, off_t size)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) < 0)
		log_warning("no hole: %s", strerror(errno));
}

static void *from; /* memory that does not come */

static void *write_on(void *arg)
{
	if (pwrite((int)(intptr_t)arg, from, 1, 0) != 1)
		log_warning("the write that should not end: %s", strerror(errno));
	else
		log_warning("the write that should not end has ended");
	return NULL;
}

void memfd_stall(int fd)
{
	pthread_t thread;
	int uffd;

	from = missing_page(&uffd);
	if (!from) {
		log_error("no page that never comes: %s", strerror(errno));
		return;
	}
	if (pthread_create(&thread, NULL, write_on, (void *)(intptr_t)fd))
		log_error("no thread for a write that never ends");
}
