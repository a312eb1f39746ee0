// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/idr.h>
#include <linux/kcov.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_ids.h>

#include "compat.h"
#include "create.h"
#include "device.h"
#include "drain.h"
#include "map.h"
#include "relay.h"
#include "sink.h"
#include "sysfs.h"
#include "trace.h"
#include "transport.h"

#define VLB_DEFAULT_MESSAGE_TIMEOUT_MS	10000
#define VLB_WINDOW_DEFAULT		(4ULL << 30)
#define VLB_WINDOW_MAX			BIT_ULL(40)

/*
 * All devices that exist, for their names to be unique and for takeover.
 * vlb_devices_lock protects the list; it is taken before or without vlb_device.lock.
 */
static DEFINE_MUTEX(vlb_devices_lock);
static LIST_HEAD(vlb_devices);
static DEFINE_IDA(vlb_numbers);

/* The system goes down: no device waits for another adapter. Set under vlb_devices_lock. */
static bool vlb_going_down;

/* Since the last wake-up servers were left out of the freezing. Under vlb_devices_lock. */
static bool vlb_devices_awake;

/*
 * Ends of devices: they wait for a driver, whose I/O is ended before.
 * The ending of I/O has a queue of its own, with a thread kept in reserve: the memory that
 * a new thread needs may be waiting for the very I/O to end. And each device has one for its
 * start and its stop: a queue runs so many works at a time, and both can wait for I/O that
 * never comes.
 */
static struct workqueue_struct *vlb_wq;
static struct workqueue_struct *vlb_fail_wq;

static void vlb_device_release(struct kref *ref)
{
	struct vlb_device *dev = container_of(ref, struct vlb_device, ref);

	destroy_workqueue(dev->wq);
	vlb_servers_finish(&dev->servers);
	vlb_store_finish(&dev->store);
	vlb_window_destroy(dev->window);
	vlb_bounce_finish(&dev->bounce);
	vlb_pool_finish(&dev->pool);
	vlb_queues_finish(dev);
	kfree(dev->config);
	kfree(dev);
	module_put(THIS_MODULE);
}

struct vlb_device *vlb_device_get(struct vlb_device *dev)
{
	kref_get(&dev->ref);
	return dev;
}

void vlb_device_put(struct vlb_device *dev)
{
	kref_put(&dev->ref, vlb_device_release);
}

/* With the device's lock held. */
static void vlb_device_set_state(struct vlb_device *dev, enum virtio_loopback_device_state state)
{
	trace_vlb_state(dev, state);
	WRITE_ONCE(dev->state, state);
}

/*
 * Ends all I/O, with the device's lock held. The back-end has lost the pool before, so that it can
 * neither see nor spoil what follows.
 */
static void vlb_device_end_io_locked(struct vlb_device *dev)
{
	/* There is nothing left to take over. */
	if (dev->state == VIRTIO_LOOPBACK_ORPHAN)
		mod_delayed_work(vlb_wq, &dev->teardown_work, 0);
	if (dev->io_ended)
		return;
	if (!vlb_device_is_over(dev))
		vlb_device_set_state(dev, VIRTIO_LOOPBACK_FAILED);
	/* By way of a socket there, the device's own file may be in it. */
	vlb_store_finish(&dev->store);
	if (!vlb_sink_wanted(dev))
		vlb_bounce_close(&dev->bounce);
	vlb_messages_abort(&dev->messages, -EIO);
	vlb_window_close(dev->window);
	vlb_queues_disarm(dev);
	if (!vlb_sink_wanted(dev) || !vlb_sink_begin(dev)) {
		vlb_bounce_close(&dev->bounce);
		vlb_drain(dev);
	}
	dev->io_ended = true;
}

static void vlb_device_end_io(struct vlb_device *dev)
{
	/*
	 * Without the lock: who holds it may wait for a driver that the back-end keeps busy, and
	 * a back-end with many mappings that it touches again makes this slow.
	 */
	vlb_pool_revoke(&dev->pool);
	mutex_lock(&dev->lock);
	vlb_device_end_io_locked(dev);
	mutex_unlock(&dev->lock);
}

