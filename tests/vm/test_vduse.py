# SPDX-License-Identifier: BSD-3-Clause
"""attach --transport vduse: the same adapter and back-ends without the module of this project."""

import signal
import time
from pathlib import Path

from disks import MIB, Disk, Job, fill_ext4, fio, same
from harness import Case, test
from storms import Backend, storm
from test_net import GATEWAY, PORT, Passt, iperf, ping, serve, transfer
from test_attach import refused
from test_teardown import EVENTS, LOADS, start_backend

KERNELS = ("debian-6.12", "debian-7")  # Debian's 6.1 has no VDUSE
NODES = Path("/dev/vduse")
STATE = Path("/run/virtio-loopback")
VDUSE = ("--transport", "vduse")


class VduseDisk(Disk):
    """One of disks.py, by this transport."""

    def attach(self, **attach):
        self.device = self.t.attach("blk", *VDUSE, socket=self.backend.socket, queues=self.queues,
                                    **attach)
        self.node = Path(self.device.node)
        self.sys = Path("/sys/block") / self.node.name


def on_bus(t):
    """What `vdpa dev show` shows."""
    return t.run("vdpa", "dev", "show").splitlines()


def nodes():
    return sorted(p.name for p in NODES.iterdir()) if NODES.exists() else []


def comms():
    """The names of all processes."""
    names = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            names.append(path.read_text().strip())
        except OSError:
            pass
    return names


def nothing_left(t, logs=()):
    """No device, no node, no process, no file but the logs of devices that failed."""
    t.within(30, lambda: not on_bus(t), "vdpa dev show to be empty")
    t.within(20, lambda: nodes() in ([], ["control"]), "the node of the device to be gone")
    t.within(20, lambda: "vl-vduse" not in comms(), "the end of the process beside the adapter")
    t.equal(t.devices(), [], "virtio-loopback list --json")
    left = sorted(p.name for p in STATE.glob("*")) if STATE.exists() else []
    t.equal([name for name in left if name not in logs], [], f"files in {STATE}")


def log_of(t, device):
    """What the adapter and its steward said, shown when the test fails."""
    log = STATE / f"{device.name}.log"
    t.log(f"the adapter said:\n{log.read_text()}" if log.exists() else "the adapter left no log")


# ---- it works ----

@test(timeout=150, kernels=KERNELS, tags=("blk", "vduse"), needs=("fio",),
      cases={"ours": Case({"kind": "ours"}, kernels=KERNELS[:1]),
             "qsd": Case({"kind": "qsd"}, kernels=KERNELS[1:]),
             "ours-rest": Case({"kind": "ours"}, kernels=KERNELS[1:], tier="long"),
             "qsd-rest": Case({"kind": "qsd"}, kernels=KERNELS[:1], tier="long")})
def data(t, kind):
    """fio's own verdict, a file system, and the image: with two virtqueues."""
    disk = VduseDisk(t, kind, t.image(128 * MIB), queues=2, pool="16M")
    entry = disk.device.info()
    for key, value in (("transport", "vduse"), ("state", "running"), ("driver", "virtio_blk"),
                       ("queues", 2), ("nodes", [str(disk.node)])):
        t.equal(entry[key], value, f"list --json: {key}")
    t.equal([line.split(":")[0] for line in on_bus(t)], [disk.device.name], "vdpa dev show")
    fio(t, disk.node, [Job("libaio", "random", 4096, 32, tasks=2), Job("libaio", "sequential", MIB, 8),
                       Job("psync", "random", 512, 1)], timeout=90)
    fill_ext4(t, disk)
    same(t, disk)
    disk.device.detach()
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",))
def without_our_module(t):
    """The module of this project is not loaded for it."""
    t.run("modprobe", "-r", "virtio_loopback")
    t.at_end(t.run, "modprobe", "virtio_loopback")
    device = t.attach("blk", *VDUSE, exec=f"vhost-user-blk --image {t.image(8 * MIB)}")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "iflag=direct")
    t.equal(Path("/sys/module/virtio_loopback").exists(), False, "virtio_loopback is loaded")
    device.detach()
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",))
def another_driver_first(t):
    """vhost_vdpa takes what comes to the bus, when it was loaded first: not this device."""
    t.run("modprobe", "-r", "virtio_vdpa")
    t.run("modprobe", "vhost_vdpa")
    t.at_end(t.run, "modprobe", "-r", "vhost_vdpa")
    device = t.attach("blk", *VDUSE, exec=f"vhost-user-blk --image {t.image(8 * MIB)}")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "iflag=direct")
    device.detach()
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",))
def by_a_file(t):
    """As a unit starts it: the transport is in the file, and --takeover finds nothing and begins."""
    config = t.tmp / "disk.conf"
    config.write_text(f"[device]\ntype = blk\ntransport = vduse\n"
                      f"exec = vhost-user-blk --image {t.image(8 * MIB)}\n")
    out = t.run("virtio-loopback", "attach", "--config", config, "--takeover")
    t.at_end(t.run, "virtio-loopback", "detach", "disk", "--force", status=None)
    t.check(out.startswith("disk virtio"), f"attach: saw {out!r}")
    t.equal(t.devices()[0]["transport"], "vduse", "the transport")
    t.run("virtio-loopback", "detach", "disk")
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",))
def resized(t):
    """A new size of the image reaches the driver by VDUSE's configuration interrupt."""
    disk = VduseDisk(t, "ours", t.image(16 * MIB))
    t.equal(disk.size, 16 * MIB, "the size in the beginning")
    disk.resize(32 * MIB)
    t.within(10, lambda: disk.size == 32 * MIB, "the new size")
    disk.end()
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",))
def driver_unbound_and_bound(t):
    """The driver lets go and takes the device again: its rings lie elsewhere then."""
    image = t.image(16 * MIB, fill=0x5a)
    backend = t.backend("vhost-user-blk", "--image", image)
    device = t.attach("blk", *VDUSE, socket=backend.socket)
    driver = Path("/sys/bus/virtio/drivers/virtio_blk")
    for turn in range(5):
        t.run("cmp", device.node, image)
        (driver / "unbind").write_text(device.virtio)
        t.equal(Path(device.node).exists(), False, f"turn {turn}: {device.node} exists")
        (driver / "bind").write_text(device.virtio)
        t.within(10, lambda: Path(device.node).exists(), f"turn {turn}: {device.node}")
    device.detach()
    nothing_left(t)


