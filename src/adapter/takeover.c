// SPDX-License-Identifier: BSD-3-Clause
/* Going on with the device of another adapter, which yielded or was killed. */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/adapter.h"
#include "adapter/manager.h"
#include "adapter/report.h"
#include "adapter/sandbox.h"
#include "adapter/user.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/state-dir.h"
#include "common/unwanted.h"
#include "common/util.h"

#define YIELD_MS 15000 /* it may be waiting for its back-end's answer */
#define YIELD_POLL_MS 5
#define GONE_MS 10000 /* for one that is on its way out, where another one is to be made */
#define PROCESS_QUIET_MS 1000 /* as for any back-end whose connection is lost */

/* struct inheritance - what was left; static, because options point into it */
struct inheritance {
	struct snapshot snapshot;
	const struct adapter_options *given; /* on the command line */
	struct adapter_options options;
	enum handover_busy busy;
};

/* ---- the old adapter's side ---- */

const char *adapter_yield(struct adapter *a, unsigned int version)
{
	if (!a->handover.page)
		return "the device ends with its adapter (--reconnect off, --no-takeover, "
		       "--foreground)";
	if (version < SNAPSHOT_VERSION)
		return "the other adapter is too old to understand this one";
	if (a->phase != ADAPTER_RUNNING || a->device.fd < 0)
		return "the device is being started, ended or plugged in again: try it later";
	if (!handover_is_whole(a))
		return "the back-end is in the middle of a message: try it later";
	if (supervisor_yield(&a->supervisor))
		log_debug("there is no keeper");
	log_notice("%s: another adapter takes over", a->options->name);
	a->leave = true;
	a->phase = ADAPTER_OVER;
	return NULL;
}

/* ---- becoming the device's adapter ---- */

static int ask_to_yield(struct adapter *a, deadline_t deadline)
{
	const struct adapter_options *o = a->options;
	char path[PATH_MAX], text[32], answer[CONTROL_PACKET_MAX];
	int ret;

	ret = state_path(path, sizeof(path), o->state_dir, o->name, "ctl");
	if (ret)
		return failure_set(&a->failure, ret, "--state-dir: too long");
	snprintf(text, sizeof(text), "yield %d", SNAPSHOT_VERSION);
	ret = control_order(path, text, answer, sizeof(answer), deadline);
	if (ret == -ENOENT || ret == -ECONNREFUSED || ret == -ECONNRESET || ret == -ETIMEDOUT)
		return 0; /* it is going, or hangs: that is seen next */
	if (ret)
		return failure_set(&a->failure, ret, "%s: the present adapter does not answer: %s",
				   o->name, strerror(-ret));
	answer[strcspn(answer, "\n")] = '\0';
	if (strcmp(answer, "ok") != 0)
		return failure_set(&a->failure, -EAGAIN, "%s: %s", o->name,
				   strncmp(answer, "error ", 6) ? answer : answer + 6);
	return 0;
}

/* One that was asked to yield ends in its own time. */
static int take_device(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	unsigned int patience = o->replace ? YIELD_MS : o->type.id ? GONE_MS : 0;
	deadline_t deadline = deadline_after_ms(patience);
	int ret = 0;

	if (a->device.fd < 0)
		ret = adapter_open_device(a);
	if (ret)
		return ret;
	ret = device_takeover(&a->device, o->name);
	if (ret == -EBUSY && o->replace) {
		ret = ask_to_yield(a, deadline);
		if (ret)
			return ret;
		ret = -EBUSY;
	}
	while (ret == -EBUSY && !deadline_passed(deadline)) {
		poll(NULL, 0, YIELD_POLL_MS);
		ret = device_takeover(&a->device, o->name);
	}
	switch (ret) {
	case 0:
		return 0;
	case -ENOENT:
		return failure_set(&a->failure, ret, "%s: there is no such device", o->name);
	case -EBUSY:
		return failure_set(&a->failure, ret,
				   "%s: the device has an adapter, or is on its way out",
				   o->name);
	default:
		return failure_set(&a->failure, ret, "%s: the device cannot be taken over: %s",
				   o->name, strerror(-ret));
	}
}

/* ---- what was left ---- */

/*
 * The old adapter may have been taken over, and is confined; this one is not yet. So the command
 * line alone says where files are, and whether privileges are given up. The keeper and a service
 * manager name the back-end as well, and are believed; the snapshot is where nobody does. By that
 * nothing is executed: a keeper that lives knows what to start, and no new one is told.
 */