static void vlb_vdev_release(struct device *device)
{
	struct virtio_device *vdev = container_of(device, struct virtio_device, dev);
	struct vlb_vdev *vv = container_of(vdev, struct vlb_vdev, vdev);
	struct vlb_device *dev = vv->dev;

	kfree(vv);
	vlb_device_put(dev);
}

static struct vlb_vdev *vlb_vdev_create(struct vlb_device *dev)
{
	struct vlb_vdev *vv = kzalloc(sizeof(*vv), GFP_KERNEL);

	if (!vv)
		return NULL;
	vv->dev = vlb_device_get(dev);
	vv->vdev.dev.parent = &dev->parent->dev;
	vv->vdev.dev.release = vlb_vdev_release;
	vv->vdev.config = &vlb_transport_ops;
	vv->vdev.id.device = dev->device_id;
	vv->vdev.id.vendor = dev->vendor_id;
	vlb_map_virtio_init(&vv->vdev);
	return vv;
}

static void vlb_start_work(struct work_struct *work)
{
	struct vlb_device *dev = container_of(work, struct vlb_device, start_work);
	struct vlb_vdev *vv = dev->vdev;
	int err;

	kcov_remote_start_common(dev->kcov);
	err = register_virtio_device(&vv->vdev);
	mutex_lock(&dev->lock);
	if (err) {
		dev->vdev = NULL;
		if (dev->state == VIRTIO_LOOPBACK_ORPHAN)
			mod_delayed_work(vlb_wq, &dev->teardown_work, 0);
		else if (!vlb_device_is_over(dev))
			vlb_device_set_state(dev, VIRTIO_LOOPBACK_CREATED);
	} else {
		vv->registered = true;
		if (dev->config_missed)
			virtio_config_changed(&vv->vdev);
	}
	dev->config_missed = false;
	mutex_unlock(&dev->lock);
	/* Whether it was registered or not, this is how a struct device is let go. */
	if (err)
		put_device(&vv->vdev.dev);
	WRITE_ONCE(dev->messages.register_error, err);
	vlb_messages_raise(&dev->messages, VLB_EVENT_REGISTERED);
	kcov_remote_stop();
}

/* Waits until the driver is gone; whatever it waits for must come or have been ended. */
static void vlb_device_unregister(struct vlb_device *dev)
{
	struct vlb_vdev *vv;

	flush_work(&dev->start_work);
	mutex_lock(&dev->lock);
	vv = dev->vdev;
	if (vv)
		get_device(&vv->vdev.dev);
	mutex_unlock(&dev->lock);
	if (!vv)
		return;

	unregister_virtio_device(&vv->vdev);
	mutex_lock(&dev->lock);
	dev->vdev = NULL;
	mutex_unlock(&dev->lock);
	put_device(&vv->vdev.dev);
}

static void vlb_stop_work(struct work_struct *work)
{
	struct vlb_device *dev = container_of(work, struct vlb_device, stop_work);

	kcov_remote_start_common(dev->kcov);
	vlb_device_unregister(dev);
	mutex_lock(&dev->lock);
	dev->stopping = false;
	if (!vlb_device_is_over(dev))
		vlb_device_set_state(dev, VIRTIO_LOOPBACK_CREATED);
	mutex_unlock(&dev->lock);
	vlb_messages_raise(&dev->messages, VLB_EVENT_UNREGISTERED);
	kcov_remote_stop();
}

static void vlb_fail_work(struct work_struct *work)
{
	struct vlb_device *dev = container_of(work, struct vlb_device, fail_work);

	kcov_remote_start_common(dev->kcov);
	vlb_device_end_io(dev);
	kcov_remote_stop();
}

