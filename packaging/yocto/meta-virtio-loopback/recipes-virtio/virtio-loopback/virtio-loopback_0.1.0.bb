# SPDX-License-Identifier: BSD-3-Clause
SUMMARY = "The stock virtio drivers without a hypervisor: user space"
DESCRIPTION = "The adapter between virtio_loopback.ko and a vhost-user back-end, the command \
virtio-loopback, back-ends for disks, consoles, entropy, CAN, GPIO, input, sound and graphics, and \
the display of the latter. Each is a package of its own."
LICENSE = "BSD-3-Clause & GPL-2.0-with-Linux-syscall-note"
LIC_FILES_CHKSUM = " \
    file://LICENSES/BSD-3-Clause.txt;md5=987172b186fc1ea205f1a5d670b0ab4b \
    file://LICENSES/Linux-syscall-note.txt;md5=b8fd6961a627bd2cca84d9319bbbe8e1 \
"

require virtio-loopback-source.inc

# tests and bench: what the ptest package is built from, parts of the module among it.
SRC_URI += " \
    file://meson.build;subdir=${BP} \
    file://meson_options.txt;subdir=${BP} \
    file://src;subdir=${BP} \
    file://docs;subdir=${BP} \
    file://kernel;subdir=${BP} \
    file://tests;subdir=${BP} \
    file://bench;subdir=${BP} \
    file://packaging;subdir=${BP} \
    file://install-ptest;subdir=${BP} \
    file://run-ptest \
"

inherit meson pkgconfig ptest

# A compiler that is newer than the sources may warn of more.
EXTRA_OEMESON = "-Dwerror=false"

# What the layers at hand do not have is left out; add or remove a device as you like.
VIRTIO_LOOPBACK_OE = "${@bb.utils.contains('BBFILE_COLLECTIONS', 'openembedded-layer', '1', '', d)}"
VIRTIO_LOOPBACK_PIPEWIRE = "${@bb.utils.contains('BBFILE_COLLECTIONS', 'multimedia-layer', \
    bb.utils.filter('DISTRO_FEATURES', 'pipewire', d), '', d)}"

PACKAGECONFIG ??= " \
    adapter cli descriptors console rng can gpio input snd gpu display display-png \
    ${@'blk display-vnc' if d.getVar('VIRTIO_LOOPBACK_OE') else ''} \
    ${@'tests' if d.getVar('VIRTIO_LOOPBACK_OE') and d.getVar('PTEST_ENABLED') == '1' else ''} \
    ${@'snd-pipewire' if d.getVar('VIRTIO_LOOPBACK_PIPEWIRE') else ''} \
    ${@bb.utils.contains('DISTRO_FEATURES', 'alsa', 'snd-alsa', '', d)} \
    ${@bb.utils.contains('DISTRO_FEATURES', 'opengl', 'gpu-virgl display-egl', '', d)} \
    ${@bb.utils.contains('DISTRO_FEATURES', 'opengl wayland', 'display-sdl', '', d)} \
    ${@bb.utils.filter('DISTRO_FEATURES', 'seccomp systemd', d)} \
"
# The programs that are of use on the machine that builds, without any library.
PACKAGECONFIG:class-native = "adapter cli console rng can gpio input snd display"

PACKAGECONFIG[adapter] = "-Dadapter=enabled,-Dadapter=disabled"
PACKAGECONFIG[cli] = "-Dcli=enabled,-Dcli=disabled"
PACKAGECONFIG[descriptors] = "-Ddescriptors=enabled,-Ddescriptors=disabled,json-c"
PACKAGECONFIG[blk] = "-Dblk=enabled,-Dblk=disabled,liburing"
PACKAGECONFIG[console] = "-Dconsole=enabled,-Dconsole=disabled"
PACKAGECONFIG[rng] = "-Drng=enabled,-Drng=disabled"
PACKAGECONFIG[can] = "-Dcan=enabled,-Dcan=disabled"
PACKAGECONFIG[gpio] = "-Dgpio=enabled,-Dgpio=disabled"
PACKAGECONFIG[input] = "-Dinput=enabled,-Dinput=disabled"
PACKAGECONFIG[snd] = "-Dsnd=enabled,-Dsnd=disabled"
PACKAGECONFIG[snd-pipewire] = "-Dsnd-pipewire=enabled,-Dsnd-pipewire=disabled,pipewire"
PACKAGECONFIG[snd-alsa] = "-Dsnd-alsa=enabled,-Dsnd-alsa=disabled,alsa-lib"
PACKAGECONFIG[gpu] = "-Dgpu=enabled,-Dgpu=disabled,pixman"
PACKAGECONFIG[gpu-virgl] = "-Dgpu-virgl=enabled,-Dgpu-virgl=disabled,virglrenderer"
PACKAGECONFIG[display] = "-Ddisplay=enabled,-Ddisplay=disabled"
PACKAGECONFIG[display-png] = "-Ddisplay-png=enabled,-Ddisplay-png=disabled,libpng"
PACKAGECONFIG[display-vnc] = "-Ddisplay-vnc=enabled,-Ddisplay-vnc=disabled,libvncserver"
PACKAGECONFIG[display-sdl] = "-Ddisplay-sdl=enabled,-Ddisplay-sdl=disabled,virtual/libsdl2"
PACKAGECONFIG[display-egl] = "-Ddisplay-egl=enabled,-Ddisplay-egl=disabled,libepoxy virtual/libgbm"
PACKAGECONFIG[seccomp] = "-Dseccomp=enabled,-Dseccomp=disabled,libseccomp"
PACKAGECONFIG[systemd] = "-Dsystemd=enabled,-Dsystemd=disabled"
PACKAGECONFIG[tests] = "-Dtests=enabled,-Dtests=disabled,cmocka"

