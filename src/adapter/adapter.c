// SPDX-License-Identifier: BSD-3-Clause
/* Set-up, and the end. */
#include "adapter/adapter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "adapter/console.h"
#include "adapter/manager.h"
#include "adapter/report.h"
#include "adapter/sandbox.h"
#include "adapter/user.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/state-dir.h"
#include "common/unwanted.h"
#include "common/util.h"

#define VENDOR_ID 0x4b424c56U /* "VLBK" */
/*
 * The kernel waits longer for an answer than the back-end is given for it, so that its failure is
 * told by the adapter, which knows the reason.
 */
#define MESSAGE_SLACK_MS 5000
#define DISPLAY_MS 30000 /* it may have to reach a desktop first; --timeout is for the back-end */
#define STARTING_MS 60000
#define STOPPING_MS 8000
#define NAME_FREE_MS 5000
#define NAME_POLL_MS 20

deadline_t adapter_deadline(const struct adapter *a)
{
	return deadline_after_ms(a->options->timeout_ms);
}

void adapter_init(struct adapter *a, const struct adapter_options *options)
{
	unsigned int i;

	*a = (struct adapter){
		.options = options,
		.phase_until = DEADLINE_NEVER,
		.net_pairs = 1,
		.rings_fresh = true,
		.watchdog = DEADLINE_NEVER,
		.device.fd = -1,
		.supervisor = SUPERVISOR_NONE,
		.pool.fd = -1,
		.window.fd = -1,
		.inflight.fd = -1,
		.control.listener = -1,
		.handover.fd = -1,
		.recovery.backend = -1,
		.recovery.closing = -1,
		.parent = -1,
		.virtio_index = -1,
		.lock = -1,
		.signals = -1,
	};
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		a->control.clients[i] = -1;
	frontend_init(&a->fe);
	display_init(&a->display);
}

/* ---- set-up: what is our own ---- */

static int take_name(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	int ret;

	ret = state_dir_make(o->state_dir, &a->failure);
	if (ret)
		return ret;
	a->lock = state_lock(o->state_dir, o->name);
	if (a->lock == -EEXIST)
		return failure_set(&a->failure, -EEXIST, "the name %s is taken by another device",
				   o->name);
	if (a->lock < 0)
		return failure_set(&a->failure, a->lock, "%s/%s.lock: %s", o->state_dir, o->name,
				   strerror(-a->lock));
	return 0;
}

int adapter_open_log(struct adapter *a, bool fresh)
{
	/* in a folder that others write to there may be a pipe, whose reader nobody waits for */
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!a->options->log)
		return 0;
	/* one that is there without O_CREAT, see state_lock() */
	fd = open(a->options->log, flags | (fresh ? O_TRUNC : 0));
	if (fd < 0 && errno == ENOENT)
		fd = open(a->options->log, flags | O_CREAT, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return failure_set(&a->failure, -errno, "%s: %s", a->options->log, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return failure_set(&a->failure, -EINVAL, "%s: not a file", a->options->log);
	if (fcntl(fd, F_SETFL, O_APPEND) < 0 || dup2(fd, STDERR_FILENO) < 0)
		return failure_set(&a->failure, -errno, "%s: %s", a->options->log, strerror(errno));
	return 0;
}

static int open_control(struct adapter *a)
{
	char path[PATH_MAX];
	int ret;

	ret = state_path(path, sizeof(path), a->options->state_dir, a->options->name, "ctl");
	if (!ret)
		ret = control_init(&a->control, path);
	if (ret)
		return failure_set(&a->failure, ret, "%s/%s.ctl: %s", a->options->state_dir,
				   a->options->name, strerror(-ret));
	return 0;
}

int adapter_open_signals(struct adapter *a)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signals < 0 ? failure_set(&a->failure, -errno, "signalfd: %s", strerror(errno)) :
				0;
}

