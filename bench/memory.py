#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: what memory a device takes.

Prints CSV: what,0,KiB. "private" is what the process shares with no other, as in
/proc/PID/smaps_rollup, but for the pool, which is the device's. The kernel's is by how much its
slabs grew while the device was attached: the module's tables, the disk, the files.
"""

import re
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import blk  # noqa: E402
import peers  # noqa: E402


def private(pid):
    """KiB, mappings of the pool left out."""
    total, ours = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = "/memfd:" not in line
        elif ours and line.startswith("Private_"):
            total += int(line.split()[1])
    return total


def pids(name):
    return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/comm")
            if p.read_text().strip() == name[:15]]


def kernel():
    """KiB of the kernel's own memory that it cannot give back, the pool not among it."""
    text = Path("/proc/meminfo").read_text()
    return int(re.search(r"^SUnreclaim: *([0-9]+)", text, re.M).group(1))


def device(tmp, name, attach, backend):
    before, had = kernel(), set(pids("virtio-loopback-adapter")) | set(pids(backend))
    node = attach(tmp)
    print(f"{name}/kernel,0,{kernel() - before}", flush=True)
    if node.startswith("/dev/vd"):
        blk.measure(node, *blk.JOBS["randread-4k-32"])
    for program, what in (("virtio-loopback-adapter", "adapter"), (backend, backend)):
        for pid in set(pids(program)) - had:
            print(f"{name}/{what},0,{private(pid)}", flush=True)


def rng(tmp):
    sock = peers.serve(tmp, "rng", ("vhost-user-rng", "--socket-path", "{socket}"))
    return peers.run("virtio-loopback", "attach", "--type", "rng", "--socket", sock).split()[2]


def main():
    with tempfile.TemporaryDirectory() as tmp:
        peers.warm_up(tmp)
        # What is made once and kept is there after the first.
        peers.run("virtio-loopback", "attach", "--type", "blk", "--exec",
                  "vhost-user-blk --image null:1G")
        peers.run("virtio-loopback", "detach", "--all")
        device(tmp, "blk", peers.loopback_own, "vhost-user-blk")
        device(tmp, "blk-4-queues", lambda tmp: peers.loopback_own(tmp, 4),
               "vhost-user-blk")
        device(tmp, "rng", rng, "vhost-user-rng")
        device(tmp, "blk-qsd", peers.loopback_qsd, "qemu-storage-daemon")


if __name__ == "__main__":
    main()
