# SPDX-License-Identifier: BSD-3-Clause
"""
Many devices at once: attached and detached in any order, over and over, nothing is left; and those
that nobody uses cost no CPU.
"""

import concurrent.futures
import json
import os
import random
import re
import time
from collections import Counter
from pathlib import Path

from disks import KERNELS, MIB
from harness import Case, test
from harness.devices import Device

DEVICES = 16
# Commands under way at a time: attaching and detaching meet each other too.
AT_A_TIME = 4
KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# What may differ between two looks at an idle guest, in KiB.
SLACK = {"Slab": 2048, "SUnreclaim": 1024, "VmallocUsed": 256, "Percpu": 512, "Shmem": 256,
         "Unevictable": 64, "Mlocked": 64, "KernelStack": 256, "PageTables": 512}


def plan(t, number):
    """The options of device number: disks of one and of several queues, and entropy devices."""
    if number % 4 == 3:
        return "rng", f"rng{number}", ["--exec", "vhost-user-rng"]
    image = t.tmp / f"{number}.img"
    if not image.exists():
        image.write_bytes(bytes([number]) * MIB)
    queues = (1, 2, 4)[number % 3]
    return "blk", f"blk{number}", [
        "--exec", f"vhost-user-blk --image {image} --queues {queues} --serial disk{number}",
        "--queues", str(queues), "--pool", "2M"]


def attach(t, number):
    kind, name, options = plan(t, number)
    said = t.run("virtio-loopback", "attach", "--type", kind, "--name", name, *options)
    device = Device(t, said.strip())
    t.equal(device.name, name, "name of the device attached")
    return number, device


def use(t, number, device):
    """The right disk behind each name; an entropy device is read through /dev/hwrng alone."""
    if device.node == "/dev/hwrng":
        return
    node = Path(device.node)
    serial = (Path("/sys/block") / node.name / "serial").read_text().strip()
    t.equal(serial, f"disk{number}", f"serial number of {device.name} ({node})")
    with open(node, "rb") as f:
        seen = set(f.read())
    t.equal(seen, {number}, f"bytes of {device.name} ({node})")


def everything(function, todo):
    """function of each, some at a time, in the order given."""
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        return [future.result() for future in [pool.submit(function, one) for one in todo]]


def parents():
    return sorted(p.name for p in Path("/sys/devices/platform").glob("virtio-loopback.*"))


def cycle(t, draw):
    """All devices come in some order, are used, go in another, some of them twice."""
    numbers = draw.sample(range(DEVICES), DEVICES)
    devices = dict(everything(lambda n: attach(t, n), numbers))
    names = sorted(d.name for d in devices.values())
    t.equal(sorted(e["name"] for e in t.devices()), names, "devices listed")
    t.equal(len(parents()), DEVICES, "platform devices")
    for number in draw.sample(range(DEVICES), DEVICES):
        use(t, number, devices[number])
    # A few are gone and back while the others stay.
    some = draw.sample(range(DEVICES), 4)
    everything(lambda n: devices[n].detach(), some)
    devices.update(everything(lambda n: attach(t, n), draw.sample(some, len(some))))
    for number in some:
        use(t, number, devices[number])
    everything(lambda n: devices[n].detach(), draw.sample(range(DEVICES), DEVICES))
    t.equal(t.devices(), [], "devices listed when all are detached")


def settled(t):
    """What a device that is gone must not leave for longer than a moment."""
    t.within(10, lambda: not parents(), f"no platform devices (saw {parents()})")
    refs = Path("/sys/module/virtio_loopback/refcnt")
    t.within(10, lambda: refs.read_text().strip() == "0", "the module's reference count of 0")
    maps = Path("/proc/vmallocinfo")
    t.within(10, lambda: not re.search(r"vlb_|vmap.*virtio_loopback", maps.read_text()),
             "no pool mapped in the kernel")


