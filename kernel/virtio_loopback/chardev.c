// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_loopback.h>

#include "chardev.h"
#include "compat.h"
#include "create.h"
#include "device.h"
#include "relay.h"
#include "transport.h"

/* The shortest time between two changes of a configuration. */
#define VLB_CONFIG_PACE_US	1000

/**
 * struct vlb_file - one open file description
 * @lock: serialises its becoming a device, and protects @only
 * @only: the name of the device that it may become, "": of any
 * @dev:  the device, NULL: not yet; set once, a reference is held
 */
struct vlb_file {
	struct mutex lock; /* see @lock above */
	char only[VIRTIO_LOOPBACK_NAME_MAX];
	struct vlb_device *dev;
};

/* The arguments of all calls that have some; each begins with its size. */
union vlb_args {
	struct virtio_loopback_info info;
	struct virtio_loopback_create create;
	struct virtio_loopback_queue_fds queue_fds;
	struct virtio_loopback_config config;
	struct virtio_loopback_queue queue;
	struct virtio_loopback_state state;
	struct virtio_loopback_outstanding outstanding;
	struct virtio_loopback_takeover takeover;
	struct virtio_loopback_store store;
	struct virtio_loopback_fail fail;
	struct virtio_loopback_backend backend;
	struct virtio_loopback_window window;
	struct virtio_loopback_restrict restricted;
};

/* Is a field that is kept for later zero, as it has to be? */
#define vlb_is_clear(field)	(!memchr_inv(&(field), 0, sizeof(field)))

/* The calls whose arguments can grow. */
static const unsigned int vlb_calls[] = {
	VIRTIO_LOOPBACK_GET_INFO,
	VIRTIO_LOOPBACK_CREATE,
	VIRTIO_LOOPBACK_SET_QUEUE_FDS,
	VIRTIO_LOOPBACK_SET_CONFIG,
	VIRTIO_LOOPBACK_GET_QUEUE,
	VIRTIO_LOOPBACK_GET_STATE,
	VIRTIO_LOOPBACK_GET_OUTSTANDING,
	VIRTIO_LOOPBACK_TAKEOVER,
	VIRTIO_LOOPBACK_STORE_FD,
	VIRTIO_LOOPBACK_FETCH_FD,
	VIRTIO_LOOPBACK_FAIL,
	VIRTIO_LOOPBACK_SET_BACKEND,
	VIRTIO_LOOPBACK_WINDOW_FD,
	VIRTIO_LOOPBACK_RESTRICT,
};

/*
 * The size of the arguments is part of a call's number: a program that was built with larger
 * ones than this module knows uses another number for the same call.
 */
static unsigned int vlb_call_known(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vlb_calls); i++)
		if (!((cmd ^ vlb_calls[i]) & ~IOCSIZE_MASK) &&
		    _IOC_SIZE(cmd) > _IOC_SIZE(vlb_calls[i]))
			return vlb_calls[i];
	return cmd;
}

/* By the UAPI's conventions: what is unknown has to be zero. */
static int vlb_fetch(union vlb_args *args, unsigned int cmd, const void __user *user)
{
	size_t known = _IOC_SIZE(cmd);
	u32 size;

	if (!known)
		return 0;
	if (known > sizeof(*args))
		return -ENOTTY;
	if (get_user(size, (const u32 __user *)user))
		return -EFAULT;
	if (size < known)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(args, known, user, size);
}

static int vlb_answer(const union vlb_args *args, unsigned int cmd, void __user *user)
{
	if (!(_IOC_DIR(cmd) & _IOC_READ))
		return 0;
	return copy_to_user(user, args, _IOC_SIZE(cmd)) ? -EFAULT : 0;
}

static int vlb_ioctl_get_info(struct virtio_loopback_info *info)
{
	*info = (struct virtio_loopback_info){
		.size = sizeof(*info),
		.abi = VIRTIO_LOOPBACK_ABI,
		.capabilities = VIRTIO_LOOPBACK_CAP_RING_MAP | VIRTIO_LOOPBACK_CAP_TAKEOVER |
				VIRTIO_LOOPBACK_CAP_OUTSTANDING | VIRTIO_LOOPBACK_CAP_POSTED |
				(VLB_HAVE_DMA_OPS ? VIRTIO_LOOPBACK_CAP_PARENT_MAP |
						    VIRTIO_LOOPBACK_CAP_WINDOW : 0),
		.transport_features = vlb_transport_features(),
		.page_size = PAGE_SIZE,
		.max_queues = VIRTIO_LOOPBACK_QUEUES_MAX,
		.max_queue_size = VIRTIO_LOOPBACK_QUEUE_SIZE_MAX,
		.max_config_size = VIRTIO_LOOPBACK_CONFIG_MAX,
	};
	return 0;
}

