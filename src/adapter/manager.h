/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a service manager is told, if one started the adapter (sd_notify): that the device is there,
 * how things are, and that this process lives.
 */
#ifndef ADAPTER_MANAGER_H
#define ADAPTER_MANAGER_H

#include "adapter/adapter.h"

/* manager_init() - begin; before any child is started */
void manager_init(void);
void manager_finish(void);

/* manager_ready() - the device is there, or goes on with this adapter */
void manager_ready(struct adapter *a);

/* manager_status() - something has changed */
void manager_status(struct adapter *a);

/* manager_deadline() - when manager_run() is due; DEADLINE_NEVER: nobody watches */
deadline_t manager_deadline(const struct adapter *a);

/* manager_run() - give a sign of life, if it is time; to be called behind each long command */
void manager_run(struct adapter *a);

#endif