@test(timeout=90, kernels=KERNELS[:1], tags=("vduse",))
def cycles(t):
    """Attached and detached again and again, also two at a time."""
    images = [t.image(4 * MIB, name=f"{n}.img") for n in range(2)]
    for _ in range(5):
        pair = [t.attach("blk", *VDUSE, exec=f"vhost-user-blk --image {image}") for image in images]
        t.equal([d.name for d in pair], ["blk0", "blk1"], "names")
        t.run("virtio-loopback", "detach", "--all")
        nothing_left(t)


@test(timeout=90, kernels=KERNELS[:1], tags=("vduse",))
def beside_the_other(t):
    """A device of each transport: both are listed, and each ends by itself."""
    first = t.attach("blk", *VDUSE, exec=f"vhost-user-blk --image {t.image(8 * MIB)}")
    second = t.attach("blk", exec=f"vhost-user-blk --image {t.image(8 * MIB, name='b.img')}")
    seen = {e["name"]: e["transport"] for e in t.devices()}
    t.equal(seen, {first.name: "vduse", second.name: "loopback"}, "transports")
    first.detach()
    t.equal([e["name"] for e in t.devices()], [second.name], "after the end of the first")
    second.detach()
    nothing_left(t)


@test(timeout=90, kernels=KERNELS[:1], tags=("vduse",), needs=("storm",))
def backend_killed(t):
    """With an in-flight record the next back-end goes on: no request is lost."""
    backend = Backend(t, "ours", t.image(32 * MIB))
    device = t.attach("blk", *VDUSE, socket=backend.socket, queues=4)
    storm(t, device, 8, backend.kill_and_restart)
    device.detach()
    nothing_left(t)


@test(timeout=120, tier="interop", kernels=("debian-6.12",), tags=("net", "vduse"))
def network(t):
    """passt by VDUSE: ping, TCP both ways, a file; its end is the device's."""
    peer = Passt(t)
    t.peer("passt", peer.newer.version("passt"), "net")
    device = t.attach("net", *VDUSE, socket=peer.socket)
    t.at_end(log_of, t, device)
    space = peer.namespace(device)
    for size in (56, 1400):
        ping(peer.newer, space, GATEWAY, size)
    serve(t, peer.newer, PORT)
    iperf(t, peer.newer, space, GATEWAY, PORT)
    iperf(t, peer.newer, space, GATEWAY, PORT, "--reverse")
    transfer(t, space, GATEWAY)
    peer.process.kill()
    nothing_left(t, logs=(f"{device.name}.log",))


# ---- it ends ----

# What every change shows; make check-long shows all.
OFTEN = {("kill_adapter", "idle", "ours"), ("kill_adapter", "mounted", "ours"),
         ("kill_adapter", "busy", "scrambled"), ("kill_backend", "busy", "scrambled"),
         ("kill_backend", "mounted", "ours"), ("stop_backend", "busy", "ours"),
         ("force_detach_stopped", "busy", "ours")}


def matrix():
    """Each event under each load. "scrambled" completes out of order, and keeps no record."""
    cases = {}
    for event in EVENTS:
        for load in LOADS:
            for which in ("ours", "qsd", "scrambled"):
                name, args = f"{event}-{load}-{which}", {"event": event, "load": load, "which": which}
                often = (event, load, which) in OFTEN
                cases[name] = Case(args, kernels=KERNELS[:1], tier=None if often else "long")
                cases[f"{name}-rest"] = Case(args, kernels=KERNELS[1:], tier="long")
    return cases