/* Any context: the driver has unmapped what is not mapped, and is not to go on. */
static void vlb_device_stray(struct vlb_bounce *bounce)
{
	struct vlb_device *dev = container_of(bounce, struct vlb_device, bounce);

	vlb_queues_break(dev);
	if (!vlb_device_is_over(dev))
		vlb_device_fail_async(dev);
}

static void vlb_teardown_work(struct work_struct *work)
{
	struct vlb_device *dev = container_of(to_delayed_work(work), struct vlb_device,
					      teardown_work);

	mutex_lock(&dev->lock);
	/*
	 * Taken over at the last moment: the reference went with it. And if it is left again
	 * already, a later run has that.
	 */
	if (dev->held || delayed_work_pending(&dev->teardown_work)) {
		mutex_unlock(&dev->lock);
		return;
	}
	kcov_remote_start_common(dev->kcov);
	vlb_device_set_state(dev, VIRTIO_LOOPBACK_DEAD);
	/*
	 * The other ends see that nobody comes any more. Not only when the last user lets go
	 * of the device: that may be a file system which waits for an administrator.
	 */
	vlb_store_finish(&dev->store);
	mutex_unlock(&dev->lock);

	vlb_messages_close(&dev->messages);
	queue_work(vlb_fail_wq, &dev->fail_work);
	flush_work(&dev->fail_work);
	flush_work(&dev->stop_work);
	vlb_device_unregister(dev);
	/* The driver's last unmappings may have asked for it again. */
	flush_work(&dev->fail_work);
	flush_work(&dev->sink_work);

	/* Who sees that the parent has gone may use the name and the number again at once. */
	mutex_lock(&vlb_devices_lock);
	platform_device_unregister(dev->parent);
	list_del(&dev->node);
	ida_free(&vlb_numbers, dev->number);
	mutex_unlock(&vlb_devices_lock);
	vlb_device_put(dev);
	kcov_remote_stop();
}

static int vlb_device_init_config(struct vlb_device *dev, const struct virtio_loopback_create *args)
{
	/* At least one byte, for the pointer to be one. */
	dev->config = kzalloc(args->config_size + 1, GFP_KERNEL_ACCOUNT);
	if (!dev->config)
		return -ENOMEM;
	dev->config_size = args->config_size;
	if (copy_from_user(dev->config, u64_to_user_ptr(args->config), args->config_size)) {
		kfree(dev->config);
		return -EFAULT;
	}
	return 0;
}

static int vlb_device_init_memory(struct vlb_device *dev, const struct virtio_loopback_create *args,
				  const u16 *sizes, const u16 *flags)
{
	int err;

	err = vlb_pool_init(&dev->pool, args->pool_fd);
	if (err)
		return err;
	err = vlb_bounce_init(&dev->bounce, &dev->pool, args->pool_base,
			      vlb_queues_ring_size(sizes, flags, args->num_queues, args->features));
	if (err)
		vlb_pool_finish(&dev->pool);
	dev->bounce.stray = vlb_device_stray;
	dev->bounce.private_rings = vlb_relay_wanted(dev->features);
	return err;
}

static void vlb_device_init_fields(struct vlb_device *dev,
				   const struct virtio_loopback_create *args, kuid_t creator)
{
	u32 timeout = args->message_timeout_ms ?: VLB_DEFAULT_MESSAGE_TIMEOUT_MS;

	kref_init(&dev->ref);
	strscpy(dev->name, args->name, sizeof(dev->name));
	dev->creator = creator;
	dev->pid = task_tgid_nr(current);
	dev->held = true;
	dev->device_id = args->device_id;
	dev->vendor_id = args->vendor_id;
	dev->features = args->features | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	dev->message_timeout = msecs_to_jiffies(timeout);
	dev->orphan_timeout = msecs_to_jiffies(args->orphan_timeout_ms);
	dev->servers.adapter = get_pid(task_tgid(current));
	dev->kcov = kcov_common_handle();
	dev->state = VIRTIO_LOOPBACK_CREATED;
	mutex_init(&dev->lock);
	mutex_init(&dev->vq_lock);
	spin_lock_init(&dev->config_lock);
	vlb_messages_init(&dev->messages);
	INIT_WORK(&dev->start_work, vlb_start_work);
	INIT_WORK(&dev->stop_work, vlb_stop_work);
	INIT_WORK(&dev->fail_work, vlb_fail_work);
	INIT_WORK(&dev->sink_work, vlb_sink_work);
	INIT_DELAYED_WORK(&dev->teardown_work, vlb_teardown_work);
}

