# SPDX-License-Identifier: BSD-3-Clause
"""What a service manager and udev do with a device, one piece at a time, without either booted."""

import json
import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

from disks import MIB
from harness import Case, test
from harness.devices import SERVICE

STATE = Path("/run/virtio-loopback")
NODE = Path("/dev/virtio-loopback")
BY_NAME = Path("/dev/virtio-loopback-by-name")


def write_config(t, name, text):
    path = t.tmp / f"{name}.conf"
    path.write_text(text)
    return path


class Manager:
    """The socket of a service manager, and what was said to it."""

    def __init__(self, t):
        self.t, self.path = t, t.tmp / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        t.at_end(self.socket.close)
        self.lines = []
        self.env = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "3000000"}

    def said(self):
        while True:
            try:
                self.lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.lines

    def wait(self, line):
        self.t.within(30, lambda: line in self.said(), f"{line} to the service manager")

    def forget(self):
        self.said()
        self.lines = []


@test(timeout=90, tags=("service",))
def adapter_under_a_manager(t):
    """Ready once, alive as often as asked for, replaced; the back-end's news stay its own."""
    conf = write_config(t, "data", f"[device]\ntype = blk\nqueues = 1\ntimeout = 1\n"
                                   f"exec = vhost-user-blk --image {t.image(4 * MIB)}\n")
    manager = Manager(t)
    t.run("virtio-loopback", "prepare", conf)
    adapter = t.start("virtio-loopback-adapter", "--config", conf, "--takeover", "--no-restart",
                      env=manager.env)
    manager.wait("READY=1")
    manager.wait(f"MAINPID={adapter.pid}")
    # no shorter than what the back-end may take for four commands
    manager.wait("WATCHDOG_USEC=4000000")
    t.equal(manager.said().count("READY=1"), 1, "READY=1, the back-end's not among them")
    manager.forget()
    manager.wait("WATCHDOG=1")
    device = next(d for d in t.devices() if d["name"] == "data")
    t.equal((device["state"], device["driver"], device["queues"]), ("running", "virtio_blk", 1),
            "state, driver, queues")

    # as ExecReload= does
    manager.forget()
    os.environ.update(manager.env)
    try:
        t.run("virtio-loopback", "upgrade", "data")
    finally:
        for name in manager.env:
            del os.environ[name]
    t.equal(adapter.wait(10), 0, "exit status of the adapter that was replaced")
    device = next(d for d in t.devices() if d["name"] == "data")
    manager.wait(f"MAINPID={device['adapter_pid']}")
    manager.forget()
    manager.wait("WATCHDOG=1")
    t.run("virtio-loopback", "detach", "data", timeout=35)


@test(timeout=60, tags=("service",))
def config_by_hand(t):
    """attach --config takes the same file, and tells each mistake in it."""
    conf = write_config(t, "disk", f"[device]\ntype = blk\npool = 2M\n"
                                   f"exec = vhost-user-blk --image {t.image(4 * MIB)}\n")
    out = t.run("sh", "-c", f"cd {t.tmp} && virtio-loopback attach --config disk.conf")
    t.check(out.startswith("disk virtio"), f"expected the line of disk, saw {out!r}")
    t.equal(next(d["pool"] for d in t.devices()), 2 * MIB, "pool")
    t.run("virtio-loopback", "detach", "disk", timeout=35)
    conf.write_text("[device]\ntype = blk\npool = 2X\nimage = /x\n")
    out = t.run("virtio-loopback", "attach", "--config", conf, status=2)
    for line in (f"{conf}:3: pool = 2X: not understood",
                 f"{conf}:4: image: there is no such setting in [device]",
                 f"{conf}:1: [device] has neither socket nor exec"):
        t.check(any(line in said for said in out.splitlines()), f"expected {line!r}, saw {out!r}")
    t.equal(len(out.strip().splitlines()), 3, "lines for three mistakes")


@test(timeout=90, tags=("service",))
def backend_by_its_socket(t):
    """A socket that somebody else listens on, as socket activation has it; one back-end after another."""
    path = t.tmp / "disk.sock"
    conf = write_config(t, "disk", f"[device]\ntype = blk\nsocket = {path}\n"
                                   f"[backend]\nexec = vhost-user-blk --image {t.image(4 * MIB)}\n")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    t.at_end(listener.close)
    # the number that the service manager's protocol says, and the process's own
    start = (f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1; '
             f'LISTEN_PID=$$ exec virtio-loopback backend {conf}')
    manager = Manager(t)

    def activate():
        manager.forget()
        backend = t.start("sh", "-c", start, pass_fds=(listener.fileno(),),
                          env={"NOTIFY_SOCKET": str(manager.path)})
        manager.wait("READY=1")
        return backend

    backend = activate()
    out = t.run("virtio-loopback", "attach", "--config", conf)
    t.check(out.startswith("disk virtio"), f"expected the line of disk, saw {out!r}")
    node = out.split()[2]
    t.run("dd", f"if={node}", "of=/dev/null", "bs=64k", "count=4", "iflag=direct")
    backend.kill()
    reader = t.start("dd", f"if={node}", "of=/dev/null", "bs=64k", "count=4", "iflag=direct")
    activate()
    t.equal(reader.wait(30), 0, "dd over the back-end's death")
    t.run("virtio-loopback", "detach", "disk", timeout=35)
    out = t.run("virtio-loopback", "backend", conf, status=1)
    t.check("no listening socket was passed on" in out, f"without a socket: saw {out!r}")


MEMBER = ("prlimit", "--memlock=16777216",
          "setpriv", "--reuid=4343", "--regid=4343", f"--groups={SERVICE}", "--inh-caps=-all")


