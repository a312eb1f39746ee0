/* SPDX-License-Identifier: BSD-3-Clause */
/* All back-ends that are installed with a descriptor, for people and for programs. */
#ifndef CLI_BACKEND_LIST_H
#define CLI_BACKEND_LIST_H

#include <stdbool.h>

/**
 * backend_list_show() - write them to standard output, and what is wrong with others to the log
 * @json:	not as a table
 *
 * Return: the exit status.
 */
int backend_list_show(bool json);

#endif
