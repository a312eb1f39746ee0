# SPDX-License-Identifier: BSD-3-Clause
"""All device types busy at once: what they take stays as it is, and so does how long it takes."""

import os
import re
import time
from pathlib import Path

import soaks
from flat import LEAST, Bound, Table, percentile
from harness import Case, Skipped, kernelwatch, test

# What the last third of the time may have more than the second: by itself, in parts of the second.
PRIVATE = Bound(128)  # KiB of one process, its own and nobody else's
FILES = Bound(0)
KERNEL = {"Slab (KiB)": Bound(2048), "VmallocUsed (KiB)": Bound(128), "Percpu (KiB)": Bound(128),
          "Unevictable (KiB)": Bound(0), "Mlocked (KiB)": Bound(0), "open files": Bound(16),
          # files in memory: the test's own output, pictures that were not yet looked at
          "Shmem (KiB)": Bound(2048), "virtio devices": Bound(0), "block devices": Bound(0)}
POOL = {"pool_used": Bound(64 << 10, 0.1), "maps_live": Bound(64), "window_live": Bound(0),
        "window_bytes": Bound(0), "message_timeouts": Bound(0)}
MEDIAN, SLOWEST = Bound(2, 0.5), Bound(20, 1)  # ms of one operation
PROGRAMS = re.compile(r"vhost-user-|virtio-loopback-|qemu-storage-daemon|passt")


def processes():
    """{name and pid: folder in /proc} of adapters, back-ends and displays."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = os.path.basename(os.readlink(entry / "exe"))
        except OSError:
            continue
        if PROGRAMS.match(name):
            found[f"{name}[{entry.name}]"] = entry
    return found


def private(entry):
    text = (entry / "smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"^Private_(?:Clean|Dirty): *(\d+) kB", text, re.M))


def pools():
    """What `virtio-loopback stats` shows, from where it has it: to start it takes its time."""
    values = {}
    for parent in Path("/sys/devices/platform").glob("virtio-loopback.*"):
        name = (parent / "name").read_text().strip()
        kernel = dict(line.split() for line in (parent / "stats").read_text().splitlines())
        for key in ("pool_used", "message_timeouts"):
            kernel[key] = (parent / key).read_text()
        values.update({(name, key): int(kernel[key]) for key in POOL if key in kernel})
    return values


def sample(t, table, loads, pids, timed):
    """A row of the table; returns how many operations there were in the time before."""
    # Names and inodes that the kernel could forget at once are nobody's leak.
    Path("/proc/sys/vm/drop_caches").write_text("2")
    table.add(PRIVATE, {f"{name} private KiB": private(entry) for name, entry in pids.items()})
    table.add(FILES, {f"{name} descriptors": len(os.listdir(entry / "fd"))
                      for name, entry in pids.items()})
    for key, value in kernelwatch.Counters.read().items():
        table.add(KERNEL[key], {f"kernel {key}": value})
    for (name, key), value in pools().items():
        table.add(POOL[key], {f"{name} {key}": value})
    count = 0
    for load in loads:
        t.within(soaks.PATIENCE, lambda: load.check() or load.times,
                 f"an operation of {load.name} since the last look")
        times = [1000 * seconds for seconds in load.window()]
        count += len(times)
        table.add(MEDIAN if timed else Bound(float("inf")),
                  {f"{load.name} median ms": round(percentile(times, 0.5), 2)})
        table.add(SLOWEST if timed else Bound(float("inf")),
                  {f"{load.name} p99 ms": round(percentile(times, 0.99), 2)})
    table.end_row()
    return count


def idle_time():
    words = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return words[3] + words[4], sum(words)


def all_types(t):
    loads = []
    for kind in soaks.EVERY:
        try:
            loads.append(kind(t))
        except Skipped as e:
            t.figure("left out", f"{kind.__name__.lower()}: {e}")
    t.check({soaks.Blk, soaks.Rng, soaks.Port, soaks.Can, soaks.Gpio, soaks.Input, soaks.Sound,
             soaks.Card2d} <= {type(load) for load in loads}, "expected all of our own back-ends")
    return loads


@test(kernels=("debian-6.12",), timeout=1200, tags=("soak",), needs=("fio", "aplay", "page-flips"),
      tier="long",
      # In a minute on a machine whose load nobody knows, latencies say nothing: they are noted.
      cases={"1min": {"minutes": 1, "every": 4, "timed": False},
             "10min": Case({"minutes": 10, "every": 10, "timed": True}, timeout=900),
             "45min": Case({"minutes": 45, "every": 30, "timed": True}, timeout=3600)})
def busy(t, minutes, every, timed):
    """Disks, entropy, a port, CAN, GPIO, input, sound, a card with its display, and a network."""
    loads = all_types(t)
    for load in loads:
        load.start()
    for load in loads:
        t.within(60, lambda: load.check() or load.done > 2, f"the first operations of {load.name}")
    pids, table, operations = processes(), Table(), 0
    t.check(len(pids) >= 2 * len(loads), f"expected two processes for each device, saw {pids}")
    for load in loads:
        load.window()
    began, idle = time.monotonic(), idle_time()
    # On a machine that is very slow a look takes longer than the time between two.
    while time.monotonic() - began < 60 * minutes or table.rows < LEAST:
        time.sleep(every)
        operations += sample(t, table, loads, pids, timed)
    took, now = time.monotonic() - began, idle_time()
    t.equal(sorted(processes()), sorted(pids), "adapters, back-ends and displays in the end")
    t.figure("soak", f"{took / 60:.1f} min, {len(loads)} types, {table.rows} samples, {operations} "
             f"operations, {100 * (now[0] - idle[0]) / (now[1] - idle[1]):.0f} % idle")
    for load in loads:
        t.figure("operations", f"{load.name}: {load.done}")
    seen = table.judge()
    for one in seen:
        t.figure("flat" if one.flat else "NOT FLAT", str(one))
    for load in loads:
        load.end()
    for load in loads:
        load.check()
        load.finish()
    t.figure("xruns", f"{sum(getattr(load, 'xruns', 0) for load in loads)}")
    t.equal([str(one) for one in seen if not one.flat], [], "what is not flat")
