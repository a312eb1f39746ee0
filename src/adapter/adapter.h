/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One virtio device: the kernel's side, the back-end's side, and the way from one to the other.
 *
 * adapter.c	set-up, end
 * loop.c	the event loop
 * takeover.c	... instead: go on with the device of another adapter
 * handover.c	what this one leaves for the next
 * driver.c	what the driver asks for (messages of the module)
 * queues.c	virtqueues in the back-end: started, stopped
 * recovery.c	the back-end went away
 * gpu.c	the display of a GPU, and its events
 * net.c	the control queue of a network device
 * heartbeat.c	the back-end is there and does nothing
 * manager.c	what the service manager is told
 * transport-*.c	the kernel's side, by one way or another
 *
 * The data never comes by here: kicks go from the driver to the back-end and calls back by eventfds
 * that both hold (but for the calls of VDUSE, see transport-vduse.c).
 */
#ifndef ADAPTER_ADAPTER_H
#define ADAPTER_ADAPTER_H

#define PROGRAM "virtio-loopback-adapter"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "adapter/control.h"
#include "adapter/device.h"
#include "adapter/display.h"
#include "adapter/frontend.h"
#include "adapter/handover.h"
#include "adapter/net-control.h"
#include "adapter/options.h"
#include "adapter/personality.h"
#include "adapter/pool.h"
#include "adapter/supervise.h"
#include "adapter/window.h"
#include "common/deadline.h"
#include "common/failure.h"
#include "common/run-as.h"

/* A burst of questions or commands is interrupted after this time: others wait, too. */
#define ADAPTER_BURST_MS 2000

enum adapter_phase {
	ADAPTER_SETUP, /* up to VIRTIO_LOOPBACK_START */
	ADAPTER_STARTING, /* the driver probes */
	ADAPTER_RUNNING,
	ADAPTER_STOPPING, /* VIRTIO_LOOPBACK_STOP: the driver is removed in good order */
	ADAPTER_OVER,
};

struct queue {
	unsigned int size; /* largest, as created */
	int kick_fd;
	int call_fd;
	bool started; /* in the back-end */
};

/* struct recovery - waiting for a back-end that went away */
struct recovery {
	bool waiting;
	bool replug; /* its device is gone too: the driver starts over with the next back-end */
	int backend; /* pidfd of the process that serves, or served last; -1: not known */
	pid_t pid; /* the same, as a number; 0: not known */
	int closing; /* our end of the lost connection, until the back-end closes its own */
	deadline_t quiet_by; /* a process that lives on until then has let go by itself */
	deadline_t give_up;
	deadline_t next_try;
	unsigned int delay_ms;
	deadline_t settled; /* one that serves for that long is no longer a new one */
	unsigned int count; /* of reconnects that went well */
};

struct adapter {
	const struct adapter_options *options;
	enum adapter_phase phase;
	deadline_t phase_until; /* STARTING and STOPPING come to an end */
	int exit_status;
	int error; /* why set-up failed */
	bool fail; /* the device's I/O is to end in errors before it goes */
	bool leave; /* the device is left to another adapter */

	struct device device;
	struct frontend fe;
	struct supervisor supervisor;
	struct pool pool;
	struct window window;
	struct display display;
	uint32_t events; /* GPU: what has changed, until the driver clears it */
	struct net_control net_control;
	unsigned int net_pairs; /* of virtqueues, that the driver uses */
	struct inflight inflight;
	struct control control;
	struct handover handover;
	struct recovery recovery;
	deadline_t heartbeat; /* the next sign of life is asked for */
	deadline_t watchdog; /* ... and given, to the service manager */

	uint64_t offered; /* feature bits that the driver may use */
	uint64_t accepted; /* ... and that it uses */
	bool features_ok;
	bool driver_ok;
	bool rings_fresh; /* no back-end has had the virtqueues since the driver set them up */
	uint32_t status;
	uint8_t config[CONFIG_SIZE_MAX];
	unsigned int config_size;
	deadline_t config_pace; /* see follow_up() */
	uint8_t together[CONFIG_TOGETHER_MAX]; /* see personality_config_write() */
	struct queue_plan plan;
	struct queue *queues;

	int parent; /* N of virtio-loopback.N, -1: not yet */
	int virtio_index;
	bool reported; /* set-up is over: it went well, and the one who started us knows */
	int lock; /* of the name in the state directory */
	int signals;
	struct run_as user; /* whom it becomes, once it is set up, or has become */
	bool confined;
	struct failure failure;
};

/**
 * adapter_init() - begin; nothing is opened
 * @a:		filled in
 * @options:	must outlive @a
 */
void adapter_init(struct adapter *a, const struct adapter_options *options);
void adapter_finish(struct adapter *a);

/* adapter_open_device() - get to the transport; a->failure is worded */
int adapter_open_device(struct adapter *a);

/* The steps of set-up, in this order. 0, or a negative errno with a->failure worded. */
int adapter_open(struct adapter *a); /* the name, the node, the helper of --exec */
int adapter_connect(struct adapter *a); /* the back-end: socket and handshake */
int adapter_confine(struct adapter *a); /* what it needs no more, unless it is to keep all */
int adapter_create(struct adapter *a); /* the device, which its driver then probes */

/**
 * adapter_takeover() - instead of all these: go on with the device of another adapter
 * @a:		the adapter; --takeover was given
 *
 * Return: 0; -ENOENT when there is no such device, -EBUSY when it has an adapter or is on its way
 * out; or another negative errno. a->failure is worded.
 */
int adapter_takeover(struct adapter *a);

/* adapter_yield() - leave the device to another adapter. Return: why not, or NULL */
const char *adapter_yield(struct adapter *a, unsigned int version);