@test(timeout=100, tags=("vduse",), needs=("fio",), cases=matrix())
def ends(t, event, load, which):
    """Whatever dies, I/O ends in errors, and the device goes."""
    backend = start_backend(t, which, t.image(64 * MIB))
    device = t.attach("blk", *VDUSE, socket=backend.socket, reconnect="off", queues=4)
    t.at_end(log_of, t, device)
    user = LOADS[load](t, device.node)
    began = time.monotonic()
    EVENTS[event](t, device, backend)
    t.within(30, lambda: not Path(device.node).exists(), f"the end of {device.node}")
    t.log(f"gone after {time.monotonic() - began:.2f} s")
    nothing_left(t, logs=(f"{device.name}.log",))
    user.over()


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",), needs=("fio",))
def nobody_to_replay(t):
    """A back-end without an in-flight record that dies takes the device with it, also --reconnect forever."""
    backend = start_backend(t, "scrambled", t.image(64 * MIB))
    device = t.attach("blk", *VDUSE, socket=backend.socket, queues=4)
    t.at_end(log_of, t, device)
    user = LOADS["busy"](t, device.node)
    backend.kill()
    user.over()
    nothing_left(t, logs=(f"{device.name}.log",))
    said = (STATE / f"{device.name}.log").read_text()
    t.check("the device has failed" in said, f"the adapter's log: {said[-300:]!r}")


# ---- it is refused ----

@test(timeout=90, kernels=KERNELS[:1], tags=("vduse", "attach"))
def refusals(t):
    """What this transport does not have is said in one line, and nothing is left."""
    image = t.image(4 * MIB)
    blk = ("--exec", f"vhost-user-blk --image {image}")
    for kind, more, says in (("console", ("--exec", "x"), "blk and net, and no others"),
                             ("gpu", ("--exec", "x"), "blk and net, and no others"),
                             ("blk", (*blk, "--pool", "64K"), "--pool from 1M to 1G"),
                             ("blk", (*blk, "--pool", "2G"), "--pool from 1M to 1G"),
                             ("blk", (*blk, "--queue-size", "2048"), "--queue-size up to 1024"),
                             ("blk", (*blk, "--packed"), "split"),
                             ("net", ("--exec", "x", "--queues", "2"), "control virtqueue")):
        refused(t, *VDUSE, *more, says=says, status=2, kind=kind)
    refused(t, "--transport", "pigeon", *blk, says="pigeon", status=2)
    refused(t, *VDUSE, "--exec", "vhost-user-rng", says="is the type right?")
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse", "attach"))
def name_taken(t):
    """By one of ours, and by somebody else's device of VDUSE."""
    device = t.attach("blk", *VDUSE, exec=f"vhost-user-blk --image {t.image(4 * MIB)}", name="disk")
    other = t.image(4 * MIB, name="other.img")
    words = ("--name", "disk", "--exec", f"vhost-user-blk --image {other}")
    for transport in ("loopback", "vduse"):
        out = t.run("virtio-loopback", "attach", "--type", "blk", "--transport", transport, *words,
                    status=1)
        t.check("the name disk is taken" in out, f"{transport}: saw {out!r}")
    out = t.run("virtio-loopback", "upgrade", "disk", status=1)
    t.check("ends with its adapter" in out, f"upgrade: saw {out!r}")
    device.detach()
    daemon = t.start("qemu-storage-daemon", "--blockdev", "driver=null-co,node-name=n,size=1048576",
            "--export", "type=vduse-blk,id=v,name=disk,node-name=n")
    t.within(10, lambda: "disk" in nodes(), "the other one's node")
    out = t.run("virtio-loopback", "attach", "--type", "blk", *VDUSE, *words, status=1, timeout=40)
    t.check("taken by another device of VDUSE" in out, f"another one's: saw {out!r}")
    t.equal(nodes(), ["control", "disk"], "nodes")
    daemon.signal(signal.SIGTERM)
    daemon.wait(20)
    nothing_left(t)


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse", "attach"))
def not_in_this_kernel(t):
    """Which module is missing."""
    for module in ("vduse", "virtio_vdpa"):
        t.run("modprobe", "-r", "virtio_vdpa", "vduse")
        block = Path(f"/etc/modprobe.d/no-{module}.conf")
        block.parent.mkdir(exist_ok=True)
        block.write_text(f"install {module} /bin/false\n")
        t.at_end(block.unlink, missing_ok=True)
        refused(t, *VDUSE, "--exec", f"vhost-user-blk --image {t.image(4 * MIB)}",
                says=f"the kernel module {module} cannot be loaded")
        block.unlink()


@test(timeout=60, kernels=KERNELS[:1], tags=("vduse",))
def in_use(t):
    """detach refuses a mounted one, as with the other transport."""
    device = t.attach("blk", *VDUSE, exec=f"vhost-user-blk --image {t.image(32 * MIB)}")
    t.run("mkfs.ext4", "-q", "-F", device.node)
    mount = t.tmp / "mnt"
    mount.mkdir()
    t.run("mount", device.node, mount)
    t.at_end(t.run, "umount", mount, status=None)
    out = device.detach(status=1)
    t.check("is in use" in out, f"detach: saw {out!r}")
    t.run("umount", mount)
    device.detach()
    nothing_left(t)
