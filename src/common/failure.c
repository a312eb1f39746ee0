// SPDX-License-Identifier: BSD-3-Clause
#include "common/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int failure_set(struct failure *failure, int error, const char *fmt, ...)
{
	va_list ap;

	if (!failure || failure->text[0])
		return error;
	va_start(ap, fmt);
	vsnprintf(failure->text, sizeof(failure->text), fmt, ap);
	va_end(ap);
	return error;
}

void failure_clear(struct failure *failure)
{
	failure->text[0] = '\0';
}

const char *failure_text(const struct failure *failure, int error)
{
	return failure->text[0] ? failure->text : strerror(-error);
}
