# SPDX-License-Identifier: BSD-3-Clause
"""Memory that runs out in the middle of things, by the kernel's fault injection."""

import re
import subprocess
from pathlib import Path

from harness import test

DEBUGFS = Path("/sys/kernel/debug")
MODULE = Path("/sys/module/virtio_loopback/sections")


class Injection:
    """What is set in debugfs, as it was again in the end."""

    def __init__(self, t, kind):
        self.folder, self.before = DEBUGFS / kind, {}
        t.check(self.folder.is_dir(), f"expected {self.folder}: this kernel injects no faults")
        t.at_end(self.end)

    def set(self, **values):
        for name, value in values.items():
            path = self.folder / name.replace("_", "-")
            self.before.setdefault(path, path.read_text())
            path.write_text(f"{value}\n")

    def end(self):
        for path, value in reversed(self.before.items()):
            path.write_text(value)


def text_of_module():
    """Where the module's code lies."""
    start = int((MODULE / ".text").read_text(), 16)
    size = next(int(line.split()[1]) for line in Path("/proc/modules").read_text().splitlines()
                if line.startswith("virtio_loopback "))
    return start, start + size


# What the driver core says of a device that it had not the memory to register.
UNREGISTERED = (r"kobject_add_internal failed",)


@test(kernels=("debug",), timeout=400, needs=("uapi-faults",), tolerates=UNREGISTERED)
def each_call(t):
    """Each call of the module, once for each allocation in it that may fail."""
    t.run("modprobe", "virtio-rng")
    for kind in ("failslab", "fail_page_alloc"):
        # Also those that may wait, and without a stack trace in the log for each.
        Injection(t, kind).set(ignore_gfp_wait="N", verbose=0)
    Injection(t, "fail_page_alloc").set(min_order=0)
    out = t.run("uapi-faults", status=None, timeout=380)
    t.log(out)
    t.equal([line for line in out.splitlines() if line.startswith("FAIL")], [],
            "calls that a fault damages")
    t.check(", 0 failed" in out, f"expected the closing line, saw {out[-200:]!r}")
    for name in ("open", "CREATE", "STORE_FD", "FETCH_FD"):
        refusals = re.search(rf"^ok {name}: \d+ faults, (\d+) refusals$", out, re.M)
        t.check(refusals and int(refusals[1]), f"expected {name} to be refused now and then: {out}")


@test(kernels=("debug",), timeout=400, tolerates=UNREGISTERED)
def under_way(t):
    """One in a hundred allocations of the module fails, or one in a thousand, in whatever context,
    while a disk comes, is written, and goes: what works works right, what fails says so and leaves
    nothing."""
    image = t.image(16 << 20)
    start, end = text_of_module()
    slab = Injection(t, "failslab")
    slab.set(ignore_gfp_wait="N", verbose=0, require_start=hex(start), require_end=hex(end),
             stacktrace_depth=32, times=-1)
    came = refused = 0
    for turn in range(12):
        # One in a hundred; with the interval only every tenth is looked at: one in a thousand.
        slab.set(probability=1, interval=10 if turn % 2 else 1)
        res = subprocess.run(
            ["virtio-loopback", "attach", "--type", "blk", "--name", "faulty", "--reconnect", "off",
             "--pool", "1M", "--exec", f"vhost-user-blk --image {image} --serial faulty"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        t.log(f"turn {turn}: {res.returncode} {res.stdout.strip()} {res.stderr.strip()}")
        if res.returncode:
            refused += 1
            t.equal(len(res.stderr.splitlines()), 1, f"lines said of a refusal: {res.stderr!r}")
        else:
            came += 1
            node = res.stdout.split()[2]
            data = bytes([turn + 1]) * (1 << 20)
            written = subprocess.run(["dd", f"of={node}", "bs=64k", "oflag=direct", "status=none"],
                                     input=data, stderr=subprocess.PIPE, timeout=60)
            slab.set(probability=0)
            if written.returncode == 0:
                with open(image, "rb") as f:
                    t.check(f.read(len(data)) == data, "what dd wrote is not in the image")
            t.run("virtio-loopback", "detach", "faulty", timeout=60)
        slab.set(probability=0)
        t.within(30, lambda: not t.devices(), "an empty list of devices")
    t.figure("attached", came)
    t.figure("refused", refused)
    t.check(came and refused, f"expected both, saw {came} devices and {refused} refusals")
