/* SPDX-License-Identifier: BSD-3-Clause */
/* The arguments of a verb with few options. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>

struct arguments_flag {
	const char *name; /* without its dashes; NULL ends the list */
	bool *given;
	char **value; /* of an option that has one; NULL: it is a flag */
};

#define ARGUMENTS_MAX_FLAGS 8

enum arguments_names {
	ARGUMENTS_NO_NAME,
	ARGUMENTS_MAYBE_A_NAME,
	ARGUMENTS_ONE_NAME, /* of a device */
};

/**
 * arguments_read() - read them; what is wrong is said here, and so is the help
 * @argc, @argv: the verb is the first
 * @flags:	at most ARGUMENTS_MAX_FLAGS; NULL: none but --help
 * @name:	NULL when there is none; may be NULL where none may be given
 * @usage:	prints the help
 *
 * Return: -1: go on; else the exit status.
 */
int arguments_read(int argc, char **argv, const struct arguments_flag *flags,
		   enum arguments_names names, const char **name, void (*usage)(void));

#endif
