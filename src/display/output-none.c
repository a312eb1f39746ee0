// SPDX-License-Identifier: BSD-3-Clause
/* Shows nothing: the desktop runs, and nobody looks. */
#include "display/output.h"

static int none_open(struct output *output, const char *arg, struct failure *failure)
{
	(void)output;
	(void)arg;
	(void)failure;
	return 0;
}

static void none_mode(struct output *output, struct head *head)
{
	(void)output;
	(void)head;
}

static void none_damage(struct output *output, struct head *head, const struct rect *rect)
{
	(void)output;
	(void)head;
	(void)rect;
}

static void none_close(struct output *output)
{
	(void)output;
}

const struct output_ops output_none = {
	.name = "none",
	.open = none_open,
	.mode = none_mode,
	.damage = none_damage,
	.close = none_close,
};
