/* SPDX-License-Identifier: BSD-3-Clause */
/* Telling the service manager: the sd_notify(3) datagram, without the library. */
#ifndef VL_COMMON_NOTIFY_H
#define VL_COMMON_NOTIFY_H

/**
 * notify_send() - send a state to the socket that $NOTIFY_SOCKET names
 * @state:	as in sd_notify(3), e.g. "READY=1"
 *
 * Return: 1 sent, 0 nobody asked ($NOTIFY_SOCKET is not set), or a negative errno.
 */
int notify_send(const char *state);

#endif
