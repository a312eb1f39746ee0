/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling the service manager: the sd_notify(3) datagram, without the library. */
#ifndef VL_COMMON_NOTIFY_H
#define VL_COMMON_NOTIFY_H

#include <stdint.h>

/**
 * notify_take() - keep what the service manager said to this process from its children
 *
 * $NOTIFY_SOCKET and $WATCHDOG_USEC are remembered and removed from the environment: what a child
 * has to say of itself must not be taken for news of this process. Call it before any is started.
 * A socket is connected, so that a process can go on to send which may not do that any more.
 */
void notify_take(void);

/* notify_drop() - forget what notify_take() has kept */
void notify_drop(void);

/**
 * notify_send() - send a state to the socket that $NOTIFY_SOCKET names
 * @state:	as in sd_notify(3), e.g. "READY=1"
 *
 * Return: 1 sent, 0 nobody asked ($NOTIFY_SOCKET is not set), or a negative errno.
 */
int notify_send(const char *state);

/* notify_sendf() - the same with a format */
int notify_sendf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* notify_watchdog_ms() - how often the service manager wants a sign of life at least; 0: never */
uint64_t notify_watchdog_ms(void);

#endif
