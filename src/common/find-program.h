/* SPDX-License-Identifier: BSD-3-Clause */
/* The programs of this project find one another, installed or in the build folder. */
#ifndef VL_COMMON_FIND_PROGRAM_H
#define VL_COMMON_FIND_PROGRAM_H

#include <stddef.h>

/**
 * find_program() - the program that belongs to this one
 * @path:	room for its path
 * @size:	bytes there
 * @folder:	its folder in the build tree, beside this program's
 * @name:	its name
 *
 * Beside this program, else in the build tree, else where it was to be installed.
 *
 * Return: its path, or @name, for a search in PATH.
 */
const char *find_program(char *path, size_t size, const char *folder, const char *name);

#endif
