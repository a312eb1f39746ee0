// SPDX-License-Identifier: BSD-3-Clause
/* virtio-loopback-adapter: one virtio device of this kernel, served by a vhost-user back-end. */
#include <errno.h>
#include <stdio.h>

#include "adapter/adapter.h"
#include "adapter/manager.h"
#include "common/log.h"
#include "common/standard-fds.h"

static int set_up(struct adapter *a)
{
	int ret;

	/* With others there is nothing to go on with, and so one begins. */
	if (a->options->takeover && a->options->transport->succession) {
		ret = adapter_takeover(a);
		/* as a service manager says it: go on, or begin */
		if (ret != -ENOENT || !a->options->type.id)
			return ret;
		failure_clear(&a->failure);
	}
	ret = adapter_open(a);
	if (!ret)
		ret = adapter_connect(a);
	if (ret)
		return ret;
	ret = adapter_confine(a);
	return ret ? ret : adapter_create(a);
}

static int serve(const struct adapter_options *options)
{
	/* Not on the stack of main(): its memory is locked as a whole. */
	static struct adapter adapter;
	struct adapter *a = &adapter;
	int ret;

	adapter_init(a, options);
	ret = set_up(a);
	if (ret) {
		a->error = ret;
		a->exit_status = 1;
		if (options->takeover && !options->type.id && (ret == -ENOENT || ret == -EBUSY))
			a->exit_status = EXIT_NOTHING_TO_TAKE_OVER;
	} else {
		adapter_run(a);
	}
	ret = a->exit_status;
	adapter_finish(a);
	manager_finish();
	return ret;
}

int main(int argc, char **argv)
{
	struct adapter_options options;
	struct failure failure = { 0 };

	standard_fds_fill();
	log_init(PROGRAM, LOG_LEVEL_NOTICE);
	manager_init();
	if (options_parse(&options, argc, argv, &failure)) {
		log_error("%s", failure.text);
		return 2;
	}
	if (options.help) {
		options_usage();
		return 0;
	}
	if (options.version) {
		printf("%s %s\n", PROGRAM, PACKAGE_VERSION);
		return 0;
	}
	if (options.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	return serve(&options);
}