/* Parts of set-up that both ways have in common. 0, or a negative errno, worded. */
int adapter_open_log(struct adapter *a, bool fresh);
int adapter_open_signals(struct adapter *a);
int adapter_open_keeper(struct adapter *a);

/* adapter_run() - the event loop, until the device is over. Return: exit status of the process */
int adapter_run(struct adapter *a);

/* adapter_end() - end the device in good order; a second time: at once */
void adapter_end(struct adapter *a);

/*
 * adapter_fail() - the device is over, and its I/O ends in errors; @why is logged. It happens when
 * the event loop comes round: until then messages can be answered.
 */
void adapter_fail(struct adapter *a, const char *why);

/* adapter_write_state() - show in the state directory how things are */
void adapter_write_state(struct adapter *a);

/* adapter_registered() - the device is on the virtio bus, and @bound: a driver took it */
void adapter_registered(struct adapter *a, bool bound);

/* adapter_deadline() - for what the back-end has to do for one request */
deadline_t adapter_deadline(const struct adapter *a);

/* ---- driver.c ---- */

/* driver_ready() - the module has messages */
void driver_ready(struct adapter *a);

/* ---- gpu.c ---- */

/* gpu_share_display() - give display and back-end the two ends of a socket; others: nothing */
int gpu_share_display(struct adapter *a, deadline_t deadline);

/* gpu_write_config() - the driver clears events */
int gpu_write_config(struct adapter *a, const struct virtio_loopback_msg *msg);

/* gpu_display_news() - the display has something to say, or has ended */
void gpu_display_news(struct adapter *a);

/* gpu_display_changed() - tell the driver what the display said: it is to ask again */
void gpu_display_changed(struct adapter *a);

/* ---- net.c; for other types all of it does nothing ---- */

/* net_start() - the driver has set its queues up. 0, or a negative errno with a->failure worded */
int net_start(struct adapter *a);

/* net_stop() - the driver has reset the device, or is gone */
void net_stop(struct adapter *a);

/* net_work() - do what the driver has asked for */
void net_work(struct adapter *a);

/* net_kick_fd() - what says that there is work, -1: nothing */
int net_kick_fd(const struct adapter *a);

/* net_queue_in_use() - the driver uses this one: true, but for pairs that it has switched off */
bool net_queue_in_use(const struct adapter *a, unsigned int index);

/* ---- queues.c ---- */

/*
 * queues_open() - fresh eventfds for all, known to the module; none of an old back-end's stays in
 * use
 */
int queues_open(struct adapter *a);
void queues_close(struct adapter *a);

/**
 * queues_start_all() - hand memory and every enabled virtqueue to the back-end
 * @a:		the adapter
 * @replay:	outstanding requests are offered again (the back-end is another one than before)
 * @deadline:	when to give up
 */
int queues_start_all(struct adapter *a, bool replay, deadline_t deadline);

/* queues_stop_all() - the back-end lets go of all of them */
int queues_stop_all(struct adapter *a, deadline_t deadline);

int queues_start_one(struct adapter *a, unsigned int index, bool replay, deadline_t deadline);
int queues_stop_one(struct adapter *a, unsigned int index, deadline_t deadline);

/*
 * queues_kick() - write the kick of each that runs: what the driver kicked before must not be lost
 */
void queues_kick(struct adapter *a);

/*
 * queues_kick_again() - of those only that the driver has kicked
 *
 * For a back-end that has lost nothing otherwise. There are some that hang when a queue is kicked
 * that Linux' driver never kicks: vhost-device-sound 0.3 with its events.
 */
void queues_kick_again(struct adapter *a);

/* queues_poke() - write the kick of one queue */
void queues_poke(const struct adapter *a, unsigned int index);

/* queues_forget() - the back-end is gone, nothing runs there */
void queues_forget(struct adapter *a);

/* ---- heartbeat.c ---- */

/* heartbeat_deadline() - when heartbeat_run() is due, DEADLINE_NEVER: nobody to ask */
deadline_t heartbeat_deadline(const struct adapter *a);

/* heartbeat_run() - ask, if it is time; a back-end that does not answer is lost */
void heartbeat_run(struct adapter *a);

/* ---- recovery.c ---- */

/* backend_connect() - get a connection: from --socket, or by starting --exec. Return: a socket */
int backend_connect(struct adapter *a, deadline_t deadline, struct failure *failure);

/**
 * backend_lost() - the connection to the back-end is of no use any more
 * @a:		the adapter; a->fe.failure says why
 *
 * Return: true when the device waits for it to come back, false when the device is over.
 */
bool backend_lost(struct adapter *a);

/* backend_announce() - tell the kernel which process serves, so that it goes to sleep last */
void backend_announce(struct adapter *a);

/*
 * backend_wait_quiet() - wait until a back-end that went away can touch the pool no more. Return:
 * false when the deadline passed first
 */
bool backend_wait_quiet(struct adapter *a, deadline_t deadline);

/* backend_abandon() - let go of the connection without a word */
void backend_abandon(struct adapter *a);

/*
 * recovery_needs_record() - of packed virtqueues the module keeps no record: a device that goes on
 * with another back-end needs that of the back-end
 */
bool recovery_needs_record(const struct adapter_options *options);

/* recovery_deadline() - when recovery_run() is due, DEADLINE_NEVER: not waiting */
deadline_t recovery_deadline(const struct adapter *a);

/* recovery_run() - try once, if it is time */
void recovery_run(struct adapter *a);

/* config_patch() - write into a fresh configuration space what is settled on this side */
void config_patch(const struct adapter *a, uint8_t *config);

/* config_refresh() - fetch the back-end's configuration and bring the driver's up to date */
int config_refresh(struct adapter *a, uint32_t flags, deadline_t deadline);

#endif
