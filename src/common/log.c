// SPDX-License-Identifier: BSD-3-Clause
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/deadline.h"

#define LOG_LINE_MAX 1024

static const char *log_program;
static enum log_level log_level = LOG_LEVEL_NOTICE;
static bool log_journal;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_level = level;
	log_journal = getenv("JOURNAL_STREAM") && !isatty(STDERR_FILENO);
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= log_level;
}

/* Appends to a line, never past its end; the last byte is kept for the newline. */
static size_t log_append(char *line, size_t used, const char *fmt, va_list ap)
{
	size_t room = LOG_LINE_MAX - 1 - used;
	int n = vsnprintf(line + used, room, fmt, ap);

	if (n < 0)
		return used;
	return used + ((size_t)n < room ? (size_t)n : room - 1);
}

static size_t log_appendf(char *line, size_t used, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	used = log_append(line, used, fmt, ap);
	va_end(ap);
	return used;
}

void log_vmessage(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	char line[LOG_LINE_MAX];
	size_t used = 0;

	if (!log_enabled(level))
		return;
	if (log_journal)
		used = log_appendf(line, used, "<%d>", (int)level);
	if (log_program)
		used = log_appendf(line, used, "%s: ", log_program);
	used = log_append(line, used, fmt, ap);
	line[used++] = '\n';
	/* One write(), so that lines of several threads and processes do not mix. */
	if (write(STDERR_FILENO, line, used) < 0)
		errno = saved; /* nowhere left to complain to */
	errno = saved;
}

void log_message(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmessage(level, fmt, ap);
	va_end(ap);
}

bool log_rate_pass(struct log_rate *rate, unsigned int burst, unsigned int *dropped)
{
	uint64_t second = now_ns() / 1000000000U + 1;
	uint64_t window = __atomic_load_n(&rate->window, __ATOMIC_RELAXED);

	*dropped = 0;
	if (window != second) {
		__atomic_store_n(&rate->window, second, __ATOMIC_RELAXED);
		__atomic_store_n(&rate->count, 0, __ATOMIC_RELAXED);
		*dropped = __atomic_exchange_n(&rate->dropped, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_add_fetch(&rate->count, 1, __ATOMIC_RELAXED) <= burst)
		return true;
	__atomic_add_fetch(&rate->dropped, 1, __ATOMIC_RELAXED);
	return false;
}
