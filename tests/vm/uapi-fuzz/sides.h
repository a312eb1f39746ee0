/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SIDES_H
#define SIDES_H

#include <stdbool.h>

/*
 * sides_escape() - for the handler of SIGBUS: this thread has touched what nobody shows
 *
 * Return: false if it has not; else it does not return.
 */
bool sides_escape(void);

#endif
