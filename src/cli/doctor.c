// SPDX-License-Identifier: BSD-3-Clause
#include "cli/doctor.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "common/log.h"

static void doctor_usage(void)
{
	printf("Usage: virtio-loopback doctor [--json] [--quiet]\n"
	       "\n"
	       "Looks for what is wrong: kernel, module, signature, drivers, permissions, limits,\n"
	       "configuration files, devices. Below each finding stands what mends it. Exit status: 0\n"
	       "when nothing is bad, 1 when something is.\n"
	       "\n"
	       "  --json   as a JSON object\n"
	       "  --quiet  only what is not ok, also as JSON\n");
}

static uint64_t limit(int resource)
{
	struct rlimit r;

	if (getrlimit(resource, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return r.rlim_cur;
}

static int examine(bool json, bool quiet)
{
	struct passwd *user = getpwuid(geteuid());
	struct utsname kernel;
	struct doctor d = {
		.root = "",
		.release = kernel.release,
		.user = user ? user->pw_name : "<user>",
		.uid = geteuid(),
		.memlock = limit(RLIMIT_MEMLOCK),
		.nofile = limit(RLIMIT_NOFILE),
	};
	int ret;

	if (uname(&kernel) < 0) {
		log_error("doctor: %s", strerror(errno));
		return 1;
	}
	doctor_check_files(&d);
	doctor_check_devices(&d);
	if (d.failed) {
		log_error("doctor: %s", strerror(ENOMEM));
		ret = 1;
	} else {
		if (json)
			doctor_print_json(&d, !quiet, stdout);
		else
			doctor_print(&d, !quiet, stdout);
		ret = doctor_bad(&d) ? 1 : 0;
	}
	doctor_finish(&d);
	return ret;
}

int command_doctor(int argc, char **argv)
{
	bool json = false, quiet = false;
	const struct arguments_flag flags[] = {
		{ "json", &json, NULL },
		{ "quiet", &quiet, NULL },
		{ NULL, NULL, NULL },
	};
	int status = arguments_read(argc, argv, flags, ARGUMENTS_NO_NAME, NULL, doctor_usage);

	return status < 0 ? examine(json, quiet) : status;
}
