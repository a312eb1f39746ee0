# SPDX-License-Identifier: BSD-3-Clause
# A kernel is changed only where one asks for it: the AGL feature, or a distribution's own.
require ${@bb.utils.contains('AGL_FEATURES', 'agl-virtio-loopback-vhost', 'virtio-loopback-agl.inc', '', d)}
require ${@bb.utils.contains('DISTRO_FEATURES', 'virtio-loopback', 'virtio-loopback-config.inc', '', d)}
