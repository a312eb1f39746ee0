// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/manager.h"

#include <unistd.h>

#include "common/notify.h"
#include "common/util.h"

/*
 * manager_run() is called at least once in the time of so many commands to the back-end: where the
 * loop has more of them in a turn, between them.
 */
#define COMMANDS_A_TURN 4

void manager_init(void)
{
	notify_take();
}

void manager_finish(void)
{
	notify_drop();
}

/* A back-end may be given longer for a command than the manager knows of. */
static uint64_t interval_ms(const struct adapter *a)
{
	uint64_t turn = (uint64_t)a->options->timeout_ms * COMMANDS_A_TURN;

	return MAX(notify_watchdog_ms(), turn);
}

void manager_ready(struct adapter *a)
{
	if (notify_watchdog_ms()) {
		notify_sendf("WATCHDOG_USEC=%llu", (unsigned long long)interval_ms(a) * 1000);
		a->watchdog = DEADLINE_NOW;
	}
	/* not the process that the manager started, when this one took a device over */
	notify_sendf("READY=1\nMAINPID=%d", (int)getpid());
	manager_status(a);
}

void manager_status(struct adapter *a)
{
	if (!a->reported && a->phase != ADAPTER_RUNNING)
		return;
	if (a->recovery.waiting)
		notify_sendf("STATUS=waiting for the back-end");
	else
		notify_sendf("STATUS=virtio%d, %u virtqueues", a->virtio_index, a->plan.total);
}

deadline_t manager_deadline(const struct adapter *a)
{
	return a->watchdog;
}

void manager_run(struct adapter *a)
{
	if (!deadline_passed(a->watchdog))
		return;
	notify_send("WATCHDOG=1");
	a->watchdog = deadline_after_ms(interval_ms(a) / 3);
}