static int vlb_file_adopt(struct vlb_file *vf, struct vlb_device *dev)
{
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	/* Pairs with vlb_file_dev(): who sees the device sees it whole. */
	smp_store_release(&vf->dev, dev);
	return 0;
}

/* May it become the device of this name, which need not be one? */
static int vlb_file_check(const struct vlb_file *vf, const char *name)
{
	if (vf->dev)
		return -EBUSY;
	return vf->only[0] && strncmp(vf->only, name, sizeof(vf->only)) ? -EPERM : 0;
}

static int vlb_ioctl_restrict(struct vlb_file *vf, const struct virtio_loopback_restrict *args)
{
	int err;

	if (args->flags || !vlb_is_clear(args->reserved) || !vlb_name_is_valid(args->name))
		return -EINVAL;
	err = mutex_lock_interruptible(&vf->lock);
	if (err)
		return err;
	if (vf->dev || vf->only[0])
		err = -EBUSY;
	else
		memcpy(vf->only, args->name, sizeof(vf->only));
	mutex_unlock(&vf->lock);
	return err;
}

/* A device is of who opened the file, whoever the process has become since. */
static int vlb_ioctl_create(struct file *file, const struct virtio_loopback_create *args)
{
	struct vlb_file *vf = file->private_data;
	int err;

	if (args->flags || args->features_high || args->reserved0 || !vlb_is_clear(args->reserved))
		return -EINVAL;
	/* Another create may wait for memory of its caller's. */
	err = mutex_lock_interruptible(&vf->lock);
	if (err)
		return err;
	err = vlb_file_check(vf, args->name);
	if (!err)
		err = vlb_file_adopt(vf, vlb_device_create(args, file->f_cred->uid));
	mutex_unlock(&vf->lock);
	return err;
}

/* Not who calls: that can be a more privileged process that was handed the file. */
static bool vlb_file_is_admin(const struct file *file)
{
	return file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
}

static int vlb_ioctl_takeover(struct file *file, const struct virtio_loopback_takeover *args)
{
	struct vlb_file *vf = file->private_data;
	int err;

	if (args->flags || !vlb_is_clear(args->reserved))
		return -EINVAL;
	err = mutex_lock_interruptible(&vf->lock);
	if (err)
		return err;
	err = vlb_file_check(vf, args->name);
	if (!err)
		err = vlb_file_adopt(vf, vlb_device_takeover(args, file->f_cred->uid,
							     vlb_file_is_admin(file)));
	mutex_unlock(&vf->lock);
	return err;
}

static struct vlb_queue *vlb_find_queue(struct vlb_device *dev, u32 index)
{
	if (index >= dev->num_queues)
		return NULL;
	return &dev->queues[array_index_nospec(index, dev->num_queues)];
}

static int vlb_ioctl_set_queue_fds(struct vlb_device *dev,
				   const struct virtio_loopback_queue_fds *args)
{
	struct vlb_queue *queue = vlb_find_queue(dev, args->index);

	if (!queue || args->flags || !vlb_is_clear(args->reserved))
		return -EINVAL;
	/* An ended device lets nothing in or out any more. */
	if (vlb_device_is_over(dev))
		return -ENODEV;
	return vlb_queue_set_fds(queue, args->kick_fd, args->call_fd);
}

/*
 * A driver reads its configuration again until it has not changed meanwhile: changes one after the
 * other would keep it at that. The device's lock is held.
 */
static void vlb_pace_config(struct vlb_device *dev)
{
	s64 us = VLB_CONFIG_PACE_US - ktime_us_delta(ktime_get(), dev->config_changed);

	if (us > 0 && us <= VLB_CONFIG_PACE_US)
		usleep_range(us, us + VLB_CONFIG_PACE_US / 10);
	dev->config_changed = ktime_get();
}

/*
 * The two calls whose structure points to more of the caller's memory. That may take as long as
 * it likes to come: they take the device's lock themselves, when it is there.
 */

static int vlb_ioctl_set_config(struct vlb_device *dev, const struct virtio_loopback_config *args)
{
	unsigned long flags;
	u8 *data;
	int err;

	if ((args->flags & ~VIRTIO_LOOPBACK_CONFIG_NOTIFY) || args->reserved ||
	    args->offset > dev->config_size || args->length > dev->config_size - args->offset)
		return -EINVAL;
	data = memdup_user(u64_to_user_ptr(args->data), args->length);
	if (IS_ERR(data))
		return PTR_ERR(data);
	err = mutex_lock_interruptible(&dev->lock);
	if (err)
		goto out_free;

	vlb_pace_config(dev);
	spin_lock_irqsave(&dev->config_lock, flags);
	memcpy(dev->config + args->offset, data, args->length);
	WRITE_ONCE(dev->generation, dev->generation + 1);
	spin_unlock_irqrestore(&dev->config_lock, flags);
	if ((args->flags & VIRTIO_LOOPBACK_CONFIG_NOTIFY) && dev->vdev) {
		if (dev->vdev->registered)
			virtio_config_changed(&dev->vdev->vdev);
		else
			dev->config_missed = true;
	}
	mutex_unlock(&dev->lock);
out_free:
	kfree(data);
	return err;
}

