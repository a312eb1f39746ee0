#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same back-ends by virtio-loopback, and by QEMU/KVM's vhost-user-blk-pci: what a read takes.

    bench/nested.py [--rounds N] [--scale X] KERNEL INITRAMFS

In the throw-away guest, where KVM is nested, or on a machine (bench/run [--here] nested). Prints
CSV: WAY-DEPTH/COUNT,round,so many a request. Few requests are made, then many: what differs is
theirs.

    exits       from the guest of KVM, all of them (kvm's own counts)
    halts       of them, those of a virtual CPU that has nothing to do
    windows     of them, those that only wait for the guest to take an interrupt
    host        of them, those for interrupts of the machine itself
    kicks       eventfds that the kernel signals for the driver
    calls       eventfds by which the back-end calls, as seen by the one that waits for them
    injected    interrupts put into the guest of KVM (kvm's own counts)
    interrupts  of the disk, as its driver takes them; by virtio-loopback the irq_work of a call
    timers      interrupts of the timer in the guest of KVM: they go with the time, not the request
    switches    of tasks, on the machine that has the back-end
    copied      bytes that the transport copies
    ns          by the wall clock; where KVM is nested in an emulated machine, nobody's time
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers  # noqa: E402

FEW, MANY = 400, 2400
DEPTHS = (1, 32)
GUEST_MIB = 256
TRACING = Path("/sys/kernel/tracing")
KVM_STATS = Path("/sys/kernel/debug/kvm")
# Which function, by the first that this kernel has; from 6.8 on a mask is its argument.
PROBES = {"kicks": ("eventfd_signal_mask", "eventfd_signal"), "irqfd": ("irqfd_wakeup",)}
APPEND = ("console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check mitigations=off "
          "random.trust_cpu=on")
# What is not done by then has hung: seconds of a guest of KVM.
LIMIT = 3600

BACKENDS = {"own": peers.own("own"), "qsd": peers.qsd("qsd")}


class Probes:
    """Counts of the kernel's own, while they are on."""

    def __init__(self):
        self._drop()
        symbols = Path("/proc/kallsyms").read_text()
        for name, functions in PROBES.items():
            there = [fn for fn in functions if re.search(rf" {fn}(\s|$)", symbols, re.M)]
            if not there:
                raise SystemExit(f"this kernel has no {' nor '.join(functions)}")
            self._define(f"p:bench/{name} {there[0]}")
        (TRACING / "events/bench/enable").write_text("1")

    def counts(self):
        rows = [line.split() for line in
                (TRACING / "kprobe_profile").read_text().splitlines()]
        return {name: int(hits) for name, hits, _ in rows if name in PROBES}

    @staticmethod
    def _define(line):
        """A file that is truncated forgets the probes of others, one that is sought in fails."""
        fd = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)

    def _drop(self):
        for name in PROBES:
            if (TRACING / "events/bench" / name).exists():
                (TRACING / "events/bench" / name / "enable").write_text("0")
                self._define(f"-:bench/{name}")

    def close(self):
        self._drop()


class Requests:
    """A bench-disk-io: its words come by a pipe, from beside us or from inside the guest."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, errors="replace")
        try:
            self._answer("ready")
        except SystemExit:
            self.process.kill()
            raise

    def _answer(self, word):
        said = []
        for line in self.process.stdout:
            said.append(line.strip())
            if found := re.search(rf"{word}((?: \d+)*)$", said[-1]):
                return [int(n) for n in found.group(1).split()]
        raise SystemExit(f"expected {word}, saw: {' / '.join(said[-5:])}")

    def make(self, depth, count):
        """Nanoseconds, and so far the disk's interrupts and the timer's."""
        self.process.stdin.write(f"{depth} {count}\n")
        self.process.stdin.flush()
        return self._answer("done")

    def close(self):
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended by itself
                self.process.communicate("end\n", timeout=60)
        finally:
            self.process.kill()


def total(pattern, path):
    """Of all lines of a table whose first word is pattern: the sum of their numbers."""
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    return sum(int(n) for words in lines if words and words[0] == pattern
               for n in words[1:] if n.isdigit())


def machine_counts(probes):
    found = {**probes.counts(), "switches": total("ctxt", "/proc/stat")}
    for name, stat in (("exits", "exits"), ("halts", "halt_exits"),
                       ("windows", "irq_window_exits"), ("host", "irq_exits"),
                       ("injected", "irq_injections")):
        found[name] = int((KVM_STATS / stat).read_text())
    return found


class Loopback:
    """The disk on this machine."""

    def __init__(self, name, tmp):
        node = peers.loopback(tmp, name, *BACKENDS[name])  # peers.end() detaches it
        self.name = name
        self.requests = Requests(pinned("bench-disk-io", node))

    def counts(self, found, *_):
        """The driver's interrupt is the irq_work that the call is handed on by."""
        stats = json.loads(peers.run("virtio-loopback", "stats", self.name, "--json"))["kernel"]
        found["calls"] = stats["calls"]
        found["interrupts"] = total("IWI:", "/proc/interrupts")
        found["copied"] = stats["bytes_to_device"] + stats["bytes_from_device"]
        return found


class Kvm:
    """The disk in a guest of this machine."""

    def __init__(self, name, tmp, kernel, initramfs):
        sock = peers.serve(tmp, f"kvm-{name}", BACKENDS[name])
        self.requests = Requests(pinned(
            "timeout", str(LIMIT), "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-machine", "q35,usb=off,vmport=off,memory-backend=m", "-accel", "kvm",
            "-cpu", "host", "-smp", "1", "-m", str(GUEST_MIB), "-object",
            f"memory-backend-memfd,id=m,size={GUEST_MIB}M,share=on", "-kernel", kernel,
            "-initrd", initramfs, "-append", APPEND, "-serial", "stdio", "-chardev",
            f"socket,id=c,path={sock}", "-device",
            f"vhost-user-blk-pci,chardev=c,num-queues=1,queue-size={peers.DEPTH}"))

    def counts(self, found, interrupts, timers):
        """The guest's memory is the back-end's as well: there is nothing to copy."""
        found["calls"] = found["irqfd"]
        found["interrupts"], found["timers"] = interrupts, timers
        return found


def pinned(*argv):
    """Beside the back-end, which peers.daemon() has on CPU 1."""
    return ["taskset", "-c", "0", *argv]


def snapshot(way, probes, depth, count):
    ns, *interrupts = way.requests.make(depth, count)
    return {**way.counts(machine_counts(probes), *interrupts), "ns": ns}


def measure(name, way, probes, rounds, scale):
    few, many = int(FEW * scale), int(MANY * scale)
    for depth in DEPTHS:
        before = snapshot(way, probes, depth, few)
        for turn in range(rounds):
            middle = snapshot(way, probes, depth, few)
            after = snapshot(way, probes, depth, many)
            for what in after:
                if what == "irqfd":
                    continue
                # Of the clock the interval itself is told, of all else how far the count has come.
                more = (after[what] - middle[what]) - (0 if what == "ns" else
                                                       middle[what] - before[what])
                print(f"{name}-{depth}/{what},{turn},{more / (many - few):.3f}", flush=True)
            before = after


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=1, help="times as many requests")
    p.add_argument("kernel", help="what KVM's guest boots")
    p.add_argument("initramfs", help="with bench-disk-io as its first program (bench/run makes it)")
    args = p.parse_args()
    for name in ("kvm_amd", "kvm_intel"):
        subprocess.run(["modprobe", name], stderr=subprocess.DEVNULL)
    if not Path("/dev/kvm").exists():
        raise SystemExit("no /dev/kvm: this CPU virtualises nothing, or its firmware forbids it")
    if not shutil.which("qemu-system-x86_64"):
        raise SystemExit("no qemu-system-x86_64: it is what the guest of KVM runs in")
    ways = {**{f"loopback-{name}": lambda tmp, n=name: Loopback(n, tmp) for name in BACKENDS},
            **{f"kvm-{name}": lambda tmp, n=name: Kvm(n, tmp, args.kernel, args.initramfs)
               for name in BACKENDS}}
    probes = Probes()
    try:
        with tempfile.TemporaryDirectory() as tmp:
            for name, begin in ways.items():
                way = begin(tmp)
                try:
                    measure(name, way, probes, args.rounds, args.scale)
                finally:
                    way.requests.close()
                    peers.end()
    finally:
        peers.end()
        probes.close()


if __name__ == "__main__":
    main()
