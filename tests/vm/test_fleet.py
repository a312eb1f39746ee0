# SPDX-License-Identifier: BSD-3-Clause
"""Disks for a fleet: three machines in networks of their own, by packaging/cloud/fleet-disks."""

import os
import re
import time
from pathlib import Path

from disks import MIB
from harness import test
from harness.devices import Device

ADDRESS, PORT = "10.99.7.2", 10809
NODES = ("node1", "node2", "node3")
PROGRAMS = ("qemu-storage-daemon", "nsenter", "debugfs")


class Namespace:
    """A network of its own."""

    def __init__(self, t):
        self.keeper = t.start("unshare", "--net", "sleep", "infinity")
        own = os.readlink("/proc/self/ns/net")
        t.within(10, lambda: os.readlink(f"/proc/{self.keeper.pid}/ns/net") != own, "a namespace")

    def inside(self, *argv):
        return ("nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", *argv)


class Server(Namespace):
    """The host with the disks, and a bridge that the machines are on."""

    def __init__(self, t, images):
        super().__init__(t)
        self.t, self.images = t, images
        t.module("bridge")
        self.ip("link", "add", "vlb-bridge", "type", "bridge")
        self.ip("address", "add", f"{ADDRESS}/24", "dev", "vlb-bridge")
        self.ip("link", "set", "vlb-bridge", "up")

    def ip(self, *words):
        self.t.run(*self.inside("ip", *words))

    def plug(self, number, node):
        """A cable to a machine."""
        near, far = f"vlb-n{number}", f"vlb-f{number}"
        self.t.run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        self.t.run("ip", "link", "set", near, "netns", node.keeper.pid)
        self.t.run("ip", "link", "set", far, "netns", self.keeper.pid)
        self.t.run(*node.inside("ip", "address", "add", f"10.99.7.{10 + number}/24", "dev", near))
        self.t.run(*node.inside("ip", "link", "set", near, "up"))
        self.ip("link", "set", far, "master", "vlb-bridge", "up")

    def serve(self):
        argv = ["qemu-storage-daemon", "--nbd-server",
                f"addr.type=inet,addr.host={ADDRESS},addr.port={PORT}"]
        for name, path in self.images.items():
            only, write = ("on", "off") if name == "maps" else ("off", "on")
            argv += ["--blockdev", f"driver=file,node-name={name},filename={path},read-only={only}",
                     "--export", f"type=nbd,id={name},node-name={name},name={name}"
                                 f",writable={write}"]
        self.t.start(*self.inside(*argv))


class Node(Namespace):
    """One machine: its network, and the folder that has its /etc."""

    def __init__(self, t, name):
        super().__init__(t)
        self.t, self.name, self.root = t, name, t.tmp / name
        self.starting, self.devices = {}, {}

    def set_up(self, fleet):
        return self.t.run(self.t.top / "packaging/cloud/fleet-disks", "--host", self.name,
                          "--root", self.root, fleet)

    def start(self):
        """As its units do; the names tell the devices of one kernel apart."""
        for conf in sorted((self.root / "etc/virtio-loopback").iterdir()):
            name = f"{self.name}-{conf.stem}"
            self.starting[conf.stem] = self.t.start(*self.inside(
                "virtio-loopback", "attach", "--config", conf, "--name", name))

    def started(self):
        for disk, attach in self.starting.items():
            status = attach.wait(90)
            self.t.equal(status, 0, f"exit status of {self.name}'s attach ({attach.said()[-300:]})")
            self.devices[disk] = Device(self.t, attach.said().strip().splitlines()[-1])
            self.t.at_end(self.devices[disk]._at_end)

    def mount(self):
        """What /etc/fstab says, as systemd does it."""
        for line in (self.root / "etc/fstab").read_text().splitlines():
            node, folder, kind, options = line.split()[:4]
            node = self.devices[Path(node).name].node
            if "x-systemd.makefs" in options.split(","):
                self.t.run(f"mkfs.{kind}", "-q", node)
            self.t.run("mount", "-t", kind, "-o", options, node, self.at(folder))
            self.t.at_end(self.t.run, "umount", "-l", self.at(folder), status=None)

    def at(self, folder):
        return self.root / folder.lstrip("/")


def documented(t):
    """The list in the user data that docs/aws.md shows."""
    text = (t.top / "packaging/cloud/user-data-fleet").read_text()
    lines = re.search(r"- path: /etc/fleet-disks\n  content: \|\n((?: {4}.*\n)+)", text)[1]
    fleet = t.tmp / "fleet-disks"
    fleet.write_text(re.sub(r"^ {4}", "", lines, flags=re.M))
    return fleet


