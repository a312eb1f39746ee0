// SPDX-License-Identifier: BSD-3-Clause
#include "common/unwanted.h"

#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"

int unwanted_forget(int *fd)
{
	if (*fd < 0)
		return 0;
	/* answered without asking the file system: those that have seals wait for nobody */
	if (fcntl(*fd, F_GET_SEALS) < 0) {
		*fd = -1;
		return -EBADFD;
	}
	fd_close(fd);
	return 0;
}