/* Returns how many there are; the first of them, at most @room, are in @heads. */
static int vlb_get_heads(const struct vlb_queue *queue, u16 *heads, u32 room)
{
	struct vlb_device *dev = queue->dev;
	struct vlb_outstanding *list = dev->outstanding;
	unsigned int i, count;
	int err;

	err = mutex_lock_interruptible(&dev->lock);
	if (err)
		return err;
	count = vlb_relay_list(queue->relay, list);
	for (i = 0; i < min(count, room); i++)
		heads[i] = list[i].head;
	mutex_unlock(&dev->lock);
	return count;
}

static int vlb_ioctl_get_outstanding(struct vlb_device *dev,
				     struct virtio_loopback_outstanding *args)
{
	const struct vlb_queue *queue = vlb_find_queue(dev, args->index);
	u32 room;
	u16 *heads;
	int ret;

	if (!queue || args->flags || args->reserved)
		return -EINVAL;
	if (!queue->relay)
		return -EOPNOTSUPP;
	room = min_t(u32, args->count, queue->max);
	heads = kvcalloc(room, sizeof(*heads), GFP_KERNEL_ACCOUNT);
	if (!heads)
		return -ENOMEM;
	ret = vlb_get_heads(queue, heads, room);
	if (ret >= 0) {
		args->count = ret;
		room = min_t(u32, room, ret);
		ret = copy_to_user(u64_to_user_ptr(args->heads), heads, room * sizeof(*heads)) ?
		      -EFAULT : 0;
	}
	kvfree(heads);
	return ret;
}

static int vlb_ioctl_get_queue(struct vlb_device *dev, struct virtio_loopback_queue *args)
{
	struct vlb_queue *queue = vlb_find_queue(dev, args->index);

	if (!queue || !vlb_is_clear(args->reserved))
		return -EINVAL;
	*args = (struct virtio_loopback_queue){ .size = sizeof(*args), .index = args->index };
	mutex_lock(&dev->vq_lock);
	vlb_queue_get(queue, args);
	mutex_unlock(&dev->vq_lock);
	return 0;
}

static int vlb_ioctl_get_state(struct vlb_device *dev, struct virtio_loopback_state *args)
{
	if (!vlb_is_clear(args->reserved))
		return -EINVAL;
	memset(args, 0, sizeof(*args));
	vlb_device_get_state(dev, args);
	return 0;
}

static int vlb_ioctl_set_backend(struct file *file, struct vlb_device *dev,
				 const struct virtio_loopback_backend *args)
{
	if (args->flags || args->pid < 0 || !vlb_is_clear(args->reserved))
		return -EINVAL;
	return vlb_servers_set_backend(&dev->servers, args->pid, file->f_cred->uid,
				       vlb_file_is_admin(file));
}

static int vlb_ioctl_window_fd(struct vlb_device *dev, struct virtio_loopback_window *args)
{
	if (args->flags || args->fd || !vlb_is_clear(args->reserved))
		return -EINVAL;
	if (vlb_device_is_over(dev))
		return -ENODEV;
	return vlb_device_open_window(dev, args);
}

static int vlb_ioctl_fail(struct vlb_device *dev, const struct virtio_loopback_fail *args)
{
	if (args->flags || !vlb_is_clear(args->reserved))
		return -EINVAL;
	return vlb_device_fail(dev);
}

static int vlb_ioctl_destroy(struct vlb_device *dev)
{
	dev->destroy = true;
	return 0;
}

/* With the device's lock held. */
static int vlb_ioctl_device(struct file *file, struct vlb_device *dev, unsigned int cmd,
			    union vlb_args *args)
{
	switch (cmd) {
	case VIRTIO_LOOPBACK_SET_QUEUE_FDS:
		return vlb_ioctl_set_queue_fds(dev, &args->queue_fds);
	case VIRTIO_LOOPBACK_START:
		return vlb_device_start(dev);
	case VIRTIO_LOOPBACK_STOP:
		return vlb_device_stop(dev);
	case VIRTIO_LOOPBACK_GET_QUEUE:
		return vlb_ioctl_get_queue(dev, &args->queue);
	case VIRTIO_LOOPBACK_GET_STATE:
		return vlb_ioctl_get_state(dev, &args->state);
	case VIRTIO_LOOPBACK_CHECK_POOL:
		return vlb_pool_check(&dev->pool);
	case VIRTIO_LOOPBACK_STORE_FD:
		return vlb_device_is_over(dev) ? -ENODEV :
						 vlb_store_put(&dev->store, &args->store);
	case VIRTIO_LOOPBACK_FETCH_FD:
		return vlb_store_get(&dev->store, &args->store, dev->pool.memfd);
	case VIRTIO_LOOPBACK_SET_BACKEND:
		return vlb_ioctl_set_backend(file, dev, &args->backend);
	case VIRTIO_LOOPBACK_WINDOW_FD:
		return vlb_ioctl_window_fd(dev, &args->window);
	case VIRTIO_LOOPBACK_DESTROY:
		return vlb_ioctl_destroy(dev);
	default:
		return -ENOTTY;
	}
}

