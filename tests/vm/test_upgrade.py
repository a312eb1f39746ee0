# SPDX-License-Identifier: BSD-3-Clause
"""The adapter is replaced under a live device: nobody notices, and nothing is lost.

The judge is the program fsx, which compares a file in the device's ext4 with memory.
"""

import os
import signal
import time
from pathlib import Path

from harness import ALL, Case, test
from storms import adapter_log, adapter_of, kill_adapter, requests

MNT = Path("/mnt")


def mounted(t, device):
    t.run("mkfs.ext4", "-q", "-F", device.node)
    MNT.mkdir(exist_ok=True)
    t.run("mount", device.node, MNT)
    t.at_end(lambda: t.run("umount", MNT, status=None))
    return MNT / "file"


def judged(t, load, path, device):
    load.signal(signal.SIGINT)
    status = load.wait(60)
    t.equal((status, load.said().strip().splitlines()[-1:]), (0, load.said().strip().splitlines()),
            "fsx: exit status, and a last line that is all it says")
    t.figure("fsx", load.said().strip())
    t.run("umount", MNT)
    t.run("e2fsck", "-fn", device.node)


def upgrade(t, device):
    """virtio-loopback upgrade; returns how long it took and the new adapter."""
    old, began = adapter_of(device), time.monotonic()
    out = t.run("virtio-loopback", "upgrade", device.name)
    took = time.monotonic() - began
    t.equal(out.strip(), f"{device.name} {device.virtio} {device.node}", "what upgrade prints")
    new = adapter_of(device)
    t.check(new not in (0, None, old), f"an adapter other than {old}: saw {new}")
    t.within(5, lambda: not Path(f"/proc/{old}").exists(), "the end of the old adapter")
    return took


def socket_of_ours(t):
    return {"socket": t.backend("vhost-user-blk", "--image", t.image(64 << 20), "--queues",
                                2).socket}


def exec_of_ours(t):
    return {"exec": f"vhost-user-blk --image {t.image(64 << 20)} --queues 2"}


UNDER_FSX = {"socket": Case({"how": socket_of_ours, "seconds": 10}, kernels=ALL),
             "exec": {"how": exec_of_ours, "seconds": 5},
             "socket-minute": Case({"how": socket_of_ours, "seconds": 60}, tier="long"),
             "exec-minute": Case({"how": exec_of_ours, "seconds": 60}, tier="long")}


@test(timeout=240, needs=("fsx",), cases=UNDER_FSX)
def under_fsx(t, how, seconds):
    """An upgrade every second, and the back-end's connection is the same all along."""
    device = t.attach("blk", queues=2, **how(t))
    t.at_end(adapter_log, t, device)
    path = mounted(t, device)
    load = t.start("fsx", path, 600)
    took, before = [], requests(device.node)
    for _ in range(seconds):
        began = time.monotonic()
        took.append(upgrade(t, device))
        time.sleep(max(0, began + 1 - time.monotonic()))
    t.check(requests(device.node) > before, "no request was made meanwhile")
    stats = dict(line.split(None, 1) for line in
                 t.run("virtio-loopback", "stats", device.name).splitlines()[1:] if " " in line)
    t.equal(stats.get("reconnects", "?").strip(), "0", "reconnects to the back-end")
    t.figure("upgrade", f"{len(took)} times, longest {max(took) * 1000:.0f} ms")
    judged(t, load, path, device)
    device.detach()


@test(timeout=120, needs=("fsx",))
def and_kill_under_fsx(t):
    """Upgrades and kills in turn; an upgrade also revives a device without an adapter."""
    device = t.attach("blk", "--no-restart", queues=2, **socket_of_ours(t))
    t.at_end(adapter_log, t, device)
    path = mounted(t, device)
    load = t.start("fsx", path, 600)
    for _ in range(4):
        os.kill(adapter_of(device), signal.SIGKILL)
        t.within(10, lambda: adapter_of(device) == 0, "the loss of the adapter")
        t.run("virtio-loopback", "upgrade", device.name)
        upgrade(t, device)
    judged(t, load, path, device)
    device.detach()


@test(timeout=90)
def follows_the_new_one(t):
    """After an upgrade the keeper still follows a killed adapter, and detach ends all."""
    device = t.attach("blk", queues=2, **exec_of_ours(t))
    t.at_end(adapter_log, t, device)
    upgrade(t, device)
    is_back = kill_adapter(t, device)
    t.within(20, is_back, "another adapter")
    upgrade(t, device)
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=4", "iflag=direct")
    device.detach()


@test(timeout=60)
def refuses(t):
    """No device of that name; one that ends with its adapter."""
    out = t.run("virtio-loopback", "upgrade", "nobody", status=1)
    t.check("there is no such device" in out, f"expected the reason, saw {out!r}")
    device = t.attach("blk", reconnect="off", **socket_of_ours(t))
    old = adapter_of(device)
    out = t.run("virtio-loopback", "upgrade", device.name, status=1)
    t.check("ends with its adapter" in out, f"expected the reason, saw {out!r}")
    t.equal(adapter_of(device), old, "the adapter after a refused upgrade")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=4", "iflag=direct")
    device.detach()


@test(timeout=60, tier="long", tags=("upgrade",))
def adapter_stopped(t):
    """One that cannot answer is not replaced, and not waited for without an end."""
    device = t.attach("blk", **socket_of_ours(t))
    old = adapter_of(device)
    os.kill(old, signal.SIGSTOP)
    t.at_end(os.kill, old, signal.SIGCONT)
    out = t.run("virtio-loopback", "upgrade", device.name, status=1, timeout=40)
    t.equal(len(out.strip().splitlines()), 1, f"lines that say why: {out!r}")
    os.kill(old, signal.SIGCONT)
    t.equal(adapter_of(device), old, "the adapter")
    t.run("dd", f"if={device.node}", "of=/dev/null", "bs=1M", "count=4", "iflag=direct")
    device.detach()