static struct vlb_device *vlb_device_alloc(const struct virtio_loopback_create *args,
					   kuid_t creator)
{
	struct vlb_device *dev;
	u16 *sizes, *flags;
	int err;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	vlb_device_init_fields(dev, args, creator);
	dev->wq = alloc_workqueue("virtio-loopback-driver", WQ_UNBOUND, 2);
	if (!dev->wq) {
		err = -ENOMEM;
		goto err_dev;
	}
	sizes = kcalloc(2 * args->num_queues, sizeof(*sizes), GFP_KERNEL_ACCOUNT);
	if (!sizes) {
		err = -ENOMEM;
		goto err_wq;
	}
	flags = sizes + args->num_queues;
	err = vlb_create_fetch_queues(args, sizes, flags);
	if (err)
		goto err_sizes;
	err = vlb_device_init_config(dev, args);
	if (err)
		goto err_sizes;
	err = vlb_queues_init(dev, sizes, flags, args->num_queues);
	if (err)
		goto err_config;
	err = vlb_device_init_memory(dev, args, sizes, flags);
	if (err)
		goto err_queues;
	kfree(sizes);
	/* Given back by vlb_device_release(); the caller holds the module by its open file. */
	__module_get(THIS_MODULE);
	return dev;

err_queues:
	vlb_queues_finish(dev);
err_config:
	kfree(dev->config);
err_sizes:
	kfree(sizes);
err_wq:
	destroy_workqueue(dev->wq);
err_dev:
	vlb_servers_finish(&dev->servers);
	kfree(dev);
	return ERR_PTR(err);
}

static void vlb_parent_release(struct device *parent)
{
	struct vlb_device *dev = dev_get_drvdata(parent);

	dev->release_parent(parent);
	vlb_device_put(dev);
}

static int vlb_device_add_parent(struct vlb_device *dev)
{
	struct platform_device *parent;
	int err;

	parent = platform_device_alloc("virtio-loopback", dev->number);
	if (!parent)
		return -ENOMEM;
	parent->dev.groups = vlb_sysfs_groups;
	parent->dev.type = &vlb_sysfs_type;
	platform_set_drvdata(parent, vlb_device_get(dev));
	dev->release_parent = parent->dev.release;
	parent->dev.release = vlb_parent_release;
	vlb_map_dma_init(&parent->dev);
	err = platform_device_add(parent);
	if (err) {
		platform_device_put(parent);
		return err;
	}
	dev->parent = parent;
	return 0;
}

/* With vlb_devices_lock held. */
static struct vlb_device *vlb_device_find(const char *name)
{
	struct vlb_device *dev;

	list_for_each_entry(dev, &vlb_devices, node)
		if (!strcmp(dev->name, name))
			return dev;
	return NULL;
}

static int vlb_device_publish(struct vlb_device *dev)
{
	int err;

	mutex_lock(&vlb_devices_lock);
	if (vlb_device_find(dev->name)) {
		err = -EEXIST;
		goto out_unlock;
	}
	err = ida_alloc(&vlb_numbers, GFP_KERNEL);
	if (err < 0)
		goto out_unlock;
	dev->number = err;
	err = vlb_device_add_parent(dev);
	if (err)
		ida_free(&vlb_numbers, dev->number);
	else
		list_add_tail(&dev->node, &vlb_devices);
out_unlock:
	mutex_unlock(&vlb_devices_lock);
	return err;
}