# Meson has noted how each test is called; install-ptest takes the programs along and writes it down.
do_install_ptest() {
    if [ -n "${@bb.utils.filter('PACKAGECONFIG', 'tests', d)}" ]; then
        ${PYTHON} ${S}/install-ptest ${B} ${S} ${bindir} ${D}${PTEST_PATH}
    fi
    install -d ${D}${PTEST_PATH}/lava
    install -m 0755 ${S}/packaging/agl/lava/scripts/* ${D}${PTEST_PATH}/lava/
}
# The tests are programs that stay where ptest-runner looks for them.
INSANE_SKIP:${PN}-ptest += "libdir"

VIRTIO_LOOPBACK_DEVICES = "blk console rng can gpio input snd gpu"

# The package group names each device's package: that of one that was left out is there, and empty.
python __anonymous () {
    pn = d.getVar('PN')
    for device in d.getVar('VIRTIO_LOOPBACK_DEVICES').split():
        package = '%s-%s' % (pn, device)
        d.prependVar('PACKAGES', package + ' ')
        d.setVar('SUMMARY:' + package, 'virtio-loopback: vhost-user-%s, a back-end' % device)
        d.setVar('FILES:' + package, '${bindir}/vhost-user-%s '
                 '${datadir}/qemu/vhost-user/50-virtio-loopback-%s.json' % (device, device))
    for part in d.getVar('VIRTIO_LOOPBACK_DEVICES').split() + ['display']:
        if part not in d.getVar('PACKAGECONFIG').split():
            d.setVar('ALLOW_EMPTY:%s-%s' % (pn, part), '1')
}

PACKAGES =+ "${PN}-adapter ${PN}-tools ${PN}-display"
SUMMARY:${PN}-adapter = "virtio-loopback: the front-end of a vhost-user back-end"
SUMMARY:${PN}-tools = "virtio-loopback: the command that attaches and detaches devices"
SUMMARY:${PN}-display = "virtio-loopback: what a GPU is seen on"
FILES:${PN}-adapter = "${bindir}/virtio-loopback-adapter"
FILES:${PN}-tools = " \
    ${bindir}/virtio-loopback \
    ${datadir}/bash-completion \
    ${nonarch_libdir}/sysusers.d \
    ${nonarch_libdir}/tmpfiles.d \
    ${nonarch_libdir}/udev \
    ${nonarch_base_libdir}/udev \
    ${nonarch_libdir}/systemd \
    ${systemd_system_unitdir} \
    ${sysconfdir}/virtio-loopback \
"
FILES:${PN}-display = "${bindir}/virtio-loopback-display"

# The package of the recipe's own name is what one needs to attach any device.
ALLOW_EMPTY:${PN} = "1"
RDEPENDS:${PN} = "${PN}-adapter ${PN}-tools"
RDEPENDS:${PN}:class-native = ""
RDEPENDS:${PN}-tools = "${PN}-adapter"
RRECOMMENDS:${PN}-adapter = "kernel-module-virtio-loopback"
RRECOMMENDS:${PN}-can = "kernel-module-virtio-can kernel-module-vcan kernel-module-can-raw"
RRECOMMENDS:${PN}-gpio = "kernel-module-gpio-virtio"
RRECOMMENDS:${PN}-gpu = "${PN}-display kernel-module-virtio-gpu"
RRECOMMENDS:${PN}-input = "kernel-module-virtio-input"
RRECOMMENDS:${PN}-snd = "kernel-module-virtio-snd"
RDEPENDS:${PN}-ptest += "${@'${PN}-' + ' ${PN}-'.join(d.getVar('VIRTIO_LOOPBACK_PTEST_DEVICES').split())}"
RDEPENDS:${PN}-ptest += "python3-core python3-ctypes python3-fcntl python3-io python3-mmap"
RDEPENDS:${PN}-ptest:class-native = ""
VIRTIO_LOOPBACK_PTEST_DEVICES = "${@bb.utils.filter('PACKAGECONFIG', \
    '${VIRTIO_LOOPBACK_DEVICES} display', d)}"

BBCLASSEXTEND = "native"