def descriptors():
    """Open files of all processes by kind: what is left of a device would be among them."""
    kinds = Counter()
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith(("anon_inode:", "/memfd:", "/dev/virtio-loopback")):
            kinds[target] += 1
    return kinds


def threads():
    """Names of all tasks that belong to devices or to their programs."""
    found = Counter()
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            name = comm.read_text().strip()
        except OSError:
            continue
        # Workers of work queues come and go, and are named after what they did last.
        if not re.match(r"kworker/[u0-9]", name) and re.search(
                r"vhost-user|virtio-loop|vlb|vd[a-z]|hwrng", name):
            found[name] += 1
    return found


def memory():
    """The kernel's figures in KiB, without what it could give back at once."""
    os.sync()
    for _ in range(2):
        Path("/proc/sys/vm/drop_caches").write_text("3")
        time.sleep(0.2)  # RCU frees what the caches gave back
    # Free objects that a CPU keeps at hand count as used until then.
    for cache in Path("/sys/kernel/slab").glob("*/shrink"):
        cache.write_text("1")
    values = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in SLACK:
            values[key] = int(rest.split()[0])
    return values


def slabs():
    """KiB of the kernel's objects in use, by cache."""
    rows = [line.split() for line in Path("/proc/slabinfo").read_text().splitlines()[2:]]
    return {row[0]: int(row[1]) * int(row[3]) >> 10 for row in rows}


def said_so_far():
    """KiB of this test's own output, which is kept in a file in memory."""
    return os.fstat(1).st_size + 1023 >> 10


class Remains:
    """What there is when no device is."""

    def __init__(self):
        self.files = int(Path("/proc/sys/fs/file-nr").read_text().split()[0])
        self.descriptors, self.threads = descriptors(), threads()
        self.state = sorted(p.name for p in Path("/run/virtio-loopback").glob("*"))
        self.block = sorted(p.name for p in Path("/sys/block").iterdir())
        self.virtio = sorted(p.name for p in Path("/sys/bus/virtio/devices").iterdir())
        self.memory, self.slabs = memory(), slabs()
        self.memory["Shmem"] -= said_so_far()

    def compare(self, t, before, rounds):
        for what in ("descriptors", "threads", "state", "block", "virtio"):
            t.equal(getattr(self, what), getattr(before, what), f"{what} after {rounds} rounds")
        t.check(self.files <= before.files + 64, f"open files after {rounds} rounds: expected "
                f"about {before.files}, saw {self.files}")
        grown = {}
        for key, value in self.memory.items():
            t.log(f"{key}: {before.memory[key]} KiB, after {rounds} rounds {value} KiB")
            if value > before.memory[key] + SLACK[key]:
                grown[key] = (before.memory[key], value)
        for cache, now in self.slabs.items():
            if now > before.slabs.get(cache, 0) + 32:
                t.log(f"{cache}: {before.slabs.get(cache, 0)} KiB, after {rounds} rounds {now} KiB")
        t.equal(grown, {}, f"memory that has grown in {rounds} rounds, in KiB")


def leaks(t):
    """What kmemleak says that names our module, after looking twice."""
    if not KMEMLEAK.exists():
        return
    for _ in range(2):
        KMEMLEAK.write_text("scan")
    found = [entry for entry in KMEMLEAK.read_text().split("unreferenced object")
             if "virtio_loopback" in entry]
    t.equal(found[:1], [], f"objects that kmemleak finds lost ({len(found)})")


def churn(t, rounds):
    """So many rounds, and what is there after them against what was there after one."""
    t.check(t.devices() == [], "expected no devices to begin with")
    draw = random.Random(16)
    t.at_end(detach_rest, t)
    # What is made once and kept (caches, modules) is there after the first.
    cycle(t, draw)
    settled(t)
    before = Remains()
    for number in range(rounds):
        start = time.monotonic()
        cycle(t, draw)
        settled(t)
        t.log(f"round {number + 1}: {time.monotonic() - start:.1f} s")
    Remains().compare(t, before, rounds)
    leaks(t)


