# SPDX-License-Identifier: BSD-3-Clause
"""A busy device while CPUs go, memory runs out, and the kernel kills to get some back."""

import os
import signal
import subprocess
import time
from pathlib import Path

from harness import Case, test
from storms import (Backend, adapter_log, adapter_of, kill_adapter, requests, storm)

MNT = Path("/mnt")
CGROUP = Path("/sys/fs/cgroup")
MIB = 1 << 20
SOME = ("debian-6.12", "debian-6.1", "debian-7", "debug")


@test(timeout=120, kernels=SOME, needs=("storm",),
      cases={"check": {"turns": 10}, "long": Case({"turns": 200}, tier="long", timeout=1200)})
def cpu_unplugged(t, turns):
    """A CPU goes and comes back, again and again, while both have requests of it."""
    online = Path("/sys/devices/system/cpu/cpu1/online")
    if not online.exists():
        t.skip("the guest's second CPU cannot be unplugged")
    t.at_end(online.write_text, "1")
    device = t.attach("blk", exec=f"vhost-user-blk --image {t.image(32 * MIB)} --queues 2",
                      queues=2)

    def strike():
        online.write_text("0" if online.read_text().strip() == "1" else "1")

    storm(t, device, turns, strike)
    device.detach()


def oom_kill(t, pid, adjust=1000):
    """Have the kernel's OOM killer choose this process."""
    t.equal(Path(f"/proc/{pid}/oom_score_adj").exists(), True, f"process {pid} is there")
    Path(f"/proc/{pid}/oom_score_adj").write_text(str(adjust))
    Path("/proc/sysrq-trigger").write_text("f")


def killed_by_oom():
    for line in Path("/proc/vmstat").read_text().splitlines():
        word, value = line.split()
        if word == "oom_kill":
            return int(value)
    return 0


@test(timeout=120, kernels=SOME, needs=("storm",))
def oom_killed(t):
    """The OOM killer takes the back-end, the adapter, and both: a pause, nothing else."""
    backend = Backend(t, "ours", t.image(32 * MIB))
    device = t.attach("blk", socket=backend.socket, queues=2)
    adjust = Path(f"/proc/{adapter_of(device)}/oom_score_adj").read_text().strip()
    t.equal(adjust, "-900", "oom_score_adj of an adapter")
    before, turn = killed_by_oom(), [0]

    def adapter():
        old = t.within(20, lambda: adapter_of(device), "an adapter to kill")
        oom_kill(t, old)
        return lambda: adapter_of(device) not in (0, None, old)

    def strike():
        turn[0] += 1
        if turn[0] % 3 != 1:
            died = backend.died
            oom_kill(t, backend.process.pid)
            t.within(20, lambda: backend.died > died, "the back-end's end")
        return adapter() if turn[0] % 3 != 2 else None

    storm(t, device, 6, strike)
    t.equal(killed_by_oom() - before, 8, "kills by the OOM killer")
    device.detach()


class Group:
    """A control group with little memory."""

    def __init__(self, t, limit):
        if "memory" not in (CGROUP / "cgroup.controllers").read_text().split():
            t.skip("this kernel has no memory controller")
        (CGROUP / "cgroup.subtree_control").write_text("+memory")
        self.path = CGROUP / f"hog-{os.getpid()}"
        self.path.mkdir()
        t.at_end(self.end, t)
        (self.path / "memory.max").write_text(str(limit))

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def end(self, t):
        (self.path / "cgroup.kill").write_text("1")
        t.within(20, lambda: not (self.path / "cgroup.procs").read_text().split(),
                 "the end of what is in the group")
        self.path.rmdir()


def swapped():
    words = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return int(words["pswpout"]), int(words["pswpin"])


@test(timeout=240, kernels=("debian-6.12", "debian-7", "debug"), needs=("hog", "fsx"),
      cases={"check": Case({"turns": 2}, kernels=("debian-6.12", "debug")),
             "long": Case({"turns": 60}, tier="long", timeout=1200)})
def swap_and_journal(t, turns):
    """
    The disk holds a dirty ext4, and in it the swap of a program that needs it all the time;
    adapter and back-end are killed under both.
    """
    backend = Backend(t, "ours", t.image(512 * MIB))
    device = t.attach("blk", socket=backend.socket, queues=2)
    t.at_end(adapter_log, t, device)
    t.run("mkfs.ext4", "-q", "-F", device.node)
    t.run("mount", device.node, MNT)
    t.at_end(lambda: t.run("umount", MNT, status=None))
    t.run("fallocate", "-l", "256M", MNT / "swap")
    (MNT / "swap").chmod(0o600)
    t.run("mkswap", MNT / "swap")
    t.run("swapon", MNT / "swap")
    t.at_end(lambda: t.run("swapoff", MNT / "swap", status=None, timeout=120))
    group = Group(t, 48 * MIB)
    hog = t.start("sh", "-c", "read go; exec hog 128 600", stdin=subprocess.PIPE)
    group.add(hog.pid)
    hog.popen.stdin.write(b"go\n")
    hog.popen.stdin.flush()
    files = t.start("fsx", MNT / "file", 600)
    t.within(60, lambda: "filled" in hog.said(), "the hog to have its memory")
    out, back = swapped()
    for turn in range(turns):
        is_back = kill_adapter(t, device)
        if turn % 2:
            backend.kill_and_restart()
        t.within(30, is_back, f"another adapter after strike {turn + 1}")
        before, pages = requests(device.node), swapped()
        t.within(30, lambda: requests(device.node) > before + 100 and
                 swapped()[0] > pages[0] + 50 and swapped()[1] > pages[1] + 50,
                 f"requests, and pages to and from swap, after strike {turn + 1}")
    for load in (files, hog):
        load.signal(signal.SIGINT)
        t.equal(load.wait(120), 0, f"exit status of {load.name} ({load.said()[-300:]})")
        t.check("failures 0" in load.said(), f"{load.name}: {load.said()[-300:]}")
    now = swapped()
    t.figure("swap", f"{now[0] - out} pages out, {now[1] - back} in, {turns} kills")
    t.run("swapoff", MNT / "swap", timeout=120)
    t.run("umount", MNT)
    t.run("e2fsck", "-fn", device.node)
    device.detach()