int adapter_open_keeper(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	char user[USER_WORD_SIZE];
	const struct keeper_device device = {
		.name = o->name,
		.state_dir = o->state_dir,
		.node = o->node,
		.user = o->sandbox ? a->user : (struct run_as){ true, geteuid(), getegid() },
	};
	const struct keeper_restart restart = {
		.socket = o->hearsay ? NULL : o->socket,
		.exec = o->hearsay ? NULL : o->exec,
		.user = user_word(&a->user, user),
		.sandbox = o->sandbox,
		.verbose = o->verbose,
	};
	static char own[PATH_MAX]; /* the supervisor keeps it */
	const char *path = restart.socket;
	bool restarts = o->keep_ms && o->restart;
	int ret;

	/* who is confined does not connect again by itself, nor does it change the console */
	if (!o->exec && !restarts &&
	    !(o->sandbox && ((path && o->reconnect_ms) || personality_has_display(o))))
		return 0;
	if (o->exec) {
		ret = state_path(own, sizeof(own), o->state_dir, o->name, "sock");
		if (ret)
			return failure_set(&a->failure, ret, "--state-dir: too long");
		path = own;
	}
	return supervisor_init(&a->supervisor, o->exec, path, &device, restarts ? &restart : NULL,
			       &a->failure);
}

static int check_kernel(struct adapter *a)
{
	struct utsname name;

	if (uname(&name) < 0)
		return 0;
	return personality_check_kernel(a->options, name.release, &a->failure);
}

/* Who is confined has it from the keeper, if there is one. */
int adapter_open_device(struct adapter *a)
{
	const bool asks = a->confined && a->options->transport->succession;
	const struct transport_place place = {
		.node = a->options->node,
		.fd = asks ? supervisor_open_node(&a->supervisor) : -1,
		.name = a->options->name,
		.state_dir = a->options->state_dir,
		.lock = a->lock,
	};

	return device_open(&a->device, a->options->transport, &place, &a->failure);
}

int adapter_open(struct adapter *a)
{
	int ret;

	ret = check_kernel(a);
	if (!ret)
		ret = take_name(a);
	if (!ret)
		ret = user_choose(&a->user, a->options, &a->failure);
	if (!ret)
		ret = adapter_open_log(a, true);
	if (!ret)
		ret = adapter_open_signals(a);
	/* It is no part of what keeps a device going: before that is made sure of. */
	if (!ret && personality_has_display(a->options))
		ret = display_start(&a->display, a->options, &a->user,
				    deadline_after_ms(DISPLAY_MS), &a->failure);
	if (ret)
		return ret;
	if (a->options->sandbox)
		sandbox_harden();
	/* before anything that the back-end must not inherit */
	ret = adapter_open_keeper(a);
	if (!ret && a->device.fd < 0)
		ret = adapter_open_device(a);
	return ret ? ret : open_control(a);
}

/* ---- set-up: what it can go without ---- */

int adapter_confine(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	const bool kept = a->supervisor.sock >= 0;
	const struct sandbox_needs needs = {
		.socket = o->reconnect_ms && !a->supervisor.reaches ? o->socket : NULL,
		.state_dir = o->state_dir,
		.node = kept ? NULL : o->node,
		.epoll = o->transport->epoll,
	};
	int ret;

	if (!o->sandbox)
		return 0;
	sandbox_lock_memory();
	ret = user_become(&a->user, o, &a->failure);
	if (!ret)
		ret = sandbox_enter(&needs, &a->failure);
	a->confined = !ret;
	return ret;
}

/* ---- set-up: the back-end ---- */

int adapter_connect(struct adapter *a)
{
	deadline_t deadline = adapter_deadline(a);
	int sock, ret;

	sock = backend_connect(a, deadline, &a->failure);
	if (sock < 0)
		return sock;
	ret = frontend_handshake(&a->fe, sock, deadline);
	if (ret)
		return failure_set(&a->failure, ret, "%s", failure_text(&a->fe.failure, ret));
	return 0;
}

/* ---- set-up: the device ---- */

/*
 * What is the back-end's fault is worded in a->fe.failure. While one is waited for that is no
 * failure of the device: the next one may do better.
 */

static int settle_features(struct adapter *a)
{
	a->offered =
		personality_features(a->options, a->fe.features, a->device.info.transport_features);
	a->offered = device_features(&a->device, a->options->type.id, a->offered);
	if (!(a->offered & BIT_ULL(VIRTIO_F_VERSION_1)))
		return failure_set(&a->fe.failure, -EPROTO,
				   "the back-end is a legacy device: it does not offer "
				   "VIRTIO_F_VERSION_1 (features %#" PRIx64 ")",
				   a->fe.features);
	return 0;
}

