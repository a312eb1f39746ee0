/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * device - one virtio-loopback device, its parts and its life
 *
 *   NEW --create--> CREATED --start--> RUNNING --stop--> CREATED
 *                      |                  |  `--fail--> FAILED
 *                      |                  `--close, orphan time--> ORPHAN --takeover--> RUNNING
 *                      `------- close ----+--- close or orphan time over ---> DEAD
 *
 * References (vlb_device.ref): the open file or, in ORPHAN, the orphan timer; the
 * teardown work; each virtio device that was registered, and the parent, until the last
 * user lets go: a DRM client that stays unmaps on the parent long after the device is gone.
 *
 * Three kinds of work, so that none waits behind what it has to unblock: start (in it
 * the driver's probe may wait for I/O), fail (ends all I/O), and stop/teardown (which
 * lets fail run first where needed, then waits for start, then unbinds the driver).
 */
#ifndef VLB_DEVICE_H
#define VLB_DEVICE_H

#include <linux/kcov.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/virtio.h>
#include <linux/workqueue.h>
#include <linux/virtio_loopback.h>

#include "bounce.h"
#include "message.h"
#include "pool.h"
#include "queue.h"
#include "store.h"
#include "suspend.h"
#include "window.h"

/**
 * struct vlb_vdev - one registration with the virtio bus
 * @vdev:       what drivers see
 * @dev:        its device; a reference is held until @vdev is released
 * @registered: the virtio core has given it its index
 */
struct vlb_vdev {
	struct virtio_device vdev;
	struct vlb_device *dev;
	bool registered;
};

/**
 * struct vlb_device - see above
 * @ref:        see above
 * @node:       in the list of all devices; protected by the list's lock (device.c)
 * @number:     N of "virtio-loopback.N"
 * @name:       the user's, unique in the list
 * @creator:    who opened the file that it was made on, and may take it over
 * @pid:        of the adapter, for people to see
 * @parent:     "virtio-loopback.N", what drivers may map on; it holds a reference until its
 *              last user lets go
 * @release_parent: how the platform bus frees it
 * @device_id:  virtio device id
 * @vendor_id:  virtio vendor id
 * @features:   offered to the driver
 * @message_timeout: jiffies
 * @orphan_timeout:  jiffies, 0: dies with its adapter
 *
 * @lock:       serialises control: state changes, the calls of the adapter, and the
 *              ending of I/O. Never held while a driver probes or is removed
 * @state:      enum virtio_loopback_device_state; written under @lock, read anywhere
 * @held:       an open file holds it; under @lock
 * @destroy:    the adapter asked for the end (VIRTIO_LOOPBACK_DESTROY)
 * @vdev:       the registration, NULL: none; changes under @lock
 * @config_missed: the configuration changed while @vdev was being registered; under @lock
 * @wq:         runs @start_work and @stop_work, which waits for it
 * @start_work: registers @vdev
 * @stop_work:  unregisters it at the adapter's wish
 * @stopping:   @stop_work is on its way; under @lock
 * @fail_work:  ends all I/O
 * @sinking:    its queues stay in order although it has ended, see sink.h
 * @sink_work:  gives buffers back that a driver adds after that
 * @io_ended:   that is done; under @lock
 * @teardown_work: the end; also the orphan timer
 *
 * @vq_lock:    virtqueues come and go under it; taken after @lock, or alone
 * @queues:     the virtqueues
 * @num_queues: how many there are
 * @outstanding: room for a list of the buffers that are out of the largest one, so that the end
 *              of a device needs no memory; under @lock
 * @pool:       memory shared with the back-end
 * @bounce:     who uses what of it
 * @window:     the driver's own pages, shown to the back-end; NULL: there is none. Set once,
 *              before the driver probes
 * @messages:   to the adapter
 * @store:      file descriptors kept for the next adapter
 *
 * @config_lock: protects @config and @generation; taken with interrupts off
 * @config:     what drivers read
 * @config_size: its bytes
 * @generation: counts changes of @config that the device side made
 * @config_changed: when the last one was; under @lock
 * @status:     the status byte; written by the driver's calls, which the virtio core
 *              serialises, and by @fail_work
 * @suspended:  the system is about to sleep: messages wait for longer
 * @servers:    processes that the system's sleep must not stop first, see suspend.h;
 *              changes under @lock
 * @kcov:       of a fuzzer: where the works' coverage goes (KCOV); nowhere for anybody else
 */
struct vlb_device {
	struct kref ref;
	struct list_head node;
	unsigned int number;
	char name[VIRTIO_LOOPBACK_NAME_MAX];
	kuid_t creator;
	pid_t pid;
	struct platform_device *parent;
	void (*release_parent)(struct device *parent);
	u32 device_id;
	u32 vendor_id;
	u64 features;
	unsigned long message_timeout;
	unsigned long orphan_timeout;

	struct mutex lock; /* see @lock above */
	enum virtio_loopback_device_state state;
	bool held;
	bool destroy;
	struct vlb_vdev *vdev;
	bool config_missed;
	struct workqueue_struct *wq;
	struct work_struct start_work;
	struct work_struct stop_work;
	bool stopping;
	struct work_struct fail_work;
	bool sinking;
	struct work_struct sink_work;
	bool io_ended;
	struct delayed_work teardown_work;

	struct mutex vq_lock; /* see @vq_lock above */
	struct vlb_queue *queues;
	unsigned int num_queues;
	struct vlb_outstanding *outstanding;
	struct vlb_pool pool;
	struct vlb_bounce bounce;
	struct vlb_window *window;
	struct vlb_messages messages;
	struct vlb_store store;

	spinlock_t config_lock; /* see @config_lock above */
	u8 *config;
	u32 config_size;
	u32 generation;
	ktime_t config_changed;
	u8 status;
	bool suspended;
	struct vlb_servers servers;

	typeof(kcov_common_handle()) kcov;	/* u64, in 7.2 another */
};

int vlb_devices_init(void);
void vlb_devices_exit(void);
void vlb_devices_sleep(void);
void vlb_devices_wake(void);
void vlb_devices_go_down(void);

struct vlb_device *vlb_device_create(const struct virtio_loopback_create *args, kuid_t creator);
void vlb_device_end(struct vlb_device *dev);
struct vlb_device *vlb_device_takeover(const struct virtio_loopback_takeover *args, kuid_t taker,
				       bool admin);
int vlb_device_start(struct vlb_device *dev);
int vlb_device_stop(struct vlb_device *dev);
int vlb_device_fail(struct vlb_device *dev);
int vlb_device_open_window(struct vlb_device *dev, struct virtio_loopback_window *args);
void vlb_device_fail_async(struct vlb_device *dev);
void vlb_sink_kick(struct vlb_device *dev);
void vlb_device_close(struct vlb_device *dev);
void vlb_device_get_state(struct vlb_device *dev, struct virtio_loopback_state *out);

struct vlb_device *vlb_device_get(struct vlb_device *dev);
void vlb_device_put(struct vlb_device *dev);

static inline struct vlb_device *vlb_device_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct vlb_vdev, vdev)->dev;
}

/* Has its I/O been ended for good, or is it being so? */
static inline bool vlb_device_is_over(const struct vlb_device *dev)
{
	enum virtio_loopback_device_state state = READ_ONCE(dev->state);

	return state == VIRTIO_LOOPBACK_FAILED || state == VIRTIO_LOOPBACK_DEAD;
}

#endif /* VLB_DEVICE_H */
