// SPDX-License-Identifier: BSD-3-Clause
/* The event loop: what happens, and what is due. */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_gpu.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "adapter/manager.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/util.h"

/* Changes of the configuration space, see follow_up_deadline() */
#define CHANGES_AT_ONCE 10
#define CHANGES_APART 100000000ULL /* ns */

static void take_signals(struct adapter *a)
{
	struct signalfd_siginfo info;

	while (read(a->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			continue;
		log_info("signal %u: the device is ended", info.ssi_signo);
		adapter_end(a);
	}
}

static void describe(struct adapter *a, char *answer, size_t size)
{
	static const char *const phases[] = {
		[ADAPTER_SETUP] = "setup",     [ADAPTER_STARTING] = "starting",
		[ADAPTER_RUNNING] = "running", [ADAPTER_STOPPING] = "stopping",
		[ADAPTER_OVER] = "over",
	};

	snprintf(answer, size,
		 "phase %s\nbackend %s\nbackend_pid %d\nreconnects %u\nfeatures_backend %#" PRIx64
		 "\nfeatures_driver %#" PRIx64 "\nprotocol_features %#" PRIx64
		 "\nqueues %u\ninflight_record %s\n",
		 phases[a->phase], a->recovery.waiting ? "waited-for" : "connected",
		 (int)a->supervisor.backend, a->recovery.count, a->fe.features, a->accepted,
		 a->fe.protocol, a->plan.total, a->inflight.fd >= 0 ? "yes" : "no");
}

static void yield(struct adapter *a, const char *version, char *answer, size_t size)
{
	const char *why = "which version?";
	unsigned int n;

	if (!parse_uint(version, 0, UINT32_MAX, &n))
		why = adapter_yield(a, n);
	if (why)
		snprintf(answer, size, "error %s\n", why);
	else
		snprintf(answer, size, "ok\n");
}

static void order(void *context, const char *text, bool waits, char *answer, size_t size)
{
	struct adapter *a = context;

	if (!strcmp(text, "stats")) {
		describe(a, answer, size);
	} else if (!strcmp(text, "detach") && a->leave) {
		/* it came behind a "yield", in the same turn of the loop */
		snprintf(answer, size, "error the device is left to another adapter\n");
	} else if (!strcmp(text, "detach")) {
		snprintf(answer, size, "ok\n");
		adapter_end(a);
	} else if (!strncmp(text, "yield ", strlen("yield ")) && !waits) {
		/* the successor has given up: the device would be nobody's */
		log_notice("%s: another adapter wanted to take over, and is gone", a->options->name);
	} else if (!strncmp(text, "yield ", strlen("yield "))) {
		yield(a, text + strlen("yield "), answer, size);
	} else {
		snprintf(answer, size, "error unknown order\n");
	}
}

static void backend_ready(struct adapter *a)
{
	int ret;

	handover_begin(a);
	ret = frontend_socket_ready(&a->fe);
	if (ret)
		backend_lost(a);
	handover_end(a);
}

static void channel_ready(struct adapter *a)
{
	int ret;

	handover_begin(a);
	ret = frontend_channel_ready(&a->fe);
	if (ret)
		backend_lost(a);
	handover_end(a);
}

static bool config_changed(const struct adapter *a)
{
	return a->fe.config_changed && frontend_connected(&a->fe);
}

/*
 * When what back-end and display announced is looked at. Each change is an interrupt, a message of
 * the driver's and an event of its device: CHANGES_AT_ONCE of them, then one each CHANGES_APART.
 */
static deadline_t follow_up_deadline(const struct adapter *a)
{
	const deadline_t ahead = (CHANGES_AT_ONCE - 1) * CHANGES_APART;

	if (!(config_changed(a) || a->display.changed) || a->device.fd < 0 ||
	    a->phase == ADAPTER_OVER)
		return DEADLINE_NEVER;
	return a->config_pace > ahead ? a->config_pace - ahead : DEADLINE_NOW;
}

/* What was announced while something else was going on. */
static void follow_up(struct adapter *a)
{
	int ret;

	if (!deadline_passed(follow_up_deadline(a)))
		return;
	a->config_pace = MAX(a->config_pace, now_ns()) + CHANGES_APART;
	if (a->display.changed)
		gpu_display_changed(a);
	if (!config_changed(a))
		return;
	handover_ask(a);
	ret = config_refresh(a, VIRTIO_LOOPBACK_CONFIG_NOTIFY, adapter_deadline(a));
	if (ret)
		backend_lost(a);
	handover_asked(a);
}

static void supervisor_news(struct adapter *a)
{
	pid_t before = a->supervisor.backend;
	char how[64];

	if (supervisor_ready(&a->supervisor) < 0) {
		if (supervisor_used(&a->supervisor)) {
			adapter_fail(a, "the process that supervises the back-end is gone");
			return;
		}
		log_warning("the process that starts another adapter, and connects to the "
			    "back-end, is gone: if one of the two ends, 'virtio-loopback upgrade "
			    "%s' helps",
			    a->options->name);
		supervisor_leave(&a->supervisor);
		return;
	}
	/* The end of its socket says what follows; this only says how it came. */
	if (before && !a->supervisor.backend)
		log_ratelimited(LOG_LEVEL_WARNING, "the back-end %s",
				supervisor_describe(a->supervisor.status, how, sizeof(how)));
}

/* What a phase that does not come to its end means. */
static void phase_overdue(struct adapter *a)
{
	if (a->phase == ADAPTER_STARTING) {
		adapter_fail(a, "the driver does not come to the end of its probe");
		return;
	}
	log_warning("the driver does not let go in time: its I/O is ended");
	a->fail = true;
	a->phase = ADAPTER_OVER;
}

enum {
	POLL_DEVICE,
	POLL_BACKEND,
	POLL_CHANNEL,
	POLL_SUPERVISOR,
	POLL_DISPLAY,
	POLL_NET,
	POLL_SIGNALS,
	POLL_CONTROL,
	POLL_CLIENTS,
	POLL_COUNT = POLL_CLIENTS + CONTROL_CLIENTS_MAX,
};

static void prepare_poll(const struct adapter *a, struct pollfd *fds)
{
	unsigned int i;

	fds[POLL_DEVICE].fd = a->device.fd;
	fds[POLL_BACKEND].fd = a->fe.sock;
	fds[POLL_CHANNEL].fd = a->fe.channel;
	fds[POLL_SUPERVISOR].fd = a->supervisor.sock;
	fds[POLL_DISPLAY].fd = a->display.sock;
	fds[POLL_NET].fd = net_kick_fd(a);
	fds[POLL_SIGNALS].fd = a->signals;
	fds[POLL_CONTROL].fd = a->control.listener;
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[POLL_CLIENTS + i].fd = a->control.clients[i];
	for (i = 0; i < POLL_COUNT; i++) {
		fds[i].events = POLLIN;
		fds[i].revents = 0;
	}
}

/*
 * Hands out what poll() found. A handler may close what another one's turn is about: descriptors
 * are compared before they are used.
 */
static void dispatch(struct adapter *a, const struct pollfd *fds)
{
	unsigned int i;

	if (fds[POLL_SIGNALS].revents)
		take_signals(a);
	if (fds[POLL_CONTROL].revents)
		control_accept(&a->control);
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (fds[POLL_CLIENTS + i].revents &&
		    fds[POLL_CLIENTS + i].fd == a->control.clients[i])
			control_ready(&a->control, i, order, a);
	}
	if (a->phase == ADAPTER_OVER)
		return; /* what comes next is another adapter's to read */
	if (fds[POLL_SUPERVISOR].revents && a->phase != ADAPTER_OVER)
		supervisor_news(a);
	if (fds[POLL_DISPLAY].revents && a->phase != ADAPTER_OVER)
		gpu_display_news(a);
	if (fds[POLL_NET].revents && fds[POLL_NET].fd == net_kick_fd(a))
		net_work(a);
	if (fds[POLL_CHANNEL].revents && fds[POLL_CHANNEL].fd == a->fe.channel)
		channel_ready(a);
	if (fds[POLL_BACKEND].revents && fds[POLL_BACKEND].fd == a->fe.sock)
		backend_ready(a);
	if (fds[POLL_DEVICE].revents && fds[POLL_DEVICE].fd == a->device.fd)
		driver_ready(a);
}

static int poll_timeout(const struct adapter *a)
{
	deadline_t ours = MIN(a->phase_until, manager_deadline(a));
	deadline_t backends = MIN(recovery_deadline(a), heartbeat_deadline(a));

	return deadline_poll_ms(MIN(ours, MIN(backends, follow_up_deadline(a))));
}

int adapter_run(struct adapter *a)
{
	struct pollfd fds[POLL_COUNT];

	while (a->phase != ADAPTER_OVER) {
		prepare_poll(a, fds);
		if (poll(fds, POLL_COUNT, poll_timeout(a)) < 0 && errno != EINTR) {
			adapter_fail(a, strerror(errno));
			break;
		}
		dispatch(a, fds);
		follow_up(a);
		if (a->phase != ADAPTER_OVER && deadline_passed(a->phase_until))
			phase_overdue(a);
		if (a->phase != ADAPTER_OVER && deadline_passed(recovery_deadline(a)))
			recovery_run(a);
		if (a->phase != ADAPTER_OVER && deadline_passed(heartbeat_deadline(a)))
			heartbeat_run(a);
		manager_run(a);
	}
	return a->exit_status;
}