def set_up(t):
    """Three machines with their disks, which wait for a server that comes last."""
    images = {f"{name}-data": t.image(16 * MIB, name=f"{name}-data.img") for name in NODES}
    images["maps"] = t.image(4 * MIB, name="maps.img")
    (t.tmp / "maps").mkdir()
    (t.tmp / "maps/world").write_text("here\n")
    t.run("mkfs.ext4", "-q", "-d", t.tmp / "maps", images["maps"])
    server = Server(t, images)
    fleet = documented(t)
    nodes = [Node(t, name) for name in NODES]
    for number, node in enumerate(nodes, 1):
        server.plug(number, node)
        t.equal(node.set_up(fleet).count(", new"), 2, f"disks that are new on {node.name}")
        t.equal(node.set_up(fleet).count(", new"), 0, "disks that are new the second time")
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", timeout=60)
    for node in nodes:
        node.start()
    time.sleep(3)
    for node in nodes:
        t.check(all(a.alive() for a in node.starting.values()),
                "expected disks that wait for the server")
    server.serve()
    for node in nodes:
        node.started()
        node.mount()
    return images, nodes


@test(timeout=240, tags=("blk", "remote"), tier="long", needs=PROGRAMS)
def three_machines(t):
    """Each has its own disk and the common one, waits for the server, and for its link alone."""
    images, nodes = set_up(t)
    for node in nodes:
        (node.at("/srv/data") / "who").write_text(node.name)
        t.equal((node.at("/srv/maps") / "world").read_text(), "here\n", "the common disk's file")
        t.run("touch", node.at("/srv/maps") / "new", status=1)
    cut = nodes[1]
    t.run(*cut.inside("ip", "link", "set", "vlb-n2", "down"))
    write = ("dd", "if=/dev/urandom", "bs=64k", "count=16", "oflag=direct", "conv=fsync")
    writes = {node.name: t.start(*write, f"of={node.at('/srv/data')}/more") for node in nodes}
    for name in ("node1", "node3"):
        t.equal(writes[name].wait(30), 0, f"exit status of dd on {name}, whose link is there")
    t.check(writes["node2"].alive(), "expected the machine without a link to wait, saw it end")
    t.run(*cut.inside("ip", "link", "set", "vlb-n2", "up"))
    t.equal(writes["node2"].wait(60), 0, "exit status of dd when the link is there again")
    sums = {}
    for node in nodes:
        sums[node.name] = t.run("sha256sum", "-b", node.at("/srv/data") / "more").split()[0]
        for folder in ("/srv/data", "/srv/maps"):
            t.run("umount", node.at(folder))
        for device in node.devices.values():
            device.detach()
    for name in NODES:
        t.equal(t.run("debugfs", "-R", "cat /who", images[f"{name}-data"]).splitlines()[-1], name,
                f"what the server has of {name}")
        t.run("debugfs", "-R", f"dump /more {t.tmp}/{name}.more", images[f"{name}-data"])
        t.equal(t.run("sha256sum", "-b", t.tmp / f"{name}.more").split()[0], sums[name],
                f"what the server has of {name}'s writes")


def tree(folder):
    return {path: path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@test(timeout=60, tags=("remote",))
def list_changes(t):
    """A line that is gone takes its disk along; a list with a mistake changes nothing."""
    fleet, program, root = documented(t), t.top / "packaging/cloud/fleet-disks", t.tmp / "root"
    argv = (program, "--host", "node1", "--root", root, fleet)
    lines = fleet.read_text()
    t.run(*argv)
    before = tree(root)
    fleet.write_text(lines + "* third server/name relative\n")
    t.check("fleet-disks:3: a folder is not 'relative'" in t.run(*argv, status=1),
            "expected the line to be named")
    fleet.write_text(lines + "* third server/name,read-only=off /srv/third\n")
    t.run(*argv, status=1)
    fleet.write_text(lines + "* data server/name /srv/third\n")
    t.check("there is a disk data already" in t.run(*argv, status=1),
            "expected the name to be refused")
    t.equal(tree(root), before, "files after lists with mistakes")
    own = root / "etc/virtio-loopback/own.conf"
    own.write_text("[device]\ntype = rng\nexec = vhost-user-rng\n")
    fleet.write_text("".join(line for line in lines.splitlines(True) if " maps " not in line))
    t.check("maps: gone" in t.run(*argv), "expected maps to be gone")
    after = tree(root)
    t.equal(sorted(path.name for path in after),
            ["60-fleet-disks.conf", "data.conf", "fleet.conf", "fstab", "own.conf"],
            "files that are left")
    t.equal([line.split()[1] for line in (root / "etc/fstab").read_text().splitlines()],
            ["/srv/data"], "what is mounted")
    fleet.write_text("node1 own server/name -\n")
    t.check("own.conf is there, and not of a list" in t.run(*argv, status=1),
            "expected a configuration of the user's to be left alone")
