/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the pictures go: one of several ways, each a file of its own and a build option. */
#ifndef DISPLAY_OUTPUT_H
#define DISPLAY_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/failure.h"
#include "display/head.h"

struct display;
struct output;

struct output_ops {
	const char *name;
	const char *arg; /* what may stand behind "NAME=", for --help; NULL: nothing */
	bool arg_needed;
	bool input; /* somebody can type and point there */
	bool wide; /* its libraries use more of the kernel than can be listed */
	bool connects; /* ... and connect to a server of windows */

	/*
	 * @arg: NULL when none was given. All that needs privileges is done here, or by its
	 * libraries. Sets output->priv.
	 */
	int (*open)(struct output *output, const char *arg, struct failure *failure);

	/* The head has another size, or is off (width 0) */
	void (*mode)(struct output *output, struct head *head);

	/* Pixels have changed; called for each message: gather them */
	void (*damage)(struct output *output, struct head *head, const struct rect *rect);

	/* NULL: no need. Show what was gathered: the picture goes in a moment. */
	void (*settle)(struct output *output, struct head *head);

	void (*close)(struct output *output);

	/* NULL: none. The folder that it writes to, which stays open */
	int (*folder)(const struct output *output);

	/*
	 * NULL: yes. Whether another user than root can go on with it; what it has made here is
	 * that user's then.
	 */
	bool (*give)(struct output *output, uid_t uid);

	/* NULL: no. It writes to files of others than the user who runs it. */
	bool (*needs_override)(struct output *output);
};

struct output {
	const struct output_ops *ops; /* NULL: none is open */
	struct display *display;
	void *priv;
};

/* output_find() - by its name; NULL: this build has none such */
const struct output_ops *output_find(const char *name, size_t len);

/* output_names() - "png=DIR, none", for messages and --help */
const char *output_names(void);

/**
 * output_open() - open what --mode says
 * @mode:	NAME or NAME=ARGUMENT
 *
 * Return: 0, or a negative errno with the reason in words.
 */
int output_open(struct display *display, const char *mode, struct failure *failure);

/* These take an output that is not open. */
void output_mode(struct output *output, struct head *head);
void output_damage(struct output *output, struct head *head, const struct rect *rect);
void output_settle(struct output *output, struct head *head);
void output_close(struct output *output);

extern const struct output_ops output_none;
extern const struct output_ops output_png;
extern const struct output_ops output_vnc;
extern const struct output_ops output_sdl;

#endif
