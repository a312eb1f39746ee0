# SPDX-License-Identifier: BSD-3-Clause
"""Devices that come and go many times, by all ways, with memory that runs out now and then."""

import os
import re
import signal
import subprocess
from pathlib import Path

from harness import Case, kernelwatch, test
from test_faults import UNREGISTERED, Injection, text_of_module

# KiB and files that may be in somebody's cache
SLACK = {"Slab (KiB)": 6000, "VmallocUsed (KiB)": 600, "Percpu (KiB)": 600, "open files": 64,
         "Shmem (KiB)": 4096, "Unevictable (KiB)": 64, "Mlocked (KiB)": 64}


def one_in_hundreds(t, many):
    """One in that many hundred allocations of the module fails, on a kernel that can do that."""
    if not Path("/proc/self/make-it-fail").exists():
        return None
    start, end = text_of_module()
    slab = Injection(t, "failslab")
    slab.set(ignore_gfp_wait="N", verbose=0, require_start=hex(start), require_end=hex(end),
             stacktrace_depth=32, times=-1, probability=1, interval=many)
    return slab


def counters():
    """
    What KASAN keeps of freed objects, to find who still uses them, counts as memory in use, a good
    thirtieth of all; a cache that is told to shrink gives it back.
    """
    for cache in Path("/sys/kernel/slab").glob("*/shrink"):
        cache.write_text("1")
    return kernelwatch.Counters()


def check_growth(t, before):
    """Everything that the cycles took is back."""
    seen = {}

    def back():
        seen.clear()
        counters()
        seen.update(before.growth(SLACK))
        return not seen

    try:
        t.within(20, back, "what the cycles took", step=0.5)
    finally:
        t.log(f"more than before: {seen}")


@test(timeout=60, needs=("uapi-cycles",), tolerates=UNREGISTERED, tags=("teardown",),
      cases={"35": {"count": 35},
             "1000": Case({"count": 1000}, tier="long", timeout=500)})
def uapi(t, count):
    """By the bare interface: closed, destroyed, stopped, failed, taken over and left, in silence."""
    t.run("modprobe", "virtio-rng")
    t.run("uapi-cycles", 14)  # what is allocated once
    before = counters()
    slab = one_in_hundreds(t, 1)
    out = t.run("uapi-cycles", count, timeout=count / 2 + 20)
    if slab:
        slab.end()
        refused = int(re.search(r"(\d+) refused", out)[1])
        t.figure("refused for want of memory", refused)
        t.check(refused or count < 500, f"expected refusals in {count} cycles")
    check_growth(t, before)


def load(t, node):
    return subprocess.Popen(["sh", "-c", f"while dd if={node} of=/dev/null bs=64k count=64 "
                             "iflag=direct; do :; done"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def attached(image):
    """The words of attach, None: refused."""
    res = subprocess.run(
        ["virtio-loopback", "attach", "--type", "blk", "--name", "cycle", "--reconnect", "off",
         "--pool", "1M", "--exec", f"vhost-user-blk --image {image}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=240)
    return res.stdout.split() if res.returncode == 0 else None


def remove(t, turn, words, backend):
    """In the middle of its I/O, by each of the ways in turn."""
    if turn % 4 == 0:
        t.run("virtio-loopback", "detach", "cycle", "--force", timeout=60)
    elif turn % 4 == 1:
        driver = Path("/sys/bus/virtio/devices", words[1], "driver/unbind")
        driver.write_text(words[1])
        t.run("virtio-loopback", "detach", "cycle", "--force", timeout=60)
    elif turn % 4 == 2:
        os.kill(backend, signal.SIGKILL)
    else:
        os.kill(backend, signal.SIGSTOP)
        t.run("virtio-loopback", "detach", "cycle", "--force", timeout=60)
        try:
            os.kill(backend, signal.SIGKILL)
        except ProcessLookupError:
            pass


@test(timeout=90, tolerates=UNREGISTERED, tags=("teardown",),
      cases={"4": {"count": 4},
             "50": Case({"count": 50}, tier="long", timeout=300),
             "200": Case({"count": 200}, tier="long", timeout=900)})
def attach(t, count):
    """Disks that are taken away under load: each time all is gone, and the next one comes."""
    image = t.image(16 << 20)
    before, came, tries = None, 0, 0
    # A driver's probe makes hundreds of them: of one in a hundred, few would come to an end.
    slab = one_in_hundreds(t, 10)
    while came < count:
        words = attached(image)
        tries += 1
        if words:
            turn, came = came, came + 1
            users = [load(t, words[2]) for _ in range(2)]
            stats = t.run("virtio-loopback", "stats", "cycle", status=None)
            pid = re.search(r"^backend_pid (\d+)$", stats, re.M)
            reads = Path("/sys/block", Path(words[2]).name, "stat")
            try:
                t.within(10, lambda: int(reads.read_text().split()[0]) > 20, "reads")
            except OSError:
                pass  # it has failed by itself, for want of memory
            if pid and int(pid[1]):
                remove(t, turn, words, int(pid[1]))
            t.run("virtio-loopback", "detach", "cycle", "--force", status=None, timeout=60)
            for user in users:
                user.wait(60)
        t.within(30, lambda: not t.devices(), "an empty list of devices")
        if came <= min(4, count // 2):
            before = counters()  # what is allocated once has been
    if slab:
        slab.end()
    t.figure("attached", f"{came} of {tries}")
    t.check(slab or came == tries, f"expected all to come, saw {came} of {tries}")
    t.check(not slab or came < tries or count < 100, f"expected refusals in {tries}")
    check_growth(t, before)