static int settle_config(struct adapter *a)
{
	memset(a->config, 0, sizeof(a->config));
	a->config_size = personality_config_size(a->options, a->fe.features);
	if (!a->config_size)
		return 0;
	if (personality_owns_config(a->options)) {
		personality_own_config(a->options, a->config, a->config_size);
		return 0;
	}
	if (!frontend_has(&a->fe, VHOST_USER_PROTOCOL_F_CONFIG))
		return failure_set(
			&a->fe.failure, -EPROTO,
			"the back-end has no configuration space (protocol feature CONFIG), "
			"which a device of type %s needs: is the type right?",
			a->options->type.name ? a->options->type.name : "this");
	return frontend_get_config(&a->fe, a->config, a->config_size, adapter_deadline(a));
}

static unsigned int usable_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned int)n : 1;
}

static int settle_queues(struct adapter *a)
{
	unsigned int i, size = MIN(a->options->queue_size, a->device.info.max_queue_size);
	int ret;

	ret = personality_plan_queues(a->options, a->fe.features, a->config, a->config_size,
				      a->fe.max_queues, a->device.info.max_queues, usable_cpus(),
				      &a->plan, &a->fe.failure);
	if (ret)
		return ret;
	personality_plan_segments(a->options, a->device.info.page_size, size, &a->plan);
	config_patch(a, a->config);
	a->queues = calloc(a->plan.total, sizeof(*a->queues));
	if (!a->queues)
		return -ENOMEM;
	for (i = 0; i < a->plan.total; i++)
		a->queues[i] = (struct queue){
			.size = size,
			.kick_fd = -1,
			.call_fd = -1,
		};
	return 0;
}

/*
 * A device of the same name whose adapter was killed may be on its way out: the lock says that the
 * name is ours, so it is waited for.
 */
static int create_device(struct adapter *a, struct virtio_loopback_create *create)
{
	deadline_t deadline = deadline_after_ms(NAME_FREE_MS);
	struct failure failure = { 0 };
	int ret;

	for (;;) {
		failure_clear(&failure);
		ret = device_create(&a->device, create, &failure);
		if (ret != -EEXIST || deadline_passed(deadline))
			break;
		poll(NULL, 0, NAME_POLL_MS);
	}
	return ret ? failure_set(&a->failure, ret, "%s", failure_text(&failure, ret)) : 0;
}

/* Where a queue is to be posted the machine could hang without. */
static int check_posted(struct adapter *a)
{
	unsigned int i;

	for (i = 0; i < a->plan.total; i++) {
		if (personality_queue_flags(a->options, i, &a->plan))
			break;
	}
	if (i == a->plan.total || (a->device.info.capabilities & VIRTIO_LOOPBACK_CAP_POSTED))
		return 0;
	return failure_set(&a->failure, -EOPNOTSUPP,
			   "the kernel module virtio_loopback is too old for a device of type %s: "
			   "install one of this version",
			   a->options->type.name);
}

static int check_packed(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	const char *why = NULL;

	if (!o->packed)
		return 0;
	if (!(a->device.info.transport_features & BIT_ULL(VIRTIO_F_RING_PACKED)))
		why = "the kernel module virtio_loopback is too old for it: install one of this "
		      "version";
	else if (!(a->offered & BIT_ULL(VIRTIO_F_RING_PACKED)))
		why = "the back-end does not offer packed virtqueues (VIRTIO_F_RING_PACKED)";
	else if (!personality_can_pack(o, &a->plan))
		why = "this device has virtqueues that the kernel serves itself, and those are split";
	else if (recovery_needs_record(o) &&
		 !frontend_has(&a->fe, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD))
		why = "the back-end keeps no record of requests in flight (INFLIGHT_SHMFD), and so "
		      "no other can go on with them: add --reconnect off";
	return why ? failure_set(&a->fe.failure, -EOPNOTSUPP, "--packed: %s", why) : 0;
}