/**
 * vlb_device_create() - VIRTIO_LOOPBACK_CREATE
 * @args:    not checked yet, but for what is reserved
 * @creator: who opened the file
 *
 * Return: the device, its one reference the caller's, or an error pointer as the UAPI
 * says.
 */
struct vlb_device *vlb_device_create(const struct virtio_loopback_create *args, kuid_t creator)
{
	struct vlb_device *dev;
	int err;

	err = vlb_create_check(args);
	if (err)
		return ERR_PTR(err);
	dev = vlb_device_alloc(args, creator);
	if (IS_ERR(dev))
		return dev;
	err = vlb_device_publish(dev);
	if (err) {
		vlb_device_put(dev);
		return ERR_PTR(err);
	}
	return dev;
}

static int vlb_device_adopt(struct vlb_device *dev, kuid_t taker, bool admin)
{
	if (dev->state != VIRTIO_LOOPBACK_ORPHAN)
		return -EBUSY;
	if (!uid_eq(dev->creator, taker) && !admin)
		return -EPERM;
	/* The teardown finds the device held, should it be on its way. */
	dev->held = true;
	vlb_device_set_state(dev, VIRTIO_LOOPBACK_RUNNING);
	cancel_delayed_work(&dev->teardown_work);
	dev->pid = task_tgid_nr(current);
	vlb_servers_set_adapter(&dev->servers);
	return 0;
}

/**
 * vlb_device_takeover() - VIRTIO_LOOPBACK_TAKEOVER
 * @args:  which
 * @taker: who opened the file
 * @admin: it was opened with CAP_SYS_ADMIN
 *
 * Return: the device with the reference that its orphan timer held, or an error pointer.
 */
struct vlb_device *vlb_device_takeover(const struct virtio_loopback_takeover *args, kuid_t taker,
				       bool admin)
{
	struct vlb_device *dev;
	int err;

	if (!vlb_name_is_valid(args->name))
		return ERR_PTR(-EINVAL);
	mutex_lock(&vlb_devices_lock);
	dev = vlb_device_find(args->name);
	if (dev)
		vlb_device_get(dev);
	mutex_unlock(&vlb_devices_lock);
	if (!dev)
		return ERR_PTR(-ENOENT);
	/* Whose I/O is being ended has it for a while: that is nobody else's affair. */
	err = mutex_lock_interruptible(&dev->lock);
	if (!err) {
		err = vlb_device_adopt(dev, taker, admin);
		mutex_unlock(&dev->lock);
	}
	vlb_device_put(dev);
	return err ? ERR_PTR(err) : dev;
}

/**
 * vlb_device_start() - VIRTIO_LOOPBACK_START
 * @dev: its lock is held
 *
 * Return: 0, -EINVAL (not in CREATED) or -ENOMEM.
 */
int vlb_device_start(struct vlb_device *dev)
{
	if (dev->state != VIRTIO_LOOPBACK_CREATED || dev->vdev)
		return -EINVAL;
	dev->vdev = vlb_vdev_create(dev);
	if (!dev->vdev)
		return -ENOMEM;
	vlb_device_set_state(dev, VIRTIO_LOOPBACK_RUNNING);
	queue_work(dev->wq, &dev->start_work);
	return 0;
}

/**
 * vlb_device_stop() - VIRTIO_LOOPBACK_STOP
 * @dev: its lock is held
 *
 * Return: 0, -EINVAL (not in RUNNING) or -EALREADY.
 */
int vlb_device_stop(struct vlb_device *dev)
{
	if (dev->state != VIRTIO_LOOPBACK_RUNNING)
		return -EINVAL;
	if (dev->stopping)
		return -EALREADY;
	dev->stopping = true;
	queue_work(dev->wq, &dev->stop_work);
	return 0;
}

/**
 * vlb_device_fail() - VIRTIO_LOOPBACK_FAIL
 * @dev: the device
 *
 * Return: 0, -EINVAL (nothing to end) or -EINTR.
 */
