/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end says that it can do when it is asked by --print-capabilities:
 * VHostUserBackendCapabilities of QEMU's docs/interop/vhost-user.json.
 */
#ifndef CLI_CAPABILITIES_H
#define CLI_CAPABILITIES_H

#include "common/failure.h"

/**
 * capabilities_ask() - start a back-end's program to ask it
 * @binary:	its path
 * @type:	what it is to be, as the schema names it
 * @features:	on 0 for word_list_free(): each is the name of an option that it has
 * @failure:	the reason in words
 *
 * It has a few seconds, and is killed then.
 */
int capabilities_ask(const char *binary, const char *type, char ***features,
		     struct failure *failure);

#endif
