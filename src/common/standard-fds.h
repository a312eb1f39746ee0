/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VL_COMMON_STANDARD_FDS_H
#define VL_COMMON_STANDARD_FDS_H

/**
 * standard_fds_fill() - descriptors 0, 1 and 2 are open
 *
 * A program can be started without them. The first files that it opens would have their numbers,
 * and what it says would be written into those: into a disk, for one. Those that are missing
 * become /dev/null. To be called first of all; ends the program where that cannot be had.
 */
void standard_fds_fill(void);

#endif