int vlb_device_fail(struct vlb_device *dev)
{
	int err = mutex_lock_interruptible(&dev->lock);

	if (err)
		return err;
	if (dev->state != VIRTIO_LOOPBACK_RUNNING && dev->state != VIRTIO_LOOPBACK_FAILED)
		err = -EINVAL;
	mutex_unlock(&dev->lock);
	if (!err)
		vlb_device_end_io(dev);
	return err;
}

/**
 * vlb_device_end() - the administrator does not wait for the adapter
 * @dev: in any state
 *
 * All I/O ends soon, and what is stored is let go of. The device goes with its file, which may be
 * gone by that. Does not wait: this comes by a file that the device's end waits for.
 */
void vlb_device_end(struct vlb_device *dev)
{
	mutex_lock(&dev->lock);
	dev->destroy = true;
	/* With the lock: the teardown, which waits for this work, comes after it. */
	if (dev->state != VIRTIO_LOOPBACK_DEAD)
		vlb_device_fail_async(dev);
	mutex_unlock(&dev->lock);
}

static int vlb_device_add_window(struct vlb_device *dev, u64 base, u64 size)
{
	struct vlb_window *window;

	if (dev->state != VIRTIO_LOOPBACK_CREATED || dev->vdev)
		return -EINVAL;
	if (!base || !PAGE_ALIGNED(base) || !PAGE_ALIGNED(size) || size > VLB_WINDOW_MAX ||
	    base > S64_MAX - size || base + size - 1 > (dma_addr_t)~0ULL)
		return -EINVAL;
	if (base < dev->bounce.base + dev->pool.size && dev->bounce.base < base + size)
		return -EINVAL;
	window = vlb_window_create(dev->number, base, size);
	if (IS_ERR(window))
		return PTR_ERR(window);
	dev->window = window;
	return 0;
}

/**
 * vlb_device_open_window() - VIRTIO_LOOPBACK_WINDOW_FD
 * @dev:  its lock is held
 * @args: what is asked for, and then what there is
 *
 * Return: 0 or a negative errno as the UAPI says.
 */
int vlb_device_open_window(struct vlb_device *dev, struct virtio_loopback_window *args)
{
	int fd, err = 0;

	if (!VLB_HAVE_DMA_OPS)
		return -EOPNOTSUPP;
	if (!dev->window)
		err = vlb_device_add_window(dev, args->base, args->length ?: VLB_WINDOW_DEFAULT);
	else if ((args->base && args->base != dev->window->base) ||
		 (args->length && args->length != dev->window->size))
		err = -EINVAL;
	if (err)
		return err;
	fd = vlb_window_open(dev->window, dev->name);
	if (fd < 0)
		return fd;
	args->base = dev->window->base;
	args->length = dev->window->size;
	args->fd = fd;
	return 0;
}

/**
 * vlb_device_fail_async() - end all I/O soon
 * @dev: any context; the caller may be what the end has to unblock
 */
void vlb_device_fail_async(struct vlb_device *dev)
{
	queue_work(vlb_fail_wq, &dev->fail_work);
}

/* There is something for the kernel to give back; any context. */
void vlb_sink_kick(struct vlb_device *dev)
{
	queue_work(vlb_fail_wq, &dev->sink_work);
}

/**
 * vlb_device_close() - the adapter's file is closed
 * @dev: the file's reference goes to the teardown work
 */
void vlb_device_close(struct vlb_device *dev)
{
	unsigned long delay = 0;

	/* For the lock to be there until it has been let go of: the teardown may be quick. */
	vlb_device_get(dev);
	mutex_lock(&dev->lock);
	dev->pid = 0;
	dev->held = false;
	if (dev->state == VIRTIO_LOOPBACK_RUNNING && dev->orphan_timeout && !dev->destroy &&
	    !dev->stopping && !READ_ONCE(vlb_going_down)) {
		vlb_device_set_state(dev, VIRTIO_LOOPBACK_ORPHAN);
		vlb_messages_requeue(&dev->messages);
		delay = dev->orphan_timeout;
	} else {
		vlb_device_set_state(dev, VIRTIO_LOOPBACK_DEAD);
		vlb_messages_close(&dev->messages);
		/* What a start waits for ends here, however many teardowns are before this one. */
		vlb_device_fail_async(dev);
	}
	/* With the lock: a run that waits for it is to see that there is another one. */
	queue_delayed_work(vlb_wq, &dev->teardown_work, delay);
	mutex_unlock(&dev->lock);
	vlb_device_put(dev);
}

