# SPDX-License-Identifier: BSD-3-Clause
SUMMARY = "A small image with all of virtio-loopback and its tests"
LICENSE = "BSD-3-Clause"

IMAGE_FEATURES += "virtio-loopback"
IMAGE_INSTALL = "packagegroup-core-boot ${CORE_IMAGE_EXTRA_INSTALL}"
# What ptest-runner runs, where the distribution has package tests.
IMAGE_INSTALL += "${@bb.utils.contains('DISTRO_FEATURES', 'ptest', 'ptest-runner virtio-loopback-ptest', '', d)}"
# What the tests of the devices use.
IMAGE_INSTALL += "kernel-modules coreutils util-linux iproute2 alsa-utils-aplay"

inherit core-image
