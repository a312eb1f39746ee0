// SPDX-License-Identifier: BSD-3-Clause
#include "common/standard-fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"

void standard_fds_fill(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* the lowest number that is free is this one */
		if (open("/dev/null", O_RDWR) == fd)
			continue;
		log_error("descriptor %d is closed, and /dev/null cannot stand in for it: %m", fd);
		_exit(EXIT_FAILURE);
	}
}
