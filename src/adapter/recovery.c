// SPDX-License-Identifier: BSD-3-Clause
/* The back-end: getting to it, and what to do when it goes away. */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/unix-socket.h"
#include "common/unwanted.h"
#include "common/util.h"

#define DELAY_MIN_MS 50U
#define DELAY_MAX_MS 1000U
#define SETTLED_MS 2000
#define QUIET_POLL_MS 10
/*
 * How long a process that closed its connection and lives on may still be busy with old requests.
 * One that was killed is waited for to its very end.
 */
#define QUIET_MS 1000

/* ---- getting to the back-end ---- */

static int connect_failed(const char *path, int error, struct failure *failure)
{
	switch (-error) {
	case ENOENT:
		return failure_set(failure, error,
				   "%s: there is no such socket: is the back-end running?", path);
	case ECONNREFUSED:
		return failure_set(failure, error,
				   "%s: nobody listens there: has the back-end ended?", path);
	case EACCES:
	case EPERM:
		return failure_set(failure, error, "%s: permission denied", path);
	case ETIMEDOUT:
		return failure_set(failure, error,
				   "%s: the back-end does not take the connection: does it serve "
				   "somebody else?",
				   path);
	case EIO:
		return failure_set(failure, error, "%s: its file system does not answer", path);
	case ENAMETOOLONG:
		return failure_set(failure, error, "%s: too long for the path of a socket", path);
	default:
		return failure_set(failure, error, "%s: %s", path, strerror(-error));
	}
}

