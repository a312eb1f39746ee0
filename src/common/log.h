/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One line a message on standard error, "PROGRAM: message". Under systemd the lines carry the
 * priority prefix that the journal understands.
 *
 * A message says what failed, on which object, why, and what to do about it. It is written once,
 * at the edge: functions below return a negative errno.
 */
#ifndef VL_COMMON_LOG_H
#define VL_COMMON_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/**
 * log_init() - name the program and choose how much is shown
 * @program:	the name that heads each line; kept, not copied
 * @level:	messages above it are dropped
 *
 * Before the first call lines have no name and the level is LOG_LEVEL_NOTICE.
 */
void log_init(const char *program, enum log_level level);

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* log_message() - write one line; safe from several threads; keeps errno */
void log_message(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vmessage(enum log_level level, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_message(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                             \
	do {                                                       \
		if (log_enabled(LOG_LEVEL_DEBUG))                  \
			log_message(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

/*
 * What a peer can provoke at will must not fill the journal: at most @burst lines each second from
 * one place. The counts are per place and relaxed; a line more or less under contention does not
 * matter.
 */
struct log_rate {
	uint64_t window; /* second of CLOCK_MONOTONIC that @count belongs to */
	unsigned int count;
	unsigned int dropped;
};

/* log_rate_pass() - true if a line may be written now; *@dropped: how many were not, before it */
bool log_rate_pass(struct log_rate *rate, unsigned int burst, unsigned int *dropped);

#define log_ratelimited(level, fmt, ...)                                                          \
	do {                                                                                      \
		static struct log_rate rate_;                                                     \
		unsigned int dropped_;                                                            \
		if (log_enabled(level) && log_rate_pass(&rate_, 5, &dropped_)) {                  \
			if (dropped_)                                                             \
				log_message(level, fmt " (%u such lines dropped)", ##__VA_ARGS__, \
					    dropped_);                                            \
			else                                                                      \
				log_message(level, fmt, ##__VA_ARGS__);                           \
		}                                                                                 \
	} while (0)

#endif
