/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * suspend - the sleep of the system, and its end
 *
 * A device's state is in memory: its rings, its pool, its back-end's process. All of it
 * sleeps and wakes with the system, so drivers are not frozen and nothing is set up
 * again; requests that were on their way go on. Two things have to be seen to:
 *
 *  - A task that waits for a request cannot be frozen (it sleeps uninterruptibly), and
 *    when the back-end is frozen before it, it waits for ever: the system would not get
 *    to sleep under load. So the processes that serve a device are left out of the
 *    freezing. When all others stand still they have nothing to do.
 *  - While the system goes to sleep an adapter may be frozen all the same, and messages have
 *    30 s more. Not longer: a probe or a removal that waits for one holds the sleep up.
 *
 * When the system goes down its processes have been killed, the adapters among them: what they
 * left does not wait for others.
 */
#ifndef VLB_SUSPEND_H
#define VLB_SUSPEND_H

#include <linux/types.h>

struct pid;

/**
 * struct vlb_servers - the processes that serve one device, NULL: none
 * @adapter: has the device's file open
 * @backend: as the adapter told
 * @awake:   they are left out of the freezing now; after the wake-up, until vlb_servers_sweep()
 */
struct vlb_servers {
	struct pid *adapter;
	struct pid *backend;
	bool awake;
};

int vlb_servers_set_backend(struct vlb_servers *servers, pid_t nr, kuid_t opener, bool any);
void vlb_servers_set_adapter(struct vlb_servers *servers);
void vlb_servers_keep_awake(struct vlb_servers *servers);
void vlb_servers_sweep(void);
void vlb_servers_finish(struct vlb_servers *servers);

int vlb_suspend_init(void);
void vlb_suspend_exit(void);

#endif /* VLB_SUSPEND_H */