/* The process at the other end, to see it end. */
static void watch_backend(struct adapter *a, int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	fd_close(&a->recovery.backend);
	a->recovery.pid = 0;
	/*
	 * A socket of the service manager's has that one for its peer. The process that it starts
	 * cannot be told then: the end of the connection stands for its end.
	 */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 1 ||
	    peer.pid == getpid())
		return;
	a->recovery.pid = peer.pid;
	a->recovery.backend = (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

int backend_connect(struct adapter *a, deadline_t deadline, struct failure *failure)
{
	int sock;

	if (a->options->exec)
		return supervisor_start(&a->supervisor, deadline, failure);
	sock = a->supervisor.reaches ? supervisor_connect(&a->supervisor, deadline) :
				       unix_connect(a->options->socket, deadline);
	if (sock < 0)
		return connect_failed(a->options->socket, sock, failure);
	watch_backend(a, sock);
	return sock;
}

void backend_announce(struct adapter *a)
{
	pid_t pid = a->options->exec ? a->supervisor.backend : a->recovery.pid;
	int ret = device_set_backend(&a->device, pid);

	if (ret)
		log_info("the kernel does not take process %d for the back-end (%s): the system "
			 "may not go to sleep while there is I/O",
			 (int)pid, strerror(-ret));
}

/* ---- losing it ---- */

void backend_abandon(struct adapter *a)
{
	if (a->leave)
		frontend_leave(&a->fe);
	else
		frontend_finish(&a->fe);
	queues_forget(a);
	display_disconnect(&a->display);
}

/* Lets go of it, and keeps an eye on its end of the connection. */
static void let_go(struct adapter *a)
{
	struct recovery *r = &a->recovery;

	if (frontend_connected(&a->fe)) {
		if (unwanted_close(&r->closing))
			a->fe.left_open = true;
		shutdown(a->fe.sock, SHUT_WR);
		r->closing = fd_steal(&a->fe.sock);
		r->quiet_by = deadline_after_ms(QUIET_MS);
	}
	backend_abandon(a);
}

/*
 * A device whose driver has to start over: end it now, so that nobody waits for an answer that no
 * next back-end could give.
 */
static void unplug(struct adapter *a)
{
	int ret = device_fail(&a->device);

	if (!ret)
		ret = device_destroy(&a->device);
	if (ret)
		log_debug("unplug: %s", strerror(-ret));
	device_close(&a->device);
	inflight_finish(&a->inflight);
	net_stop(a);
	/* if its driver was still probing: there is nothing to probe any more */
	a->phase = ADAPTER_RUNNING;
	a->phase_until = DEADLINE_NEVER;
	a->parent = -1;
	a->virtio_index = -1;
	a->status = 0;
	a->features_ok = false;
	a->driver_ok = false;
	a->rings_fresh = true;
}

static bool can_replay(const struct adapter *a)
{
	/* of packed virtqueues the module has no record */
	bool recorded = (a->device.info.capabilities & VIRTIO_LOOPBACK_CAP_OUTSTANDING) &&
			!(a->accepted & BIT_ULL(VIRTIO_F_RING_PACKED));

	return a->options->type.recovery == RECOVER_REPLAY &&
	       (a->inflight.fd >= 0 || !a->driver_ok || a->rings_fresh || recorded);
}

bool recovery_needs_record(const struct adapter_options *options)
{
	return options->packed && options->type.recovery == RECOVER_REPLAY &&
	       options->reconnect_ms != RECONNECT_OFF;
}

/* Without either there is nothing that could become of the driver's requests. */
static bool can_go_on(const struct adapter *a)
{
	return a->device.transport->succession || can_replay(a);
}

/* Types whose driver can be told that nobody is there, or is again. */
static void show_link(struct adapter *a, bool up)
{
	int ret;

	if (!personality_set_link(a->options, up, a->config, a->config_size))
		return;
	ret = device_set_config(&a->device, 0, a->config, a->config_size,
				VIRTIO_LOOPBACK_CONFIG_NOTIFY);
	if (ret)
		log_warning("the state of the link is not taken by the kernel: %s", strerror(-ret));
}

bool backend_lost(struct adapter *a)
{
	const char *why = failure_text(&a->fe.failure, -ECONNRESET);
	struct recovery *r = &a->recovery;

	if (a->phase == ADAPTER_OVER)
		return false;
	if (r->waiting && !frontend_connected(&a->fe))
		return true; /* it is lost, and that again does not prolong the wait */
	/* A driver that is being removed must not wait for what will not come. */
	if (a->phase == ADAPTER_STOPPING || !a->reported || a->fe.left_open ||
	    a->options->reconnect_ms == RECONNECT_OFF || !can_go_on(a)) {
		adapter_fail(a, why);
		backend_abandon(a);
		return false;
	}
	log_ratelimited(LOG_LEVEL_WARNING, "%s; the device waits for it", why);
	handover_begin(a);
	let_go(a);
	r->replug = !can_replay(a);
	if (r->replug)
		unplug(a);
	else
		show_link(a, false);
	if (!r->waiting)
		r->give_up = deadline_after_ms(a->options->reconnect_ms);
	r->waiting = true;
	/* one that ends as soon as it is back is not hurried */
	r->delay_ms = deadline_passed(r->settled) ? DELAY_MIN_MS :
						    MIN(r->delay_ms * 2, DELAY_MAX_MS);
	r->next_try = deadline_after_ms(r->delay_ms);
	handover_end(a);
	adapter_write_state(a);
	return true;
}

/* ---- getting it back ---- */

deadline_t recovery_deadline(const struct adapter *a)
{
	const struct recovery *r = &a->recovery;

	return r->waiting ? MIN(r->next_try, r->give_up) : DEADLINE_NEVER;
}

/* True once the back-end has closed its end, or there is none. */
static bool connection_closed(const struct recovery *r)
{
	struct pollfd pfd = { .fd = r->closing };

	return pfd.fd < 0 || (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP));
}

static bool process_ended(const struct recovery *r)
{
	struct pollfd pfd = { .fd = r->backend, .events = POLLIN };

	return pfd.fd >= 0 && poll(&pfd, 1, 0) == 1;
}

/*
 * Nothing of the old process may touch the pool, or complete a request, once the next one has it.
 * The end of its socket alone says little: a killed process lets go of its I/O after that. And one
 * that did not answer may go on at any time, until it closes the connection by itself, or ends.
 */