static void get_options(struct inheritance *in)
{
	const struct adapter_options *given = in->given;
	struct adapter_options *o = &in->options;
	struct snapshot *s = &in->snapshot;
	char id[16];
	unsigned int i;

	*o = *given;
	snprintf(id, sizeof(id), "%" PRIu64, s->type);
	device_type_find(id, &o->type);
	o->name = s->name;
	o->hearsay = !given->socket && !given->exec;
	if (o->hearsay) {
		o->socket = s->socket[0] ? s->socket : NULL;
		o->exec = s->exec[0] ? s->exec : NULL;
	}
	o->tag = s->tag[0] ? s->tag : NULL;
	/* a name only: see get_log() */
	if (!given->log)
		o->log = s->log[0] ? s->log : NULL;
	o->queues = (unsigned int)s->queues;
	o->queue_size = (unsigned int)s->queue_size;
	o->pool = s->pool;
	o->reconnect_ms = s->reconnect_ms;
	o->timeout_ms = (unsigned int)s->timeout_ms;
	o->heartbeat_ms = (unsigned int)s->heartbeat_ms;
	o->config_size = (unsigned int)s->type_config_size;
	for (i = 0; i < 6; i++)
		o->mac[i] = (uint8_t)(s->mac >> (40 - 8 * i));
	o->mtu = (unsigned int)s->mtu;
	o->packed = s->packed;
	o->restart = s->restart;
	o->pool_given = s->pool_given;
	if (s->keep_ms)
		o->keep_ms = (unsigned int)s->keep_ms;
	o->verbose = o->verbose || s->verbose;
}

static bool same(const char *given, const char *left)
{
	return !strcmp(given ? given : "", left);
}

/* The keeper starts what it was told in the beginning, and is told nothing else. */
static bool keeps_command(const struct inheritance *in)
{
	return in->given->exec && in->snapshot.exec[0];
}

/*
 * What the command line says of the device, and the old adapter otherwise, is an attempt to have
 * this one do something else; or a mistake. Only who describes the whole device may have changed
 * his mind: a configuration file was edited.
 */
static int check_against_words(struct adapter *a, const struct inheritance *in)
{
	const struct adapter_options *given = in->given;
	const struct snapshot *s = &in->snapshot;
	const struct {
		const char *option, *given, *left;
		bool fixed;
	} words[] = {
		{ "--state-dir", given->state_dir, s->state_dir, true },
		{ "--node", given->node, s->node, true },
		{ "--socket", given->socket, s->socket, !given->type.id },
		{ "--exec", given->exec, s->exec, !given->type.id },
	};
	size_t i, n = a->options->hearsay ? 2 : ARRAY_SIZE(words);

	for (i = 0; i < n; i++) {
		if (same(words[i].given, words[i].left))
			continue;
		if (words[i].fixed)
			return failure_set(&a->failure, -EPERM,
					   "%s: the old adapter says '%s %.200s', and this one was "
					   "told '%.200s': not taken over", a->options->name,
					   words[i].option, words[i].left,
					   words[i].given ? words[i].given : "");
		log_warning("%s: %s is another one than before, and is used %s", a->options->name,
			    words[i].option, keeps_command(in) ?
			    "when the device is ended and started again" :
			    "from the next start of its back-end on");
	}
	return 0;
}

/* Its own word and the kernel's are two: where they differ there is nothing to go on with. */
static int check_against_kernel(struct adapter *a, const struct snapshot *s,
				struct virtio_loopback_state *state)
{
	int ret = device_get_state(&a->device, state);

	if (ret)
		return failure_set(&a->failure, ret, "the device's state: %s", strerror(-ret));
	if (strcmp(s->name, a->options->name) != 0 || state->device_id != s->type ||
	    state->num_queues != s->total || state->config_size != s->config_size)
		return failure_set(&a->failure, -EINVAL,
				   "what the old adapter left describes another device");
	return 0;
}

static int read_snapshot(struct adapter *a, struct inheritance *in,
			 struct virtio_loopback_state *state)
{
	_cleanup_close_ int fd = device_fetch(&a->device, HANDOVER_SNAPSHOT);
	int ret;

	if (fd < 0)
		return failure_set(&a->failure, fd, "%s: the old adapter left no description of it",
				   a->options->name);
	ret = handover_read(fd, &in->snapshot, &in->busy, &a->failure);
	if (!ret)
		ret = check_against_kernel(a, &in->snapshot, state);
	if (ret)
		return ret;
	in->given = a->options;
	get_options(in);
	a->options = &in->options;
	return check_against_words(a, in);
}

