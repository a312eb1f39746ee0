/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text console of the system, which the kernel moves to the first framebuffer that appears.
 *
 * A loopback device is no place for it: who holds the console's lock would wait for a back-end in
 * user space, and the kernel's own messages behind it. And virtio_gpu loses its last picture when
 * it is unbound while the console draws.
 */
#ifndef ADAPTER_CONSOLE_H
#define ADAPTER_CONSOLE_H

/**
 * console_release() - give the console back when a device was what drew it here
 * @parent:	N of virtio-loopback.N
 *
 * Where there is a framebuffer of another device the console is there, and stays. By hand, it can
 * be moved here all the same: /sys/class/vtconsole.
 */
void console_release(int parent);

#endif
