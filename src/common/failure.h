/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one line that says why something failed. The function that knows the reason words it;
 * everybody above passes the errno on; the edge prints the line.
 */
#ifndef VL_COMMON_FAILURE_H
#define VL_COMMON_FAILURE_H

#include <stddef.h>

struct failure {
	char text[320];
};

/**
 * failure_set() - word a failure, unless it has been worded already
 * @failure:	where; NULL: nobody wants to know
 * @error:	a negative errno
 * @fmt:	what failed, on which object, why, and what to do about it
 *
 * Return: @error, so that it can be returned on the spot.
 */
int failure_set(struct failure *failure, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* failure_clear() - forget it, before another attempt */
void failure_clear(struct failure *failure);

/* failure_text() - the line; the errno's own words when nobody worded it */
const char *failure_text(const struct failure *failure, int error);

#endif
