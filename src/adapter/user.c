// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/state-dir.h"

const char *user_word(const struct run_as *user, char buf[USER_WORD_SIZE])
{
	if (!user->given)
		return NULL;
	snprintf(buf, USER_WORD_SIZE, "%u:%u", (unsigned int)user->uid, (unsigned int)user->gid);
	return buf;
}

/* In a child: there is no way back. */
static _Noreturn void try_as(const struct run_as *user, const char *state_dir)
{
	int ret = run_as_become(user, NULL, 0, NULL);

	if (!ret && faccessat(AT_FDCWD, state_dir, W_OK | X_OK, AT_EACCESS) < 0)
		ret = -errno;
	_exit(-ret);
}

/* Return: 0, or why the adapter cannot be that user. */
static int try(const struct run_as *user, const char *state_dir)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child == 0)
		try_as(user, state_dir);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int user_choose(struct run_as *user, const struct adapter_options *options,
		struct failure *failure)
{
	const struct adapter_options *o = options;
	const bool said = o->user.given;
	char word[USER_WORD_SIZE];
	int ret;

	*user = (struct run_as){ 0 };
	if (!o->sandbox || (geteuid() != 0 && !said))
		return 0;
	*user = o->user;
	if (!said && run_as_find(user, SERVICE_USER)) {
		log_info("%s: it stays user 0: there is no user " SERVICE_USER, o->name);
		return 0;
	}
	ret = try(user, o->state_dir);
	if (!ret)
		return 0;
	user_word(user, word);
	user->given = false;
	/* a device that is there is not lost over it */
	if (said && !o->takeover)
		return failure_set(failure, ret, "--user %s: cannot be taken, or may not write to "
				   "%s: %s", word, o->state_dir, strerror(-ret));
	log_message(said ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		    "%s: it stays user 0: %s cannot be taken here, or may not write to %s: %s",
		    o->name, said ? word : SERVICE_USER, o->state_dir, strerror(-ret));
	return 0;
}

int user_become(const struct run_as *user, const struct adapter_options *options,
		struct failure *failure)
{
	int ret;

	if (!user->given)
		return 0;
	ret = state_give(options->state_dir, options->name, user->uid);
	if (ret)
		return failure_set(failure, ret, "%s/%s.*: cannot be made user %u's: %s",
				   options->state_dir, options->name, (unsigned int)user->uid,
				   strerror(-ret));
	return run_as_become(user, NULL, 0, failure);
}
