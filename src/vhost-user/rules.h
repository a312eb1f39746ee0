/* SPDX-License-Identifier: BSD-3-Clause */
/* What the document says about the form of each message type. Internal to src/vhost-user. */
#ifndef VHOST_USER_RULES_H
#define VHOST_USER_RULES_H

#include "vhost-user/message.h"

/**
 * vu_check_header() - check what can be known before the payload is read
 * @header:	the header
 * @kind:	what the message should be
 *
 * After this, header->size bytes fit into struct vu_message.
 *
 * Return: 0, -EPROTO, or -EOPNOTSUPP.
 */
int vu_check_header(const struct vhost_user_header *header, enum vu_kind kind);

#endif
