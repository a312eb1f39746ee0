# SPDX-License-Identifier: BSD-3-Clause
# A kernel is changed only where one asks for it: by the AGL feature, whatever the machine's kernel is
# called, or by the distribution's, where the kernel takes fragments. With both, AGL's way is taken.
VIRTIO_LOOPBACK_BY_AGL = "${@bb.utils.contains('AGL_FEATURES', 'agl-virtio-loopback-vhost', '1', '', d)}"
VIRTIO_LOOPBACK_BY_DISTRO = "${@bb.utils.contains('DISTRO_FEATURES', 'virtio-loopback', '1', '', d)}"
require ${@'virtio-loopback-agl.inc' if bb.data.inherits_class('kernel', d) and d.getVar('VIRTIO_LOOPBACK_BY_AGL') else ''}
require ${@'virtio-loopback-config.inc' if bb.data.inherits_class('kernel-yocto', d) and d.getVar('VIRTIO_LOOPBACK_BY_DISTRO') and not d.getVar('VIRTIO_LOOPBACK_BY_AGL') else ''}
