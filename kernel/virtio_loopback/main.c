// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

#include "chardev.h"
#include "device.h"
#include "suspend.h"
#include "window.h"

static int __init vlb_init(void)
{
	int err;

	err = vlb_devices_init();
	if (err)
		return err;
	err = vlb_windows_init();
	if (err)
		goto err_devices;
	err = vlb_suspend_init();
	if (err)
		goto err_windows;
	err = vlb_chardev_init();
	if (err)
		goto err_suspend;
	return 0;

err_suspend:
	vlb_suspend_exit();
err_windows:
	vlb_windows_exit();
err_devices:
	vlb_devices_exit();
	return err;
}
module_init(vlb_init);

static void __exit vlb_exit(void)
{
	vlb_chardev_exit();
	vlb_suspend_exit();
	vlb_devices_exit();
	vlb_windows_exit();
}
module_exit(vlb_exit);

MODULE_DESCRIPTION("virtio devices whose device side is a vhost-user back-end");
MODULE_AUTHOR("The virtio-loopback authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
