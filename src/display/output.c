// SPDX-License-Identifier: BSD-3-Clause
#include "display/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"
#include "display/display.h"

static const struct output_ops *const outputs[] = {
#ifdef HAVE_SDL
	&output_sdl,
#endif
#ifdef HAVE_VNC
	&output_vnc,
#endif
#ifdef HAVE_PNG
	&output_png,
#endif
	&output_none,
};

const struct output_ops *output_find(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(outputs); i++) {
		if (strlen(outputs[i]->name) == len && !memcmp(outputs[i]->name, name, len))
			return outputs[i];
	}
	return NULL;
}

const char *output_names(void)
{
	static char names[80];
	size_t i, used = 0;

	if (names[0])
		return names;
	for (i = 0; i < ARRAY_SIZE(outputs) && used < sizeof(names); i++) {
		const struct output_ops *o = outputs[i];

		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s%s%s%s%s",
					 i ? ", " : "", o->name,
					 o->arg && !o->arg_needed ? "[" : "", o->arg ? "=" : "",
					 o->arg ? o->arg : "",
					 o->arg && !o->arg_needed ? "]" : "");
	}
	return names;
}

int output_open(struct display *display, const char *mode, struct failure *failure)
{
	const char *equals = strchr(mode, '=');
	const char *arg = equals ? equals + 1 : NULL;
	const struct output_ops *ops =
		output_find(mode, equals ? (size_t)(equals - mode) : strlen(mode));
	int ret;

	if (!ops)
		return failure_set(failure, -EINVAL, "--mode %s: this build has %s", mode,
				   output_names());
	if (arg && !ops->arg)
		return failure_set(failure, -EINVAL, "--mode %s: nothing can follow %s", mode,
				   ops->name);
	if (ops->arg_needed && (!arg || !*arg))
		return failure_set(failure, -EINVAL, "--mode %s: %s=%s is needed", mode, ops->name,
				   ops->arg);
	display->output.display = display;
	ret = ops->open(&display->output, arg, failure);
	if (!ret)
		display->output.ops = ops;
	return ret;
}

void output_mode(struct output *output, struct head *head)
{
	if (output->ops)
		output->ops->mode(output, head);
}

void output_damage(struct output *output, struct head *head, const struct rect *rect)
{
	if (output->ops)
		output->ops->damage(output, head, rect);
}

void output_settle(struct output *output, struct head *head)
{
	if (output->ops && output->ops->settle)
		output->ops->settle(output, head);
}

void output_close(struct output *output)
{
	if (output->ops)
		output->ops->close(output);
	output->ops = NULL;
}
