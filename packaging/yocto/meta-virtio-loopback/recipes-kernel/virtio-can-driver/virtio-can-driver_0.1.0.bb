# SPDX-License-Identifier: BSD-3-Clause
SUMMARY = "A virtio CAN driver for kernels that have none"
DESCRIPTION = "virtio_can.ko. A kernel with a virtio CAN driver of its own, or without CAN, gets no module."
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://LICENSES/GPL-2.0-only.txt;md5=b234ee4d69f5fce4486a80fdaf4a4263"

require recipes-virtio/virtio-loopback/virtio-loopback-source.inc

SRC_URI += "file://kernel/virtio_can;subdir=${BP}"

inherit module

# The folder has a Kbuild file and no Makefile: the kernel's own is what make is given.
VIRTIO_MODULE = "${S}/kernel/virtio_can"
EXTRA_OEMAKE += "-C ${STAGING_KERNEL_DIR} M=${VIRTIO_MODULE} VLB_TOP=${S}"
MAKE_TARGETS = "modules"
MODULES_MODULE_SYMVERS_LOCATION = "kernel/virtio_can"

RPROVIDES:${PN} += "kernel-module-virtio-can"