/* A slot that may be empty: -1. */
/* Return: -1, nothing is there, or it could not be had: then a->error is set */
static int fetch(struct adapter *a, unsigned int slot)
{
	int fd = device_fetch(&a->device, slot);

	if (fd < 0 && fd != -ENOENT && !a->error)
		a->error = fd;
	return fd < 0 ? -1 : fd;
}

/* Without memory or descriptors a place that is taken looks like an empty one. */
static int check_fetched(struct adapter *a)
{
	return a->error ? failure_set(&a->failure, a->error,
				      "what the old adapter left cannot be had: %s",
				      strerror(-a->error)) :
			  0;
}

/* A socket need not be one that an adapter made: so it is prepared like one. */
static int fetch_socket(struct adapter *a, unsigned int slot)
{
	int sock = fetch(a, slot);

	if (sock >= 0)
		unwanted_refuse(sock, true); /* best effort */
	return sock;
}

/*
 * A log that nobody has named here is not opened by its name, for that is the old adapter's word.
 * The keeper's heirs have it already; of another one it is what the old one had open. An adapter
 * of an older version does not leave that: then it is the file that attach chooses.
 */
static int get_log(struct adapter *a, const struct adapter_options *given)
{
	const struct adapter_options *o = a->options;
	_cleanup_close_ int fd = -1;
	char usual[PATH_MAX];
	struct stat st;

	if (given->log)
		return adapter_open_log(a, false);
	if (!given->replace || !o->log)
		return 0;
	fd = fetch(a, HANDOVER_LOG);
	if (fd < 0) {
		if (state_path(usual, sizeof(usual), o->state_dir, o->name, "log") ||
		    strcmp(o->log, usual) != 0)
			return 0;
		return adapter_open_log(a, false);
	}
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
		dup2(fd, STDERR_FILENO);
	return 0;
}

static unsigned int hex(const char *text)
{
	const char digit[3] = { text[0], text[1], '\0' };

	return (unsigned int)strtoul(digit, NULL, 16);
}

static int get_queues(struct adapter *a, const struct snapshot *s)
{
	unsigned int i;

	a->queues = calloc(a->plan.total, sizeof(*a->queues));
	if (!a->queues)
		return -ENOMEM;
	for (i = 0; i < a->plan.total; i++)
		a->queues[i] = (struct queue){
			.size = (unsigned int)s->ring_size,
			.kick_fd = fetch(a, HANDOVER_QUEUES + 2 * i),
			.call_fd = fetch(a, HANDOVER_QUEUES + 2 * i + 1),
			.started = s->started[i] == '1',
		};
	return 0;
}

static int get_device(struct adapter *a, const struct snapshot *s,
		      const struct virtio_loopback_state *state)
{
	unsigned int i;

	a->offered = s->offered;
	a->accepted = s->accepted;
	a->features_ok = s->features_ok;
	a->driver_ok = s->driver_ok;
	a->status = (uint32_t)s->status;
	a->config_size = (unsigned int)s->config_size;
	a->together[0] = (uint8_t)(s->together >> 8);
	a->together[1] = (uint8_t)s->together;
	for (i = 0; i < a->config_size; i++)
		a->config[i] = (uint8_t)hex(s->config + 2 * i);
	a->plan = (struct queue_plan){
		.total = (unsigned int)s->total,
		.served = (unsigned int)s->served,
		.counted = (unsigned int)s->counted,
		.segments = (unsigned int)s->segments,
		.segment = (unsigned int)s->segment,
	};
	a->net_pairs = MAX((unsigned int)s->net_pairs, 1U);
	a->parent = (int)state->parent;
	a->virtio_index = state->virtio_index;
	a->pool = (struct pool){
		.fd = fetch(a, VIRTIO_LOOPBACK_STORE_POOL),
		.base = state->pool_base,
		.size = state->pool_size,
		.page_size = a->device.info.page_size,
	};
	if (a->pool.fd < 0)
		return failure_set(&a->failure, -ENOENT, "the pool is not there");
	return get_queues(a, s);
}