def keep_node(t):
    """It is root's again in the end."""
    mode = NODE.stat().st_mode & 0o777
    t.at_end(lambda: (os.chown(NODE, 0, 0), NODE.chmod(mode)))


def open_to_group(t):
    """As udev's rule does it, and what only root can load."""
    keep_node(t)
    os.chown(NODE, 0, SERVICE)
    NODE.chmod(0o660)
    t.run("modprobe", "virtio_rng")


@test(timeout=90, tags=("service",))
def group_instead_of_root(t):
    """Who is in the group makes a device, sees root's, and cannot end that."""
    open_to_group(t)
    conf = write_config(t, "roots", "[device]\ntype = rng\nexec = vhost-user-rng\n")
    t.run("virtio-loopback", "prepare", conf)
    t.equal(oct(STATE.stat().st_mode & 0o7777), oct(0o3770), "mode of the state directory")
    t.run("virtio-loopback", "attach", "--config", conf)
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", status=None, timeout=60)
    member = MEMBER
    out = t.run(*member, "virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng",
                "--name", "mine")
    t.check(out.startswith("mine virtio"), f"expected the line of mine, saw {out!r}")
    seen = {d["name"]: d for d in json.loads(t.run(*member, "virtio-loopback", "list", "--json"))}
    t.equal(sorted(seen), ["mine", "roots"], "devices that a member sees")
    t.check(seen["roots"]["adapter_pid"], "the adapter of roots is seen")
    t.equal(seen["roots"]["backend"], "exec vhost-user-rng", "the back-end of roots")
    out = t.run(*member, "virtio-loopback", "detach", "roots", "--force", status=1, timeout=10)
    t.check("another user's" in out, f"a member's detach of root's device: saw {out!r}")
    t.equal(next(d["state"] for d in t.devices() if d["name"] == "roots"), "running",
            "state of roots after a member's detach")
    # a stranger is told what is missing
    out = t.run("setpriv", "--reuid=4344", "--regid=4344", "--clear-groups", "virtio-loopback",
                "attach", "--type", "rng", "--exec", "vhost-user-rng", status=1)
    t.check("ermission denied" in out, f"a stranger: saw {out!r}")
    t.run(*member, "virtio-loopback", "detach", "mine", timeout=35)
    # root takes a name over that a member left files of
    (STATE / "left.lock").touch()
    os.chown(STATE / "left.lock", 4343, SERVICE)
    t.run("virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng", "--name", "left")


@test(timeout=120, tags=("service",), tier="long")
def lies_of_a_member(t):
    """What a member writes down does not make root end a process that is not the member's."""
    open_to_group(t)
    conf = write_config(t, "any", "[device]\ntype = rng\nexec = vhost-user-rng\n")
    t.run("virtio-loopback", "prepare", conf)
    t.run(*MEMBER, "virtio-loopback", "attach", "--type", "rng", "--exec", "vhost-user-rng",
          "--name", "mine")
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", status=None, timeout=60)
    record = STATE / "mine.state"
    truth = dict(line.split("=", 1) for line in record.read_text().splitlines())
    adapter, keeper = int(truth["adapter_pid"]), int(truth["keeper_pid"])
    bystander = t.start("sleep", "1000")
    os.kill(adapter, signal.SIGSTOP)  # so that root has to end it
    record.write_text(record.read_text().replace(f"_pid={adapter}", f"_pid={bystander.pid}"))
    t.run("virtio-loopback", "detach", "mine", "--force", status=1, timeout=40)
    t.check(bystander.alive(), "a process that a member named is left alone")
    for pid in (keeper, adapter):
        os.kill(pid, signal.SIGKILL)


@test(timeout=90, tags=("service",), cases={
    "loopback": {}, "vduse": Case({"transport": "vduse"}, kernels=("debian-6.12", "debian-7"))})
def names_by_udev(t, transport="loopback"):
    """The node is the group's; links come with a device and its partitions, and go with it."""
    udevd = next((p for p in ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd")
                  if Path(p).exists()), None)
    if not udevd:
        t.skip("no systemd-udevd in this guest")
    keep_node(t)
    rules = Path("/run/udev/rules.d")
    rules.mkdir(parents=True, exist_ok=True)
    ours = rules / "60-virtio-loopback.rules"
    ours.write_text((t.top / "packaging/udev/60-virtio-loopback.rules").read_text())
    t.at_end(ours.unlink)
    daemon = t.start(udevd)

    def end():
        daemon.signal(signal.SIGTERM)
        daemon.wait(30)

    t.at_end(end)
    # its socket may be left of an earlier one
    ping = ["udevadm", "control", "--ping", "--timeout=5"]
    t.within(20, lambda: subprocess.run(ping, stderr=subprocess.DEVNULL).returncode == 0, "udevd")
    t.run("udevadm", "trigger", "/sys/class/misc/virtio-loopback")
    t.within(20, lambda: (NODE.stat().st_gid, NODE.stat().st_mode & 0o777) == (SERVICE, 0o660),
             "the node is the group's, mode 0660")
    image = t.image(16 * MIB)
    with open(image, "r+b") as f:  # a partition of 4 MiB after the first one
        f.seek(446)
        f.write(struct.pack("<BBBBBBBBII", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 8192))
        f.seek(510)
        f.write(b"\x55\xaa")
    disk = t.attach("blk", "--transport", transport, exec=f"vhost-user-blk --image {image}",
                    name="data.1")
    link = BY_NAME / "data.1"
    t.within(20, lambda: link.is_symlink() and str(link.resolve()) == disk.node, f"{link}")
    t.within(20, lambda: str((BY_NAME / "data.1-part1").resolve()) == disk.node + "1",
             "the link of the partition")
    disk.detach()
    t.within(20, lambda: not link.is_symlink(), f"{link} goes with the device")
