# SPDX-License-Identifier: BSD-3-Clause
SUMMARY = "The virtio transport of virtio-loopback: a kernel module"
DESCRIPTION = "virtio_loopback.ko: the devices behind the stock virtio drivers are vhost-user \
back-ends in user space, which see the memory of the requests and nothing else."
LICENSE = "GPL-2.0-only & GPL-2.0-with-Linux-syscall-note"
LIC_FILES_CHKSUM = "file://LICENSES/GPL-2.0-only.txt;md5=b234ee4d69f5fce4486a80fdaf4a4263"

require recipes-virtio/virtio-loopback/virtio-loopback-source.inc

SRC_URI += "file://kernel/virtio_loopback;subdir=${BP}"

inherit module

# The folder has a Kbuild file and no Makefile: the kernel's own is what make is given.
VIRTIO_MODULE = "${S}/kernel/virtio_loopback"
EXTRA_OEMAKE += "-C ${STAGING_KERNEL_DIR} M=${VIRTIO_MODULE} VLB_TOP=${S}"
MAKE_TARGETS = "modules"
MODULES_MODULE_SYMVERS_LOCATION = "kernel/virtio_loopback"

RPROVIDES:${PN} += "kernel-module-virtio-loopback"