static bool old_backend_quiet(struct adapter *a)
{
	struct recovery *r = &a->recovery;

	if (supervisor_used(&a->supervisor) && !supervisor_end_backend(&a->supervisor))
		return false;
	/*
	 * for whoever listened may have left the connection to another process, and have ended; and
	 * a process may have left the group of those that the keeper ends
	 */
	if (!connection_closed(r)) {
		log_ratelimited(LOG_LEVEL_NOTICE, "the back-end that does not answer still has its "
						"connection: it is waited for");
		r->quiet_by = deadline_after_ms(QUIET_MS);
		return false;
	}
	return supervisor_used(&a->supervisor) || process_ended(r) || deadline_passed(r->quiet_by);
}

bool backend_wait_quiet(struct adapter *a, deadline_t deadline)
{
	while (a->recovery.waiting && !old_backend_quiet(a)) {
		if (deadline_passed(deadline))
			return false;
		poll(NULL, 0, QUIET_POLL_MS);
	}
	return true;
}

static bool has_kept(const struct config_write *kept, const uint8_t *config)
{
	return !memcmp(config + kept->offset, kept->data, kept->length);
}

/* What the driver has written is new to this back-end. A disk that caches again loses writes. */
static int restore_config(struct adapter *a, deadline_t deadline)
{
	uint8_t fresh[CONFIG_SIZE_MAX];
	struct config_write kept;
	int ret;

	if (!a->driver_ok ||
	    !personality_config_kept(a->options, a->accepted, a->config, a->config_size, &kept))
		return 0;
	ret = frontend_get_config(&a->fe, fresh, a->config_size, deadline);
	if (ret || has_kept(&kept, fresh))
		return ret;
	ret = frontend_set_config(&a->fe, kept.offset, kept.data, kept.length, deadline);
	if (!ret)
		ret = frontend_get_config(&a->fe, fresh, a->config_size, deadline);
	if (ret || has_kept(&kept, fresh))
		return ret;
	return failure_set(&a->fe.failure, -EPROTO,
			   "the back-end that came back does not take the cache mode that the "
			   "driver has set");
}

/* The driver keeps what it negotiated: the next back-end has to be able to go on with it. */
static int check_compatible(struct adapter *a, deadline_t deadline)
{
	uint64_t offered =
		personality_features(a->options, a->fe.features, a->device.info.transport_features);
	uint64_t missing = (a->features_ok ? a->accepted : a->offered) & ~offered;
	int ret;

	if (missing)
		return failure_set(
			&a->fe.failure, -EPROTO,
			"the back-end that came back lacks features that the driver uses "
			"(%#" PRIx64 ")",
			missing);
	if (!personality_serves(a->options, &a->plan, a->fe.max_queues))
		return failure_set(
			&a->fe.failure, -EPROTO,
			"the back-end that came back serves fewer virtqueues (%u) than the driver "
			"uses (%u)",
			a->fe.max_queues, a->plan.served);
	if (recovery_needs_record(a->options) &&
	    !frontend_has(&a->fe, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD))
		return failure_set(
			&a->fe.failure, -EPROTO,
			"the back-end that came back keeps no record of requests in flight "
			"(INFLIGHT_SHMFD), which packed virtqueues need");
	ret = restore_config(a, deadline);
	return ret ? ret : config_refresh(a, VIRTIO_LOOPBACK_CONFIG_NOTIFY, deadline);
}

/* Gives the driver's rings to another back-end. */
static int resume(struct adapter *a, deadline_t deadline)
{
	int ret;

	ret = check_compatible(a, deadline);
	if (ret)
		return ret;
	ret = device_check_pool(&a->device);
	if (ret) {
		failure_set(
			&a->failure, ret,
			"the back-end punched holes into the pool: what it left there is not handed "
			"to another (%s)",
			strerror(-ret));
		return ret;
	}
	ret = queues_open(a);
	if (!ret && a->features_ok && !a->driver_ok)
		ret = frontend_set_features(
			&a->fe,
			personality_backend_features(a->options, a->accepted, a->fe.features),
			deadline);
	if (!ret && a->driver_ok)
		ret = queues_start_all(a, !a->rings_fresh, deadline);
	if (ret)
		return ret;
	backend_announce(a);
	queues_kick(a);
	return 0;
}

