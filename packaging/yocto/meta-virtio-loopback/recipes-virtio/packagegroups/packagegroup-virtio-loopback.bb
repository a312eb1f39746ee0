# SPDX-License-Identifier: BSD-3-Clause
SUMMARY = "The stock virtio drivers without a hypervisor: all of virtio-loopback"
DESCRIPTION = "The modules, the adapter, the command, the back-ends that were built and their display."

# What the modules are named after is the machine's kernel.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

VIRTIO_LOOPBACK_OE = "${@bb.utils.contains('BBFILE_COLLECTIONS', 'openembedded-layer', '1', '', d)}"

RDEPENDS:${PN} = " \
    virtio-loopback-driver \
    virtio-loopback \
    virtio-loopback-console \
    virtio-loopback-rng \
    virtio-loopback-can \
    virtio-loopback-gpio \
    virtio-loopback-input \
    virtio-loopback-snd \
    virtio-loopback-gpu \
    virtio-loopback-display \
    ${@'virtio-loopback-blk' if d.getVar('VIRTIO_LOOPBACK_OE') else ''} \
"
# It has no module where the kernel has a driver of its own.
RRECOMMENDS:${PN} = "virtio-can-driver"
