/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process that listens to untrusted peers gives up once it is set up: capabilities, new
 * privileges, system calls. Without libseccomp in the build the calls stay.
 */
#ifndef VL_COMMON_CONFINE_H
#define VL_COMMON_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"

/**
 * confine_privileges() - no new privileges, no capabilities
 * @keep_override:	keep CAP_DAC_OVERRIDE: it goes on writing files of other users
 * @failure:		the reason in words
 *
 * Return: 0 or a negative errno.
 */
int confine_privileges(bool keep_override, struct failure *failure);

/**
 * confine_calls() - from now on only these system calls, and those of the C library's own
 * @calls:	numbers as SCMP_SYS() gives them; those that this machine lacks are passed over
 * @n:		how many
 *
 * A call that is not allowed fails with EPERM.
 */
int confine_calls(const int *calls, size_t n, struct failure *failure);

/*
 * confine_calls_wide() - all but those that no such process needs: executing programs, tracing
 * others, mounting, modules, the machine's settings. For processes with libraries, such as OpenGL
 * drivers, whose calls cannot be listed.
 */
int confine_calls_wide(struct failure *failure);

#endif