static int describe_device(struct adapter *a)
{
	struct virtio_loopback_create create = {
		.device_id = a->options->type.id,
		.vendor_id = VENDOR_ID,
		.features = a->offered,
		.config = (uintptr_t)a->config,
		.config_size = a->config_size,
		.num_queues = a->plan.total,
		.pool_base = a->pool.base,
		.pool_fd = a->pool.fd,
		.message_timeout_ms = a->options->timeout_ms + MESSAGE_SLACK_MS,
		.orphan_timeout_ms = a->options->keep_ms,
	};
	_cleanup_free_ uint16_t *sizes = calloc(2 * (size_t)a->plan.total, sizeof(*sizes));
	uint16_t *flags;
	unsigned int i;

	if (!sizes)
		return -ENOMEM;
	flags = sizes + a->plan.total;
	for (i = 0; i < a->plan.total; i++) {
		sizes[i] = (uint16_t)a->queues[i].size;
		flags[i] = personality_queue_flags(a->options, i, &a->plan);
		if (flags[i])
			create.queue_flags = (uintptr_t)flags;
	}
	create.queue_sizes = (uintptr_t)sizes;
	strcpy(create.name, a->options->name); /* its length was checked with the option */
	return create_device(a, &create); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* What an earlier device of this process left. */
static void forget_device(struct adapter *a)
{
	net_stop(a);
	queues_close(a);
	window_finish(&a->window);
	pool_finish(&a->pool);
	inflight_finish(&a->inflight);
	a->events = 0;
	a->parent = -1;
	a->virtio_index = -1;
}

static int create(struct adapter *a)
{
	struct virtio_loopback_state state;
	int ret = 0;

	forget_device(a);
	if (a->device.fd < 0)
		ret = adapter_open_device(a);
	if (!ret)
		ret = settle_features(a);
	if (!ret)
		ret = settle_config(a);
	if (!ret)
		ret = settle_queues(a);
	if (!ret)
		ret = device_make_pool(&a->device, &a->pool, a->options->name,
				       personality_pool(a->options, &a->plan,
							a->device.info.page_size,
							a->queues[0].size),
				       &a->failure);
	if (!ret)
		ret = check_posted(a);
	if (!ret)
		ret = check_packed(a);
	if (!ret)
		ret = describe_device(a);
	if (!ret && personality_has_window(a->options))
		ret = window_init(&a->window, &a->device, &a->failure);
	if (!ret)
		ret = queues_open(a);
	if (!ret)
		ret = handover_open(a, HANDOVER_CHANGING);
	if (!ret)
		ret = device_get_state(&a->device, &state);
	if (ret)
		return ret;
	backend_announce(a);
	a->parent = (int)state.parent;
	a->phase = ADAPTER_STARTING;
	a->phase_until = deadline_after_ms(STARTING_MS);
	ret = device_start(&a->device);
	return ret ? failure_set(&a->failure, ret, "the device cannot be started: %s",
				 strerror(-ret)) :
		     0;
}

int adapter_create(struct adapter *a)
{
	int ret;

	handover_begin(a);
	ret = create(a);
	if (ret && !a->recovery.waiting && a->fe.failure.text[0])
		failure_set(&a->failure, ret, "%s", a->fe.failure.text);
	handover_end(a);
	return ret;
}

/* ---- set-up is over ---- */

static void describe_reconnect(const struct adapter_options *o, char *buf, size_t size)
{
	if (o->reconnect_ms == RECONNECT_OFF)
		snprintf(buf, size, "off");
	else if (o->reconnect_ms == RECONNECT_FOREVER)
		snprintf(buf, size, "forever");
	else
		snprintf(buf, size, "%" PRIu64, o->reconnect_ms / 1000);
}

void adapter_write_state(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	struct state_record record = {
		.adapter_pid = getpid(),
		.keeper_pid = a->supervisor.keeper,
		.device_id = o->type.id,
		.parent = a->parent,
		.queues = a->plan.total,
		.queue_size = o->queue_size,
		.pool = a->pool.size,
		.waiting = a->recovery.waiting,
	};
	int ret;

	snprintf(record.transport, sizeof(record.transport), "%s", o->transport->name);
	describe_reconnect(o, record.reconnect, sizeof(record.reconnect));
	snprintf(record.backend, sizeof(record.backend), "%s %s", o->socket ? "socket" : "exec",
		 o->socket ? o->socket : o->exec);
	ret = state_write(o->state_dir, o->name, &record);
	if (ret)
		log_warning("%s/%s.state: %s", o->state_dir, o->name, strerror(-ret));
	manager_status(a);
}

static void release_console(struct adapter *a)
{
	int ret = supervisor_release_console(&a->supervisor, a->parent);

	if (ret == -ENOTCONN)
		console_release(a->parent);
	else if (ret)
		log_info("%s: whether the text console stays on it is not known: %s",
			 a->options->name, strerror(-ret));
}

void adapter_registered(struct adapter *a, bool bound)
{
	if (a->phase != ADAPTER_STARTING)
		return;
	handover_begin(a);
	a->phase = ADAPTER_RUNNING;
	a->phase_until = DEADLINE_NEVER;
	if (personality_has_display(a->options))
		release_console(a);
	adapter_write_state(a);
	log_notice("%s is virtio%d, %u virtqueues, a pool of %" PRIu64 " KiB%s", a->options->name,
		   a->virtio_index, a->plan.total, a->pool.size >> 10,
		   bound ? "" : "; no driver took it");
	if (!a->reported &&
	    report_ok(a->options->ready_fd, a->parent, a->virtio_index, bound) == -EPIPE) {
		/* an attach that was interrupted leaves no device */
		log_notice("%s: nobody waits for the device any more: it is ended",
			   a->options->name);
		adapter_end(a);
	}
	if (!a->reported)
		manager_ready(a);
	a->reported = true;
	handover_end(a);
}

/* ---- the end ---- */

void adapter_fail(struct adapter *a, const char *why)
{
	if (a->phase == ADAPTER_OVER)
		return;
	a->fail = true;
	if (a->phase == ADAPTER_STOPPING) { /* it was to end, and now it does */
		log_warning("%s: %s", a->options->name, why);
		a->phase = ADAPTER_OVER;
		return;
	}
	a->error = failure_set(&a->failure, -EIO, "%s", why);
	if (a->reported)
		log_error("%s: %s; the device has failed", a->options->name, why);
	a->exit_status = 1;
	a->phase = ADAPTER_OVER;
}

void adapter_end(struct adapter *a)
{
	if (a->phase == ADAPTER_OVER)
		return;
	/* from here on the device goes, also if this process is killed */
	if (a->phase != ADAPTER_SETUP && a->device.fd >= 0)
		device_destroy(&a->device);
	if (a->phase == ADAPTER_SETUP || a->phase == ADAPTER_STOPPING || a->recovery.waiting ||
	    device_stop(&a->device)) {
		a->fail = a->phase != ADAPTER_SETUP && a->device.fd >= 0;
		a->phase = ADAPTER_OVER;
		return;
	}
	a->phase = ADAPTER_STOPPING;
	a->phase_until = deadline_after_ms(STOPPING_MS);
}

static void end_device(struct adapter *a)
{
	int ret = 0;

	if (a->device.fd < 0)
		return;
	if (a->leave) {
		device_close(&a->device);
		return;
	}
	if (a->fail && a->device.transport->release_first)
		backend_abandon(a);
	if (a->fail)
		ret = device_fail(&a->device);
	if (ret && ret != -EINVAL) /* there was nothing to fail yet */
		log_warning("the device's I/O could not be ended: %s", strerror(-ret));
	device_destroy(&a->device);
	device_close(&a->device);
}

/* Told when all is cleaned up: who reads it finds nothing left behind. */
static void report_failure(struct adapter *a)
{
	const char *why = failure_text(&a->failure, a->error);

	if (a->options->ready_fd < 0)
		log_error("%s: %s", a->options->name, why);
	report_error(a->options->ready_fd, -a->error, why);
}

void adapter_finish(struct adapter *a)
{
	end_device(a);
	backend_abandon(a);
	if (a->leave)
		supervisor_leave(&a->supervisor);
	else
		supervisor_finish(&a->supervisor);
	handover_finish(&a->handover);
	display_finish(&a->display);
	control_finish(&a->control);
	net_stop(a);
	queues_close(a);
	window_finish(&a->window);
	pool_finish(&a->pool);
	inflight_finish(&a->inflight);
	fd_close(&a->recovery.backend);
	if (a->leave)
		fd_close(&a->recovery.closing);
	unwanted_close(&a->recovery.closing);
	fd_close(&a->signals);
	if (!a->reported && a->exit_status && !a->leave)
		report_quote(a->options->log, PROGRAM, &a->failure);
	if (a->lock >= 0 && !a->leave)
		/*
		 * the log of a device that failed is worth reading; nobody misses that of a failed
		 * attach
		 */
		state_clean(a->options->state_dir, a->options->name, a->exit_status && a->reported);
	fd_close(&a->lock);
	if (!a->reported && a->exit_status)
		report_failure(a);
}