static void get_backend(struct adapter *a, const struct snapshot *s)
{
	struct recovery *r = &a->recovery;

	a->fe.sock = fetch_socket(a, HANDOVER_BACKEND);
	a->fe.channel = fetch_socket(a, HANDOVER_CHANNEL);
	a->fe.features = s->backend_features;
	a->fe.protocol = s->protocol;
	a->fe.max_queues = (unsigned int)s->max_queues;
	a->inflight = (struct inflight){
		.fd = fetch(a, HANDOVER_INFLIGHT),
		.mmap_size = s->inflight_size,
		.mmap_offset = s->inflight_offset,
		.num_queues = (unsigned int)s->inflight_queues,
		.queue_size = (unsigned int)s->inflight_queue_size,
	};
	r->waiting = s->waiting;
	r->backend = fetch(a, HANDOVER_PROCESS);
	r->pid = (pid_t)s->backend_pid;
	r->closing = fetch(a, HANDOVER_CLOSING);
	r->quiet_by = s->quiet_by;
	r->give_up = s->give_up;
	r->count = (unsigned int)s->reconnects;
	r->next_try = DEADLINE_NOW;
	if (a->fe.sock >= 0 || r->waiting)
		return;
	/* it was let go of, and the adapter killed before it wrote that down */
	r->waiting = true;
	r->give_up = deadline_after_ms(a->options->reconnect_ms);
}

/* The record may have been made, and stored, and the adapter killed before it wrote that down. */
static void settle_inflight(struct adapter *a, const struct snapshot *s)
{
	if (a->inflight.fd < 0 || !inflight_is_memory(&a->inflight) || s->inflight_size)
		return;
	a->inflight.mmap_size = (uint64_t)lseek(a->inflight.fd, 0, SEEK_END);
	a->inflight.mmap_offset = 0;
	a->inflight.num_queues = a->plan.served;
	a->inflight.queue_size = a->queues[0].size;
}

/*
 * One that was killed may just have given them to a back-end. A record that has to be there is
 * left before that.
 */
static bool rings_are_fresh(const struct adapter *a, const struct inheritance *in)
{
	if (in->snapshot.driver_ok && !in->snapshot.rings_fresh)
		return false;
	return in->busy != HANDOVER_CHANGING ||
	       (recovery_needs_record(a->options) && a->inflight.fd < 0);
}

/* ---- the pieces together ---- */

/* What it starts is not confined: so it is not told a command that only the snapshot has. */
static int open_keeper(struct adapter *a)
{
	const struct adapter_options *o = a->options;

	if (!o->exec || !o->hearsay)
		return adapter_open_keeper(a);
	return failure_set(&a->failure, -EPERM,
			   "%s: its keeper is gone, who knew how to start the back-end: say it once "
			   "more, virtio-loopback upgrade --exec 'COMMAND' %s", o->name, o->name);
}

static int get_keeper(struct adapter *a, struct inheritance *in)
{
	struct adapter_options *o = &in->options;
	int sock = fetch(a, HANDOVER_KEEPER);
	static char path[PATH_MAX]; /* the supervisor keeps it */
	int ret;

	ret = check_fetched(a);
	if (ret)
		return ret;
	if (sock < 0)
		return open_keeper(a);
	/* its command says how the back-end gets its socket; by this name nothing is executed */
	if (keeps_command(in))
		o->exec = in->snapshot.exec;
	ret = state_path(path, sizeof(path), o->state_dir, o->name, "sock");
	if (ret) {
		close(sock);
		return failure_set(&a->failure, ret, "--state-dir: too long");
	}
	/* where else a back-end listens is the keeper's to know */
	ret = supervisor_adopt(&a->supervisor, sock, o->exec, o->exec ? path : NULL, o->sandbox,
			       &a->failure);
	a->supervisor.keeper = (pid_t)in->snapshot.keeper_pid;
	if (ret != -ECONNRESET && ret != -EPIPE)
		return ret;
	/* It died, and a back-end of its own with it. */
	failure_clear(&a->failure);
	supervisor_leave(&a->supervisor);
	if (keeps_command(in))
		o->exec = in->given->exec;
	return open_keeper(a);
}

static int get_lock_and_control(struct adapter *a)
{
	const struct adapter_options *o = a->options;
	char path[PATH_MAX];
	int ret;

	a->lock = fetch(a, HANDOVER_LOCK);
	a->control.listener = fetch(a, HANDOVER_CONTROL);
	if (a->lock < 0)
		a->lock = state_lock(o->state_dir, o->name);
	if (a->lock < 0)
		return failure_set(&a->failure, a->lock, "%s/%s.lock: %s", o->state_dir, o->name,
				   strerror(-a->lock));
	if (a->control.listener >= 0)
		return 0;
	ret = state_path(path, sizeof(path), o->state_dir, o->name, "ctl");
	if (!ret)
		ret = control_init(&a->control, path);
	return ret ? failure_set(&a->failure, ret, "%s/%s.ctl: %s", o->state_dir, o->name,
				 strerror(-ret)) :
		     0;
}

static bool driver_gave_up(struct adapter *a)
{
	struct virtio_loopback_queue queue;
	unsigned int i;

	for (i = 0; i < a->plan.total; i++) {
		if (!device_get_queue(&a->device, i, &queue) &&
		    (queue.flags & VIRTIO_LOOPBACK_QUEUE_BROKEN))
			return true;
	}
	return false;
}

