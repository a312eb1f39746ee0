// SPDX-License-Identifier: GPL-2.0-only
#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "compat.h"
#include "device.h"
#include "post.h"
#include "relay.h"
#include "sysfs.h"

static struct vlb_device *vlb_sysfs_device(struct device *parent)
{
	return dev_get_drvdata(parent);
}

static ssize_t name_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", vlb_sysfs_device(parent)->name);
}
static DEVICE_ATTR_RO(name);

static ssize_t state_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	static const char * const names[] = {
		[VIRTIO_LOOPBACK_NEW] = "new",
		[VIRTIO_LOOPBACK_CREATED] = "created",
		[VIRTIO_LOOPBACK_RUNNING] = "running",
		[VIRTIO_LOOPBACK_ORPHAN] = "orphan",
		[VIRTIO_LOOPBACK_FAILED] = "failed",
		[VIRTIO_LOOPBACK_DEAD] = "dead",
	};

	return sysfs_emit(buf, "%s\n", names[READ_ONCE(vlb_sysfs_device(parent)->state)]);
}
static DEVICE_ATTR_RO(state);

static ssize_t device_id_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", vlb_sysfs_device(parent)->device_id);
}
static DEVICE_ATTR_RO(device_id);

static ssize_t num_queues_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", vlb_sysfs_device(parent)->num_queues);
}
static DEVICE_ATTR_RO(num_queues);

static ssize_t adapter_pid_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(vlb_sysfs_device(parent)->pid));
}
static DEVICE_ATTR_RO(adapter_pid);

static ssize_t pool_size_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%zu\n", vlb_sysfs_device(parent)->pool.size);
}
static DEVICE_ATTR_RO(pool_size);

static ssize_t pool_used_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	const struct vlb_bounce *bounce = &vlb_sysfs_device(parent)->bounce;

	return sysfs_emit(buf, "%llu\n",
			  (u64)READ_ONCE(bounce->slots.used) << VLB_GRANULE_SHIFT);
}
static DEVICE_ATTR_RO(pool_used);

static ssize_t message_timeouts_show(struct device *parent, struct device_attribute *attr,
				     char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(vlb_sysfs_device(parent)->messages.timeouts));
}
static DEVICE_ATTR_RO(message_timeouts);

/* "key value" lines: sums over the queues and the pool, since the device was created. */
static ssize_t stats_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	struct vlb_device *dev = vlb_sysfs_device(parent);
	struct vlb_bounce *bounce = &dev->bounce;
	const struct vlb_window *window = READ_ONCE(dev->window);
	u64 kicks = 0, calls = 0, posted = 0, full = 0;
	u32 anomalies = 0;
	int len;
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++) {
		kicks += READ_ONCE(dev->queues[i].kicks);
		calls += READ_ONCE(dev->queues[i].calls);
		posted += dev->queues[i].post ? vlb_post_count(dev->queues[i].post) : 0;
		full += dev->queues[i].post ? vlb_post_full(dev->queues[i].post) : 0;
		anomalies += dev->queues[i].relay ? vlb_relay_anomalies(dev->queues[i].relay) : 0;
	}
	len = sysfs_emit(buf,
			 "kicks %llu\ncalls %llu\nmaps %llu\nmaps_refused %llu\n"
			 "maps_live %u\nbytes_to_device %llu\nbytes_from_device %llu\n"
			 "ring_anomalies %u\nposted %llu\nposted_full %llu\n",
			 kicks, calls, READ_ONCE(bounce->mapped), READ_ONCE(bounce->refused),
			 vlb_bounce_live(bounce), READ_ONCE(bounce->bytes_in),
			 READ_ONCE(bounce->bytes_out), anomalies, posted, full);
	if (!window)
		return len;
	return len + sysfs_emit_at(buf, len,
				   "window_maps %llu\nwindow_live %u\nwindow_bytes %llu\n"
				   "window_entered %llu\nwindow_refused %llu\n",
				   READ_ONCE(window->maps), READ_ONCE(window->live),
				   READ_ONCE(window->pages) << PAGE_SHIFT,
				   READ_ONCE(window->entered), READ_ONCE(window->refused));
}
static DEVICE_ATTR_RO(stats);

/* One line a queue, "index kicks calls", as many as fit into a page. */
static ssize_t queues_show(struct device *parent, struct device_attribute *attr, char *buf)
{
	struct vlb_device *dev = vlb_sysfs_device(parent);
	unsigned int i;
	int len = 0;

	for (i = 0; i < dev->num_queues; i++)
		len += sysfs_emit_at(buf, len, "%u %llu %llu\n", i,
				     READ_ONCE(dev->queues[i].kicks),
				     READ_ONCE(dev->queues[i].calls));
	return len;
}
static DEVICE_ATTR_RO(queues);

/* Whatever is written: as FAIL and DESTROY, by who need not have the device's file. */
static ssize_t fail_store(struct device *parent, struct device_attribute *attr, const char *buf,
			  size_t count)
{
	vlb_device_end(vlb_sysfs_device(parent));
	return count;
}
static DEVICE_ATTR_WO(fail);

static struct attribute *vlb_attrs[] = {
	&dev_attr_name.attr,
	&dev_attr_state.attr,
	&dev_attr_device_id.attr,
	&dev_attr_num_queues.attr,
	&dev_attr_adapter_pid.attr,
	&dev_attr_pool_size.attr,
	&dev_attr_pool_used.attr,
	&dev_attr_message_timeouts.attr,
	&dev_attr_stats.attr,
	&dev_attr_queues.attr,
	&dev_attr_fail.attr,
	NULL
};

static const struct attribute_group vlb_group = {
	.attrs = vlb_attrs,
};

const struct attribute_group *vlb_sysfs_groups[] = {
	&vlb_group,
	NULL
};

/*
 * libdrm tells the cards of platform devices apart by this variable, and, where there is none, by
 * the modalias, which all of ours share: programs would find one card for all of them, with the
 * node of any.
 */
static int vlb_sysfs_uevent(VLB_UEVENT_DEVICE *parent, struct kobj_uevent_env *env)
{
	const struct vlb_device *dev = dev_get_drvdata(parent);

	return add_uevent_var(env, "OF_FULLNAME=/virtio-loopback/%s", dev->name);
}

const struct device_type vlb_sysfs_type = {
	.uevent = vlb_sysfs_uevent,
};
