// SPDX-License-Identifier: BSD-3-Clause
#include "adapter/window.h"

#include <errno.h>
#include <string.h>

#include "adapter/device.h"
#include "common/cleanup.h"

int window_init(struct window *window, struct device *device, struct failure *failure)
{
	struct virtio_loopback_window args = { .base = WINDOW_BASE, .length = WINDOW_SIZE };
	int ret;

	*window = (struct window){ .fd = -1 };
	ret = device_open_window(device, &args);
	if (ret == -EOPNOTSUPP || ret == -ENOTTY)
		return failure_set(failure, -EOPNOTSUPP,
				   "this kernel cannot show the driver's pages to the back-end, "
				   "which this device type needs: it lacks ARCH_HAS_DMA_OPS "
				   "(selected by CONFIG_XEN, on x86 by CONFIG_GART_IOMMU too)");
	if (ret)
		return failure_set(failure, ret, "the window cannot be made: %s", strerror(-ret));
	window->fd = args.fd;
	window->base = args.base;
	window->size = args.length;
	return 0;
}

void window_finish(struct window *window)
{
	fd_close(&window->fd);
}