static int attempt(struct adapter *a)
{
	deadline_t deadline = adapter_deadline(a);
	int sock, ret;

	failure_clear(&a->fe.failure);
	sock = backend_connect(a, deadline, &a->fe.failure);
	if (sock < 0)
		return sock;
	/*
	 * A listener that is just going away takes connections too: only a whole handshake counts.
	 */
	ret = frontend_handshake(&a->fe, sock, deadline);
	if (ret)
		return ret;
	if (a->recovery.replug)
		return adapter_create(a);
	/* before it gets the rings: a successor has to know whom to wait for */
	handover_put(a, HANDOVER_BACKEND, a->fe.sock);
	handover_put(a, HANDOVER_PROCESS, a->recovery.backend);
	return resume(a, deadline);
}

/*
 * What there is none of just now, there may be at the next try. And the driver of a device that was
 * unplugged goes when nobody has its nodes open any more: until then the name is taken.
 */
static bool may_pass(const struct recovery *r, int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE ||
	       (r->replug && error == -EEXIST);
}

static void try_later(struct adapter *a, int error)
{
	struct recovery *r = &a->recovery;

	log_ratelimited(LOG_LEVEL_INFO, "not yet: %s", failure_text(&a->fe.failure, error));
	let_go(a);
	/* what was opened for it and has not become a device */
	if (r->replug && a->device.fd >= 0)
		unplug(a);
	r->delay_ms = MIN(MAX(r->delay_ms * 2, DELAY_MIN_MS), DELAY_MAX_MS);
	r->next_try = deadline_after_ms(r->delay_ms);
}

void recovery_run(struct adapter *a)
{
	struct recovery *r = &a->recovery;
	char why[96];
	int ret;

	if (!r->waiting)
		return;
	if (deadline_passed(r->give_up)) {
		snprintf(why, sizeof(why), "the back-end did not come back within %" PRIu64 " s",
			 a->options->reconnect_ms / 1000);
		adapter_fail(a, why);
		return;
	}
	if (!deadline_passed(r->next_try))
		return;
	if (!old_backend_quiet(a)) {
		r->next_try = deadline_after_ms(QUIET_POLL_MS);
		return;
	}
	handover_begin(a);
	ret = attempt(a);
	if (may_pass(r, ret) && a->failure.text[0]) {
		a->fe.failure = a->failure;
		failure_clear(&a->failure);
	}
	if (!ret) {
		r->waiting = false;
		if (!r->replug)
			show_link(a, true);
		r->replug = false;
		r->count++;
		r->settled = deadline_after_ms(SETTLED_MS);
		adapter_write_state(a);
		log_ratelimited(LOG_LEVEL_NOTICE, "the back-end is back");
	} else if (a->failure.text[0] || a->fe.left_open) {
		/* on this side of the socket: another attempt would end the same way */
		adapter_fail(a, failure_text(a->failure.text[0] ? &a->failure : &a->fe.failure,
					     ret));
		backend_abandon(a);
	} else {
		try_later(a, ret);
	}
	handover_end(a);
}

/* ---- configuration space ---- */

void config_patch(const struct adapter *a, uint8_t *config)
{
	personality_patch_config(a->options, a->fe.features, &a->plan, config, a->config_size);
	if (personality_has_display(a->options))
		personality_patch_events(a->events, config, a->config_size);
}

int config_refresh(struct adapter *a, uint32_t flags, deadline_t deadline)
{
	uint8_t fresh[CONFIG_SIZE_MAX];
	int ret;

	if (a->fe.config_changed) /* the driver is yet to be told of it */
		flags |= VIRTIO_LOOPBACK_CONFIG_NOTIFY;
	a->fe.config_changed = false;
	if (!a->config_size || personality_owns_config(a->options))
		return 0;
	ret = frontend_get_config(&a->fe, fresh, a->config_size, deadline);
	if (ret)
		return ret;
	config_patch(a, fresh);
	if (!memcmp(fresh, a->config, a->config_size))
		return 0;
	memcpy(a->config, fresh, a->config_size);
	ret = device_set_config(&a->device, 0, fresh, a->config_size, flags);
	if (ret)
		log_warning("the new configuration is not taken by the kernel: %s", strerror(-ret));
	return 0;
}
