/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of uapi-check share: how a check says what it saw, and those that need a driver. */
#ifndef UAPI_CHECK_H
#define UAPI_CHECK_H

#include <stdbool.h>

extern bool check_failed; /* the check of now */

/* fail() - the check has failed; it may go on */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void expect(bool is, const char *what);

#define EXPECT(condition) expect(condition, #condition)

/* expect_error() - a call that returned -1 is judged by errno, any other by 0 */
void expect_error(long result, int error, const char *what);

/* in_child() - a part that ends with all that it has opened; what fails there fails here */
void in_child(void (*run)(void), const char *what);

/* ---- uapi-check-driver.c ---- */

void check_serves(void);
void check_reserved_pool(void);
void check_huge_pool(void);
void check_stop_and_start(void);
void check_silence(void);
void check_close_while_probing(void);
void check_fail_unblocks(void);
void check_forged_used(void);
void check_endless_chain(void);
void check_takeover(void);
void check_patience(void);
void check_patience_ends(void);
void check_orphan_ends(void);

/* ---- uapi-check-owner.c ---- */

void check_owner(void);

#endif
