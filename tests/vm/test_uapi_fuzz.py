# SPDX-License-Identifier: BSD-3-Clause
"""The module's interface under calls that are made up: tests/vm/uapi-fuzz."""

import re
from pathlib import Path

from harness import Case, test

DEBUGFS = Path("/sys/kernel/debug")
# What the virtio core finds in scribbled descriptors it unmaps; DMA-API debugging says so. And what
# the driver core says of a device that it had not the memory to register. And vsock's driver has its
# events side by side in one cache line.
TOLERATED = (r"DMA-API: .*tries to free DMA memory it has not allocated",
             r"(cacheline tracking EEXIST|overlapping mappings of cacheline)"
             r"[\s\S]*virtio_vsock_vqs_start",
             r"kobject_add_internal failed")
# Each of these is to have worked now and then, or what lies behind it is not tested.
REACHED = ("OPEN", "CLOSE", "GET_INFO", "CREATE", "SET_QUEUE_FDS", "START", "GET_STATE", "STORE_FD",
           "FAIL", "WINDOW_FD", "ANSWER", "SERVE", "VIEW")
# In twenty minutes also those that need several steps in their order
REACHED_LONG = REACHED + ("STOP", "SET_CONFIG", "GET_QUEUE", "CHECK_POOL", "GET_OUTSTANDING",
                          "TAKEOVER", "FETCH_FD", "DESTROY", "SET_BACKEND", "READ", "WRITE")
TIMES = {"30s": {"seconds": 30}, "20min": Case({"seconds": 1200}, tier="long", timeout=2400)}


def faults(t):
    """Allocations fail where a program says so, also those that may wait."""
    for kind in ("failslab", "fail_page_alloc"):
        folder = DEBUGFS / kind
        for name, value in (("ignore-gfp-wait", "N"), ("verbose", "0"), ("min-order", "0")):
            if (folder / name).exists():
                t.at_end((folder / name).write_text, (folder / name).read_text())
                (folder / name).write_text(value)


@test(timeout=150, needs=("uapi-fuzz",), tags=("fuzz", "hostile"), tolerates=TOLERATED, cases=TIMES)
def calls(t, seconds):
    """Three threads call, answer, scribble and close: the module is free after each program."""
    for module in ("virtio_rng", "virtio_blk", "virtio_console", "virtio_net"):
        t.run("modprobe", module)
    if t.kernel != "kcsan":  # which has no vsock
        t.run("modprobe", "vmw_vsock_virtio_transport")
    # The program that took the kernel down is to be found after that.
    out = t.top / "vm/out" if (t.top / "vm/out").is_dir() else t.tmp
    more = ["--last", out / f"uapi-fuzz-{t.kernel}.txt", "--places", out / f"uapi-fuzz-{t.kernel}.places"]
    if Path("/proc/thread-self/fail-nth").exists():
        faults(t)
        more.append("--faults")
    # Under fault injection and a sanitizer a program takes its time.
    said = t.run("uapi-fuzz", "--seconds", seconds, "--patience", 20 * t.slow, "--corpus",
                 t.top / "tests/vm/uapi-fuzz/corpus", *more, timeout=seconds + 100)
    for words in re.findall(r"^(?:seed|places|\d+ programs).*$", said, re.M):
        t.figure("fuzzed", words)
    done = dict(re.findall(r"^call (\w+): \d+ made, (\d+) done$", said, re.M))
    reached = REACHED if seconds < 600 else REACHED_LONG
    t.equal([name for name in reached if not int(done.get(name, 0))], [],
            "calls that never did what they are for")
    programs = int(re.search(r"^(\d+) programs in", said, re.M)[1])
    t.check(programs >= seconds / t.slow, f"expected a program a second at least, saw {programs}")