/**
 * vlb_device_get_state() - VIRTIO_LOOPBACK_GET_STATE
 * @dev: its lock is held
 * @out: zeroed by the caller
 */
void vlb_device_get_state(struct vlb_device *dev, struct virtio_loopback_state *out)
{
	struct vlb_vdev *vv = dev->vdev;

	out->size = sizeof(*out);
	out->state = dev->state;
	out->flags = dev->suspended ? VIRTIO_LOOPBACK_STATE_SUSPENDED : 0;
	out->status = dev->status;
	out->features = vv ? vv->vdev.features & ~BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) : 0;
	out->parent = dev->number;
	out->virtio_index = vv && vv->registered ? vv->vdev.index : -1;
	out->num_queues = dev->num_queues;
	out->config_size = dev->config_size;
	out->device_id = dev->device_id;
	out->generation = dev->generation;
	out->pool_base = dev->bounce.base;
	out->pool_size = dev->pool.size;
}

/* The system is about to sleep; user space still runs. */
void vlb_devices_sleep(void)
{
	struct vlb_device *dev;

	mutex_lock(&vlb_devices_lock);
	list_for_each_entry(dev, &vlb_devices, node) {
		mutex_lock(&dev->lock);
		vlb_devices_awake = true;
		WRITE_ONCE(dev->suspended, true);
		vlb_servers_keep_awake(&dev->servers);
		mutex_unlock(&dev->lock);
	}
	mutex_unlock(&vlb_devices_lock);
}

/* It is back, or did not get to sleep; user space runs again. */
void vlb_devices_wake(void)
{
	struct vlb_device *dev;

	mutex_lock(&vlb_devices_lock);
	list_for_each_entry(dev, &vlb_devices, node) {
		mutex_lock(&dev->lock);
		dev->servers.awake = false; /* as the sweep below makes it */
		WRITE_ONCE(dev->suspended, false);
		mutex_unlock(&dev->lock);
		vlb_messages_raise(&dev->messages, VLB_EVENT_RESUMED);
	}
	if (vlb_devices_awake)
		vlb_servers_sweep();
	vlb_devices_awake = false;
	mutex_unlock(&vlb_devices_lock);
}

/*
 * The system is about to go down. Its drivers reset their devices on the way, and would wait for
 * the answer of an adapter that never comes.
 */
void vlb_devices_go_down(void)
{
	struct vlb_device *dev;

	mutex_lock(&vlb_devices_lock);
	WRITE_ONCE(vlb_going_down, true);
	list_for_each_entry(dev, &vlb_devices, node) {
		mutex_lock(&dev->lock);
		if (dev->state == VIRTIO_LOOPBACK_ORPHAN)
			mod_delayed_work(vlb_wq, &dev->teardown_work, 0);
		mutex_unlock(&dev->lock);
	}
	mutex_unlock(&vlb_devices_lock);
}

int vlb_devices_init(void)
{
	vlb_wq = alloc_workqueue("virtio-loopback", WQ_UNBOUND, 0);
	if (!vlb_wq)
		return -ENOMEM;
	vlb_fail_wq = alloc_workqueue("virtio-loopback-fail", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!vlb_fail_wq) {
		destroy_workqueue(vlb_wq);
		return -ENOMEM;
	}
	return 0;
}

/* Devices hold the module: none is left, but the last work may not have returned yet. */
void vlb_devices_exit(void)
{
	destroy_workqueue(vlb_wq);
	destroy_workqueue(vlb_fail_wq);
	ida_destroy(&vlb_numbers);
}
