/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end may ask of the scripted back-end: that which was agreed upon, and no more. */
#ifndef HOSTILE_AGREED_H
#define HOSTILE_AGREED_H

#include "hostile.h"

/* agreed_note() - remember what the front-end is told; @rule: the script's word on this message */
void agreed_note(struct hostile *h, const struct vu_message *msg, const struct rule *rule);

/* agreed_allows() - false: it was not agreed upon, or takes what was not offered */
bool agreed_allows(const struct hostile *h, const struct vu_message *msg);

/*
 * agreed_inflight() - answer GET_INFLIGHT_FD by a record that is not filled in, for front-ends that
 * do not come to rely on it. Return: 0, -EOPNOTSUPP when it is not offered, -EIO
 */
int agreed_inflight(struct hostile *h, struct vu_message *msg);

#endif
