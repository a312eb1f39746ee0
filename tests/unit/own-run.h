/* SPDX-License-Identifier: BSD-3-Clause */
/* A /run of this program's own, with a state directory: a mount that nobody else sees. */
#ifndef TEST_OWN_RUN_H
#define TEST_OWN_RUN_H

#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "common/state-dir.h"

static bool own_run; /* it is there */

/* own_run_make() - before the tests; where it cannot be made they are skipped */
static inline int own_run_make(void **state)
{
	(void)state;
	own_run = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		  mount("none", "/run", "tmpfs", 0, NULL) == 0 &&
		  mkdir(STATE_DIR, STATE_DIR_MODE) == 0;
	return 0;
}

/* own_run_need() - of a test that is skipped without it */
static inline void own_run_need(void)
{
	if (!own_run) {
		print_message("needs a mount of its own: only root has one\n");
		skip();
	}
}

#endif
