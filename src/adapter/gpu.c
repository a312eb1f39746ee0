// SPDX-License-Identifier: BSD-3-Clause
/* The front-end's part of a GPU: its display, and the events in its configuration space. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_gpu.h>
#include <stddef.h>
#include <string.h>

#include "adapter/adapter.h"
#include "common/cleanup.h"
#include "common/log.h"

int gpu_share_display(struct adapter *a, deadline_t deadline)
{
	_cleanup_close_ int theirs = -1;

	if (!display_used(&a->display))
		return 0;
	/* a display that takes none now may take the next back-end's */
	theirs = display_connect(&a->display, &a->fe.failure);
	return theirs < 0 ? theirs : frontend_set_gpu_socket(&a->fe, theirs, deadline);
}

/* 5.7.4: events_read is the device's; what is written into events_clear goes from it */
static int store_events(struct adapter *a, uint32_t events, uint32_t flags)
{
	int ret;

	a->events = events;
	config_patch(a, a->config);
	ret = device_set_config(&a->device, 0, a->config, a->config_size, flags);
	if (ret)
		log_warning("events_read is not taken by the kernel: %s", strerror(-ret));
	return ret;
}

int gpu_write_config(struct adapter *a, const struct virtio_loopback_msg *msg)
{
	uint32_t bits;

	if (msg->config.offset != offsetof(struct virtio_gpu_config, events_clear) ||
	    msg->config.length != sizeof(bits))
		return -EOPNOTSUPP;
	memcpy(&bits, msg->config.data, sizeof(bits));
	return store_events(a, a->events & ~le32toh(bits), 0);
}

void gpu_display_news(struct adapter *a)
{
	if (display_ready(&a->display) < 0) {
		/* A monitor can be switched on again; this one cannot come back. */
		log_notice("the display has ended, and so does the device");
		display_finish(&a->display);
		adapter_end(a);
	}
}

void gpu_display_changed(struct adapter *a)
{
	a->display.changed = false;
	if (a->device.fd >= 0 && a->driver_ok)
		store_events(a, a->events | VIRTIO_GPU_EVENT_DISPLAY,
			     VIRTIO_LOOPBACK_CONFIG_NOTIFY);
}
