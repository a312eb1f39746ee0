# SPDX-License-Identifier: BSD-3-Clause
"""The series for mainline, in a kernel that was built with it: what it brings along passes there.

That the disk works is shown by the tests of blk that run on these kernels.
"""

import os
import re
from pathlib import Path

from harness import test

KERNELS = ("mainline-*",)
DEBUGFS = Path("/sys/kernel/debug/kunit/virtio_loopback_slots/results")
OUT_OF_TREE = 1 << 12


def written(t, name, pattern):
    """What a file of the series has of this, at least one."""
    found = re.findall(pattern, (t.top / "packaging/mainline" / name).read_text())
    t.check(found, f"packaging/mainline/{name}: expected {pattern}, saw none")
    return found


@test(kernels=KERNELS, tier="long", timeout=20, tags=("mainline",))
def module_is_of_the_tree(t):
    """What is loaded was built with the kernel, not beside it."""
    t.equal(t.run("modinfo", "-F", "intree", "virtio_loopback").strip(), "Y", "modinfo's intree")
    path = t.run("modinfo", "-n", "virtio_loopback").strip()
    t.check(path.endswith("/kernel/drivers/virtio/loopback/virtio_loopback.ko"),
            f"expected the module among the kernel's drivers, saw {path}")
    tainted = int(Path("/proc/sys/kernel/tainted").read_text())
    t.equal(tainted & OUT_OF_TREE, 0, "the taint of a module that is not the tree's")


@test(kernels=KERNELS, tier="long", timeout=20, tags=("mainline",))
def kunit(t):
    """The tests of the pool's allocator ran when the module was loaded, all of them, and passed."""
    wanted = written(t, "slots_kunit.c", r"\tKUNIT_CASE\((\w+)\)")
    said = DEBUGFS.read_text()
    t.log(said)
    t.equal(re.findall(r"^ +(ok|not ok) \d+ (\w+)$", said, re.M), [("ok", name) for name in wanted],
            "the cases")
    t.check(re.search(r"^ok \d+ virtio_loopback_slots$", said, re.M),
            f"expected the suite to be ok, saw {said.splitlines()[-1:]}")


@test(kernels=KERNELS, tier="long", timeout=60, tags=("mainline",))
def selftest(t):
    """The selftest as the tree built it: each test passes, none is skipped."""
    wanted = written(t, "selftests/virtio_loopback_test.c", r"\nTEST_F\((\w+, \w+)\)")
    said = t.run(Path("/lib/modules", os.uname().release, "selftests/virtio_loopback_test"))
    t.equal(re.findall(r"^(ok|not ok) \d+ (\S+)", said, re.M),
            [("ok", name.replace(", ", ".")) for name in wanted], "the tests")
    t.check(f"pass:{len(wanted)} fail:0" in said and "skip:0" in said,
            f"expected {len(wanted)} passed and no other, saw {said.splitlines()[-1:]}")
