// SPDX-License-Identifier: BSD-3-Clause
/*
 * A sign of life. A back-end that was stopped, or hangs, keeps its connection open: nobody would
 * notice, and who waits for its requests would wait for ever. So it is asked a question that every
 * back-end answers at any time, on the control socket: requests that take long do not matter.
 * Devices that ask equally often do so at the same moments: many idle ones wake the machine as
 * often as one.
 */
#include "adapter/adapter.h"

deadline_t heartbeat_deadline(const struct adapter *a)
{
	if (!a->options->heartbeat_ms || a->phase != ADAPTER_RUNNING || !frontend_connected(&a->fe))
		return DEADLINE_NEVER;
	return a->heartbeat;
}

void heartbeat_run(struct adapter *a)
{
	handover_ask(a);
	/* zero at first: the first one is asked for at once */
	if (frontend_ping(&a->fe, adapter_deadline(a)))
		backend_lost(a);
	handover_asked(a);
	a->heartbeat = deadline_every_ms(a->options->heartbeat_ms);
}