static struct vlb_device *vlb_file_dev(struct file *file)
{
	struct vlb_file *vf = file->private_data;

	/* Pairs with vlb_file_adopt(). */
	return smp_load_acquire(&vf->dev);
}

static int vlb_ioctl_on_device(struct file *file, unsigned int cmd, union vlb_args *args)
{
	struct vlb_device *dev = vlb_file_dev(file);
	unsigned int noio;
	int err;

	if (!dev)
		return -ENODEV;
	if (cmd == VIRTIO_LOOPBACK_SET_CONFIG)
		return vlb_ioctl_set_config(dev, &args->config);
	if (cmd == VIRTIO_LOOPBACK_GET_OUTSTANDING)
		return vlb_ioctl_get_outstanding(dev, &args->outstanding);
	if (cmd == VIRTIO_LOOPBACK_FAIL)
		return vlb_ioctl_fail(dev, &args->fail);
	err = mutex_lock_interruptible(&dev->lock);
	if (err)
		return err;
	/* What ends the device's I/O takes this lock, and memory may be waiting for that I/O. */
	noio = memalloc_noio_save();
	err = vlb_ioctl_device(file, dev, cmd, args);
	memalloc_noio_restore(noio);
	mutex_unlock(&dev->lock);
	return err;
}

static long vlb_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union vlb_args args;
	int err;

	if (_IOC_TYPE(cmd) != VIRTIO_LOOPBACK_IOC)
		return -ENOTTY;
	cmd = vlb_call_known(cmd);
	err = vlb_fetch(&args, cmd, user);
	if (err)
		return err;
	switch (cmd) {
	case VIRTIO_LOOPBACK_GET_INFO:
		err = vlb_ioctl_get_info(&args.info);
		break;
	case VIRTIO_LOOPBACK_CREATE:
		err = vlb_ioctl_create(file, &args.create);
		break;
	case VIRTIO_LOOPBACK_TAKEOVER:
		err = vlb_ioctl_takeover(file, &args.takeover);
		break;
	case VIRTIO_LOOPBACK_RESTRICT:
		err = vlb_ioctl_restrict(file->private_data, &args.restricted);
		break;
	default:
		err = vlb_ioctl_on_device(file, cmd, &args);
	}
	return err ? err : vlb_answer(&args, cmd, user);
}

static ssize_t vlb_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct vlb_device *dev = vlb_file_dev(file);

	return dev ? vlb_messages_read(dev, buf, len, file->f_flags & O_NONBLOCK) : -ENODEV;
}

static ssize_t vlb_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct vlb_device *dev = vlb_file_dev(file);

	return dev ? vlb_messages_write(dev, buf, len) : -ENODEV;
}

static __poll_t vlb_poll(struct file *file, poll_table *wait)
{
	struct vlb_device *dev = vlb_file_dev(file);

	return dev ? vlb_messages_poll(dev, file, wait) : 0;
}

static int vlb_open(struct inode *inode, struct file *file)
{
	struct vlb_file *vf = kzalloc(sizeof(*vf), GFP_KERNEL_ACCOUNT);

	if (!vf)
		return -ENOMEM;
	mutex_init(&vf->lock);
	file->private_data = vf;
	return stream_open(inode, file);
}

static int vlb_release(struct inode *inode, struct file *file)
{
	struct vlb_file *vf = file->private_data;

	if (vf->dev)
		vlb_device_close(vf->dev);
	kfree(vf);
	return 0;
}

static const struct file_operations vlb_fops = {
	.owner = THIS_MODULE,
	.open = vlb_open,
	.release = vlb_release,
	.read = vlb_read,
	.write = vlb_write,
	.poll = vlb_poll,
	.unlocked_ioctl = vlb_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice vlb_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "virtio-loopback",
	.fops = &vlb_fops,
	.mode = 0600,
};

/* Is it an open file of this driver? */
bool vlb_chardev_is(const struct file *file)
{
	return file->f_op == &vlb_fops;
}

int vlb_chardev_init(void)
{
	return misc_register(&vlb_misc);
}

void vlb_chardev_exit(void)
{
	misc_deregister(&vlb_misc);
}
