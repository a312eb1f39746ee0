/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom the adapter becomes once it is set up, where root has started it: the system's files are
 * root's, and so is what services do for who asks them.
 *
 * That user has to be able to write in the state directory. It is the one of the packages
 * (SERVICE_USER), or of --user.
 */
#ifndef ADAPTER_USER_H
#define ADAPTER_USER_H

#include "adapter/options.h"
#include "common/failure.h"
#include "common/run-as.h"

#define USER_WORD_SIZE 24 /* UID:GID */

/**
 * user_choose() - whom
 * @user:	filled in; @user->given is false where this process stays who it is
 * @options:	its state directory is there
 * @failure:	the reason in words
 *
 * Where no --user was given, and where a device is taken over, it stays root if it has to.
 *
 * Return: 0 or a negative errno.
 */
int user_choose(struct run_as *user, const struct adapter_options *options,
		struct failure *failure);

/* user_word() - as --user takes it, or NULL */
const char *user_word(const struct run_as *user, char buf[USER_WORD_SIZE]);

/* user_become() - become that user, with the files in the state directory */
int user_become(const struct run_as *user, const struct adapter_options *options,
		struct failure *failure);

#endif
