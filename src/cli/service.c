// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the units of a service manager call: prepare, before a device's adapter is started, and
 * backend, to become the back-end of a device.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/config-file.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/modules.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/state-dir.h"
#include "common/word-split.h"

#define LISTEN_FD 3 /* the first that a service manager hands over, sd_listen_fds(3) */

static void prepare_usage(void)
{
	printf("Usage: virtio-loopback prepare NAME\n"
	       "\n"
	       "Makes this machine ready for the adapter of the device that " CONFIG_DIR "/NAME.conf\n"
	       "describes: checks the file, loads the module and the driver, makes the state directory.\n"
	       "For virtio-loopback@.service; needs root.\n");
}

static void backend_usage(void)
{
	printf("Usage: virtio-loopback backend NAME\n"
	       "\n"
	       "Becomes the back-end that [backend] in " CONFIG_DIR "/NAME.conf names, on a listening\n"
	       "socket that the service manager passes on. For virtio-loopback-backend@.service.\n");
}

static void say_mistake(void *context, const char *text)
{
	(void)context;
	log_error("%s", text);
}

/* "NAME", or a path for those who try a file out. */
static int load(const char *name, struct config_file *file, struct adapter_options *options)
{
	char path[PATH_MAX];
	int ret;

	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), CONFIG_DIR "/%s" CONFIG_SUFFIX, name);
	*file = (struct config_file){ .mistake = say_mistake };
	options_init(options);
	ret = config_load(file, path, options);
	if (ret && !file->mistakes)
		log_error("%s: %s", path, strerror(-ret));
	return ret;
}

static int prepare(const char *name)
{
	struct adapter_options options;
	struct failure failure = { 0 };
	struct config_file file;
	int ret;

	ret = load(name, &file, &options);
	if (ret) {
		config_free(&file);
		return EXIT_USAGE;
	}
	ret = state_dir_make(STATE_DIR, &failure);
	if (!ret)
		ret = modules_load_transport(&options, &failure);
	if (!ret)
		modules_load_driver(&options.type);
	else
		log_error("prepare: %s", failure_text(&failure, ret));
	config_free(&file);
	return ret ? 1 : 0;
}

/* The listening socket: LISTEN_FD, or -1 when none was passed on. */
static int passed_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	unsigned int n, of;

	if (!pid || !count || parse_uint(pid, 1, INT_MAX, &of) || (pid_t)of != getpid() ||
	    parse_uint(count, 1, INT_MAX, &n))
		return -1;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return n == 1 && fcntl(LISTEN_FD, F_SETFD, 0) == 0 ? LISTEN_FD : -1;
}

/* The command line with the socket's number in it, as attach --exec has it. */
static int make_words(const char *command, char ***words, struct failure *failure)
{
	char number[16];
	int ret;

	ret = word_split(command, words);
	if (ret < 0)
		return ret;
	snprintf(number, sizeof(number), "%d", LISTEN_FD);
	ret = word_list_replace(*words, "{fd}", number);
	if (ret)
		return ret < 0 ? ret : 0;
	if (word_list_replace(*words, "{socket}", "") > 0)
		return failure_set(failure, -EINVAL,
				   "{socket}: the service manager listens already; the back-end has "
				   "to take the socket as {fd}");
	ret = word_list_append(words, "--fd");
	return ret ? ret : word_list_append(words, number);
}

static int backend(const char *name)
{
	struct adapter_options options;
	struct failure failure = { 0 };
	struct config_file file;
	char **words = NULL;
	int ret;

	ret = load(name, &file, &options);
	if (ret) {
		config_free(&file);
		return EXIT_USAGE;
	}
	if (!file.backend)
		ret = failure_set(&failure, -EINVAL, "%s has no [backend]", options.config);
	if (!ret && passed_socket() < 0)
		ret = failure_set(&failure, -ENOENT,
				  "no listening socket was passed on: start "
				  "virtio-loopback-backend@%s.socket",
				  name);
	if (!ret)
		ret = make_words(file.backend, &words, &failure);
	if (!ret) {
		execvp(words[0], words);
		ret = failure_set(&failure, -errno, "%s: cannot be started: %s", words[0],
				  strerror(errno));
	}
	log_error("backend: %s", failure_text(&failure, ret));
	word_list_free(words);
	config_free(&file);
	return ret == -EINVAL ? EXIT_USAGE : 1;
}

static int with_name(int argc, char **argv, void (*usage)(void), int (*run)(const char *name))
{
	const char *name;
	int status = arguments_read(argc, argv, NULL, ARGUMENTS_ONE_NAME, &name, usage);

	return status < 0 ? run(name) : status;
}

int command_prepare(int argc, char **argv)
{
	return with_name(argc, argv, prepare_usage, prepare);
}

int command_backend(int argc, char **argv)
{
	return with_name(argc, argv, backend_usage, backend);
}