def detach_rest(t):
    if t.devices():
        t.run("virtio-loopback", "detach", "--all", "--force", timeout=120)


@test(timeout=400, tags=("many",), kernels=("debian-6.12", "debug"),
      cases={"1": {"rounds": 1}, "2": Case({"rounds": 2}, tier="long")})
def devices(t, rounds):
    """Sixteen devices, in an order that is drawn."""
    churn(t, rounds)


@test(timeout=2400, tier="long", kernels=KERNELS, tags=("many",))
def devices_50_times(t):
    churn(t, 50)


def switches():
    """How often the threads of adapters and back-ends have given up a CPU, by thread."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/task/*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        name = re.match(r"Name:\s*(.*)", text)[1]
        if re.match(r"virtio-loop|vhost-user|blk-queue", name):
            found[f"{name} {status.parent.name}"] = sum(
                int(n) for n in re.findall(r"ctxt_switches:\s*(\d+)", text))
    return found


def attach_null(t, number, *options):
    """So many disks that hold nothing; their nodes."""
    t.at_end(detach_rest, t)

    def one(n):
        said = t.run("virtio-loopback", "attach", "--type", "blk", "--name", f"null{n}", "--pool",
                     "1M", "--timeout", int(5 * t.slow), *options)
        return said.split()[2]

    return everything(one, range(number))


def at_rest():
    before = switches()
    time.sleep(1)
    return switches() == before


@test(tags=("many",), cases={"16": Case({"number": 16}, timeout=120),
                             "64": Case({"number": 64}, tier="long", timeout=900)})
def idle(t, number):
    """Devices that nobody uses and nobody asks: none of their threads runs, not even once."""
    attach_null(t, number, "--heartbeat", 0, "--exec", "vhost-user-blk --image null:1M")
    t.within(60, at_rest, "adapters and back-ends to come to rest")
    before = switches()
    t.check(len(before) >= 2 * number, f"expected {2 * number} threads or more, saw {len(before)}")
    time.sleep(5)
    after = switches()
    ran = {thread: after[thread] - n for thread, n in before.items() if after.get(thread) != n}
    t.equal(ran, {}, f"threads of {number} idle devices that ran within 5 s")


def cpus_of_queues(node):
    """For each of the disk's queues a CPU that submits to it."""
    lists = Path("/sys/block", Path(node).name, "mq").glob("*/cpu_list")
    return [path.read_text().partition(",")[0].strip() for path in lists]


@test(tier="long", timeout=600, kernels=KERNELS, tags=("many",))
def busy_queues(t):
    """32 virtqueues of 16 disks, all with requests at any time: none gets much less than another."""
    nodes = attach_null(t, DEVICES, "--queues", 2, "--exec",
                        "vhost-user-blk --image null:64M --queues 2")
    words = ["--ioengine=libaio", "--direct=1", "--rw=randread", "--bs=4k", "--iodepth=4",
             "--size=64M", "--time_based", "--ramp_time=5", "--runtime=20", "--thread"]
    argv = [word for node in nodes for cpu in cpus_of_queues(node)
            for word in (f"--name={Path(node).name}-{cpu}", f"--filename={node}",
                         f"--cpus_allowed={cpu}", *words)]
    said = t.run("fio", "--output-format=json", *argv, timeout=200)
    done = {job["jobname"]: job["read"]["total_ios"]
            for job in json.loads(said[said.index("{"):])["jobs"]}
    t.equal(len(done), 2 * DEVICES, "queues with a job")
    mean = sum(done.values()) / len(done)
    t.log(f"requests in 20 s: {min(done.values())} to {max(done.values())}, mean {mean:.0f}")
    few = {name: n for name, n in done.items() if n < mean / 2}
    t.equal(few, {}, f"queues that had less than half of the mean, {mean:.0f} requests")
