# SPDX-License-Identifier: BSD-3-Clause
"""Disks of other hosts: NBD by qemu-storage-daemon behind the device, over a link that is lost."""

import os
import signal
import time
from pathlib import Path

from disks import MIB
from harness import test

ADDRESS, PORT = "10.99.7.2", "10809"
SIZE = 16 * MIB
PROGRAMS = ("qemu-storage-daemon", "qemu-nbd", "nsenter", "ss")


class Host:
    """Another host: a network namespace at the other end of a link, with an NBD server in it."""

    def __init__(self, t, image):
        self.t, self.image = t, image
        self.keeper = t.start("unshare", "--net", "sleep", "infinity")
        own = os.readlink("/proc/self/ns/net")
        t.within(10, lambda: os.readlink(f"/proc/{self.keeper.pid}/ns/net") != own, "a namespace")
        t.run("ip", "link", "add", "vlb-near", "type", "veth", "peer", "name", "vlb-far")
        t.at_end(t.run, "ip", "link", "delete", "vlb-near")
        t.run("ip", "link", "set", "vlb-far", "netns", self.keeper.pid)
        t.run("ip", "address", "add", "10.99.7.1/24", "dev", "vlb-near")
        t.run("ip", "link", "set", "vlb-near", "up")
        t.run(*self.inside("ip", "address", "add", f"{ADDRESS}/24", "dev", "vlb-far"))
        self.link("up")
        self.serve()

    def inside(self, *argv):
        return ("nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", *argv)

    def link(self, state):
        self.t.run(*self.inside("ip", "link", "set", "vlb-far", state))

    def serve(self):
        self.server = self.t.start(*self.inside(
            "qemu-nbd", "--persistent", "--format=raw", "--export-name=disk",
            f"--bind={ADDRESS}", f"--port={PORT}", self.image))
        listens = self.inside("ss", "-Hltn", f"sport = :{PORT}")
        self.t.within(20, lambda: self.t.run(*listens).strip(), "a server that listens")


def keep_alive(t):
    """As docs/remote-disks.md has it, for what waits for an answer of a server that is gone."""
    for name, seconds in (("time", 10), ("intvl", 5), ("probes", 6)):
        path = Path(f"/proc/sys/net/ipv4/tcp_keepalive_{name}")
        t.at_end(path.write_text, path.read_text())
        path.write_text(str(seconds))


def attach(t, delay):
    backend = t.backend(
        "qemu-storage-daemon",
        "--blockdev", f"driver=nbd,node-name=disk,server.type=inet,server.host={ADDRESS},"
        f"server.port={PORT},server.keep-alive=on,export=disk,reconnect-delay={delay}",
        "--export", "type=vhost-user-blk,id=disk,node-name=disk,writable=on,addr.type=unix,"
        "addr.path={socket}")
    return t.attach("blk", socket=backend.socket, name="remote")


def written(node):
    """Sectors that were written, as the kernel counts them."""
    return int(Path("/sys/class/block", Path(node).name, "stat").read_text().split()[6])


def lose_link(t, host, node, seconds, restart):
    """For so long; nothing is written meanwhile. A server that is restarted had taken requests."""
    if restart:
        os.kill(host.server.pid, signal.SIGSTOP)
        time.sleep(1)
    host.link("down")
    if restart:
        host.server.kill()
    time.sleep(1)
    before = written(node)
    time.sleep(max(0, seconds - 1))
    t.equal(written(node), before, "sectors written when the link has been lost")
    if restart:
        host.serve()
    host.link("up")


LOSSES = {"2s-restart": {"seconds": 2, "restart": True},
          "5s": {"seconds": 5, "restart": False},
          "60s": {"seconds": 60, "restart": False},
          "60s-restart": {"seconds": 60, "restart": True}}


@test(timeout=300, tags=("blk", "remote"), tier="long", needs=PROGRAMS, cases=LOSSES)
def link_is_lost(t, seconds, restart):
    """A program writes all the while, and sees a pause; what it wrote is on the other host."""
    image = t.image(SIZE, name="remote.img")
    host = Host(t, image)
    keep_alive(t)
    device = attach(t, delay=300)
    writer = t.start("fio", "--name=writer", f"--filename={device.node}", "--direct=1",
                     "--ioengine=libaio", "--iodepth=4", "--rw=randwrite", "--bs=16k",
                     f"--size={SIZE}", "--rate=,4m", "--verify=crc32c", "--do_verify=1",
                     "--verify_fatal=1", "--randseed=7")
    t.within(30, lambda: written(device.node) > 1000, "a megabyte that is written")
    lose_link(t, host, device.node, seconds, restart)
    t.check(writer.alive(), f"expected a writer that waits, saw it end: {writer.said()[-300:]}")
    before, up = written(device.node), time.monotonic()
    # TCP tries again at intervals that double.
    t.within(30 + 2 * seconds, lambda: written(device.node) > before, "writes that go on")
    t.figure(f"writes go on after a loss of {seconds} s{' and of the server' if restart else ''}",
             f"{time.monotonic() - up:.1f} s after the link is there")
    t.equal(writer.wait(100), 0, f"fio's exit status ({writer.said()[-300:]})")
    t.run("dd", f"if={device.node}", f"of={t.tmp}/seen", "bs=1M", "iflag=direct", "status=none")
    device.detach()
    t.run("cmp", image, t.tmp / "seen")
    t.check(any(image.read_bytes()), "expected data in the other host's image, saw zeroes")


@test(timeout=120, tags=("blk", "remote"), tier="long", needs=PROGRAMS)
def link_is_lost_for_too_long(t):
    """After reconnect-delay requests end with an error, and the disk is there when the host is."""
    host = Host(t, t.image(SIZE, name="remote.img"))
    device = attach(t, delay=3)
    read = ("dd", f"if={device.node}", "of=/dev/null", "bs=64k", "count=1", "iflag=direct")
    host.server.kill()
    t.run(*read, status=1, timeout=30)
    host.serve()
    t.within(30, lambda: t.run(*read, status=None) is not None and t.last_status == 0,
             "a disk that can be read again")
    device.detach()