/* Where nothing but an answer can be missing, it is waited for and thrown away. */
static bool connection_is_sound(struct adapter *a, enum handover_busy busy)
{
	if (busy == HANDOVER_ASKING)
		return !frontend_resume(&a->fe, adapter_deadline(a));
	if (busy == HANDOVER_CHANGING)
		failure_set(&a->fe.failure, -ECONNRESET,
			    "the last adapter was killed while it spoke to the back-end");
	return busy == HANDOVER_IDLE;
}

/* What the old adapter may have missed, or left half done. */
static void go_on(struct adapter *a, const struct inheritance *in)
{
	struct recovery *r = &a->recovery;
	int ret = 0;

	/*
	 * The driver reads what the last one has left, and not what that was about to leave: a
	 * write whose answer it never had is asked for again.
	 */
	if (in->busy && a->config_size)
		ret = device_set_config(&a->device, 0, a->config, a->config_size, 0);
	if (ret)
		log_warning("the configuration is not taken by the kernel: %s", strerror(-ret));
	if (a->driver_ok && net_start(a)) {
		adapter_fail(a, a->failure.text);
	} else if (!a->reported) {
		/* nobody was told of this device, and whoever waited for it has heard of its end */
		adapter_fail(a, "its adapter was killed before it was ready");
	} else if (driver_gave_up(a)) {
		adapter_fail(a, "the driver gave the device up: the back-end wrote nonsense into "
				"its virtqueues");
	} else if (frontend_connected(&a->fe) && !connection_is_sound(a, in->busy)) {
		backend_lost(a);
	} else if (r->waiting) {
		if (in->busy)
			r->quiet_by = MAX(r->quiet_by, deadline_after_ms(PROCESS_QUIET_MS));
	} else {
		a->fe.config_changed = true; /* it may have been told and not have asked */
		queues_kick_again(a); /* as after DRIVER_OK, of which it may have been the end */
	}
	backend_announce(a);
	/* All was left by handover_open(), but for what changed since. */
	if (in->busy == HANDOVER_CHANGING) {
		handover_begin(a);
		handover_end(a);
	} else {
		handover_asked(a);
	}
}

static void report(struct adapter *a)
{
	adapter_write_state(a);
	log_notice("%s: virtio%d goes on with this adapter%s", a->options->name, a->virtio_index,
		   a->recovery.waiting ? ", once its back-end is back" : "");
	report_ok(a->options->ready_fd, a->parent, a->virtio_index,
		  a->status & VIRTIO_CONFIG_S_DRIVER_OK);
	manager_ready(a);
}

static int inherit(struct adapter *a, struct inheritance *in)
{
	struct virtio_loopback_state state = { 0 };
	int ret;

	ret = read_snapshot(a, in, &state);
	state_dir_make(a->options->state_dir, NULL); /* the user may be newer than it */
	if (!ret)
		ret = user_choose(&a->user, a->options, &a->failure);
	if (!ret)
		ret = get_log(a, in->given);
	if (!ret)
		ret = adapter_open_signals(a);
	if (ret)
		return ret;
	if (a->options->sandbox)
		sandbox_harden();
	ret = get_lock_and_control(a);
	if (!ret)
		ret = get_device(a, &in->snapshot, &state);
	if (ret)
		return ret;
	get_backend(a, &in->snapshot);
	settle_inflight(a, &in->snapshot);
	a->rings_fresh = rings_are_fresh(a, in);
	ret = check_fetched(a);
	if (!ret)
		ret = get_keeper(a, in);
	return ret ? ret : adapter_confine(a);
}

int adapter_takeover(struct adapter *a)
{
	static struct inheritance inheritance;
	struct inheritance *in = &inheritance;
	int ret;

	ret = take_device(a);
	if (ret) {
		device_close(&a->device);
		return ret;
	}
	/* until all is well it stays an orphan, for another one to try */
	a->leave = true;
	ret = inherit(a, in);
	if (ret == -ENOENT)
		ret = -EINVAL; /* the device is there, only not whole */
	if (ret)
		return ret;
	a->reported = in->snapshot.reported;
	ret = handover_open(a, in->busy);
	if (ret) {
		a->reported = false; /* whoever started this one is told why it ends */
	} else {
		a->leave = false;
		a->phase = ADAPTER_RUNNING;
		go_on(a, in);
	}
	if (!ret && a->phase == ADAPTER_RUNNING)
		report(a);
	return ret;
}
