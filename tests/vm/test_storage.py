# SPDX-License-Identifier: BSD-3-Clause
"""qemu-storage-daemon, that of QEMU 7.2 and the newest of Debian's: raw and qcow2 images, and NBD behind it."""

import re

import disks
from disks import KIB, MIB, Job, fill_ext4, fio
from harness import test
from peers import Newer

SIZE = 64 * MIB
DAEMONS = ("7.2", "newest")
FORMATS = ("raw", "qcow2", "nbd")


class Tools:
    """QEMU's programs of the guest's own Debian, or of a newer one."""

    def __init__(self, t, which):
        self.t, self.newer = t, Newer(t) if which == "newest" else None

    def run(self, *argv, **kw):
        return (self.newer or self.t).run(*(str(a) for a in argv), **kw)

    def backend(self, socket, *argv):
        if self.newer:
            return self.newer.backend(socket, *(str(a) for a in argv))
        process = self.t.start(*argv)
        self.t.within(20, lambda: socket.is_socket() or not process.alive(), "its socket")
        self.t.check(process.alive(), f"{argv[0]} ended at once: {process.said()[-300:]}")
        return process

    def version(self):
        said = self.run("qemu-storage-daemon", "--version")
        return re.search(r"version (\d+\.\d+\.\d+)", said)[1]


class Disk:
    """What disks.py asks of one."""

    def __init__(self, device):
        self.device, self.node = device, device.node

    forget_cache = disks.Disk.forget_cache


def blockdev(t, tools, form, image):
    """The nodes of one format; NBD is a server's that has the raw image."""
    if form == "nbd":
        path = t.tmp / "nbd.sock"
        tools.backend(path, "qemu-nbd", "-f", "raw", "-k", path, "-e", "4", "-t", image)
        return ("--blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={path}")
    words = ("--blockdev", f"driver=file,node-name=file,filename={image},discard=unmap")
    return words + ("--blockdev", f"driver={form},node-name=disk,file=file")


@test(timeout=120, tier="interop", kernels=("debian-6.12",), tags=("blk",), needs=("fio",),
      cases={f"{form}-{which}": {"form": form, "which": which}
             for form in FORMATS for which in DAEMONS})
def daemon(t, form, which):
    """fio writes and verifies, ext4 is filled and read back, and the image holds what the disk showed."""
    tools = Tools(t, which)
    t.peer("qemu-storage-daemon", tools.version(), "blk",
           f"{form}: fio writes and verifies, ext4 is filled and read back, the image compared")
    image, socket = t.tmp / "disk.img", t.tmp / "blk.sock"
    tools.run("qemu-img", "create", "-q", "-f", "qcow2" if form == "qcow2" else "raw", image, SIZE)
    backend = tools.backend(
        socket, "qemu-storage-daemon", *blockdev(t, tools, form, image), "--export",
        f"type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path={socket},"
        "writable=on,num-queues=2")
    disk = Disk(t.attach("blk", socket=socket, queues=2))
    fio(t, disk.node, [Job("libaio", "random", 4 * KIB, 16), Job("io_uring", "sequential",
                                                                 MIB, 4)], timeout=90)
    shown = t.tmp / "shown"
    fill_ext4(t, disk)
    t.run("dd", f"if={disk.node}", f"of={shown}", "bs=1M", "iflag=direct")
    disk.device.detach()
    backend.terminate()
    check_image(t, tools, form, image, shown)


def check_image(t, tools, form, image, shown):
    if form == "qcow2":
        tools.run("qemu-img", "check", "-f", "qcow2", image)
        tools.run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", shown, image)
    else:
        t.run("cmp", shown, image)
