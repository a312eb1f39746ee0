# SPDX-License-Identifier: BSD-3-Clause
"""The tests that run in the guest: one boot runs many, results come as they are made."""

import copy
import glob
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from . import command
from .command import TOP

sys.path.insert(0, str(TOP / "vm" / "lib"))
from vmtool import complaints, kernel as kernels  # noqa: E402

# A test that crashes its guest costs a boot; after this many the rest counts as failed.
MAX_RENEWALS = 8
# Seconds that a guest has to come up on debian-6.12; a slower kernel is given more.
BOOT_S = 180
# Why what has not begun within the budget is skipped, and what remains of a test's time by then.
OVER = "the time for this lane was over"
GRACE_S = 240
# What has peers at hand, the tests that use them (a group is what it is asked for), seconds
PEERS = (("tests/interop/debian-peers", r"(?:fs|net|storage|vsock)\.", 1800),
         ("tests/interop/rust-vmm", r"rust_vmm\.(?:reported\[)?([a-z0-9]+)", 9000))


def peers(tests):
    """What has the peers of these tests at hand: (its command, seconds), one after the other."""
    for program, users, seconds in PEERS:
        found = [m for m in (re.match(users, name) for name in tests) if m]
        if found:
            yield [program, *sorted({word for m in found for word in m.groups()})], seconds


class VmLane:
    """All tests of some tiers on one guest kernel."""

    def __init__(self, kernel, tiers, patterns=(), tags=(), smp=2, mem=3072, limit=None,
                 folder=TOP / "tests/vm", name=None, module=True, end=None,
                 shard=(0, 1), sleep=False, second_try=False):
        self.kernel, self.tiers, self.smp, self.mem = kernel, tiers, smp, mem
        self.patterns, self.tags = patterns, tags
        # time.monotonic() from which on no test is begun; those are skipped, and say so.
        self.end = end
        # Seconds that one guest may take; with an end to be met, that is what limits it.
        self.limit = limit or (float("inf") if end else 3600)
        self.name, self.folder, self.module = name or f"vm-{kernel}", folder, module
        self.family = self.name  # which it is called by together with its shards
        # (I, N): this lane has every Nth test, from the Ith on.
        self.shard = shard
        self.sleep = sleep
        # What fails in a guest that stays sound is tried once more, in a fresh one: on a machine
        # whose load nobody knows that tells the test from its neighbours. A complaint of the
        # kernel, a stuck process or a dead guest is never tried away.
        self.second_try, self.again = second_try, []
        if shard[1] > 1:
            self.name += f"-{shard[0] + 1}"
        desc = kernels.describe(kernel)
        self.slow = float(desc.get("slow", 1))

    def _guest_command(self, *more):
        argv = [str(TOP / "tests/vm/guest.py"), "--kernel", self.kernel, "--slow", str(self.slow),
                "--folder", str(self.folder), "--shard", f"{self.shard[0]}/{self.shard[1]}"]
        for tier in self.tiers:
            argv += ["--tier", tier]
        for tag in self.tags:
            argv += ["--tag", tag]
        return argv + list(more) + list(self.patterns)

    def tests(self):
        """The names of the tests that will run, from the modules themselves."""
        listed = command.run(["python3"] + self._guest_command("--list"), 60)
        if listed.status:
            raise RuntimeError(f"the test modules cannot be loaded: {listed.last}")
        return listed.output.split("\n")[:-1]

    def _seconds_left(self):
        return max(1, self.end - time.monotonic())

    def run(self, report):
        try:
            self.left = self.tests()
        except RuntimeError as e:
            report.result(self.name, "load", "FAIL", str(e))
            return
        if not self.left:
            return
        if self._prepare(report):
            self._run_all(report)
            self._try_again(report)

    def _try_again(self, report):
        if not self.again:
            return
        other = copy.copy(self)
        other.patterns = [glob.escape(name) for name in self.again]
        other.shard, other.limit, other.second_try = (0, 1), 600, False
        other.left = other.tests()
        report.progress(self.name, f"a second try for {', '.join(self.again)}")
        other.again = []
        other._run_all(report)

    def _prepare(self, report):
        """Kernel, image, module; says what becomes of the tests where one is not to be had."""
        report.progress(self.name, f"{len(self.left)} tests; fetching what the guest needs")
        arch = kernels.describe(self.kernel).get("arch", "amd64")
        # A kernel that is not built in time is skipped, and the next run goes on with it.
        limit = int(self._seconds_left()) if self.end else 3600
        got = command.run(["vm/prepare", self.kernel, "--image", arch], limit)
        if got.status:
            self._all(report, "skip", f"no guest: {got.last}")
            return False
        # What cannot be had is skipped by the tests themselves.
        for argv, seconds in peers(self.left):
            report.progress(self.name, f"peers: {' '.join(argv)}")
            had = command.run(argv, seconds)
            if had.status:
                report.progress(self.name, f"peers: {argv[0]} did not do it: "
                                           f"{had.last or f'status {had.status}'}")
        if not self.module:
            return True
        built = command.run(["vm/build-module", self.kernel], 600)
        if built.status:
            report.result(self.name, "build-module", "FAIL", "the module does not build",
                          output=built.output)
            self._all(report, "FAIL", "not run: the module does not build")
            return False
        return True

    def _all(self, report, verdict, reason):
        for name in self.left:
            report.result(self.name, name, verdict, reason)
        self.left = []

    def _run_all(self, report):
        for boot in range(MAX_RENEWALS):
            if self.end and time.monotonic() > self.end:
                self._all(report, "skip", OVER)
                return
            report.progress(self.name, f"booting the guest for {len(self.left)} tests"
                            if boot == 0 else f"a fresh guest for the {len(self.left)} left")
            trouble = self._boot(report, boot)
            if not self.left:
                break
            if trouble:
                self._all(report, "FAIL", f"not run: {trouble}")
        if self.left:
            self._all(report, "FAIL", f"not run: {MAX_RENEWALS} guests were used up")

    def _boot(self, report, boot):
        """One guest; takes what it has run off self.left. Returns why going on is no use."""
        total = len(self.tests())
        slower, more = max(1, self.slow / 2), []
        limit = self.limit * slower
        if self.end:
            more = ["--seconds", str(int(self._seconds_left())), "--grace", str(GRACE_S)]
            limit = min(limit, self._seconds_left() + GRACE_S + 60)
        log = TOP / "vm/out" / f"{self.name}-{boot}.dmesg.txt"
        argv = ["vm/run", "--kernel", self.kernel, "--root", "image", "--smp", str(self.smp),
                "--mem", str(self.mem), "--timeout", str(int(limit)), "--dmesg", str(log),
                "--boot-timeout", str(int(min(BOOT_S * slower, limit)))]
        argv += [] if self.module else ["--no-module"]
        argv += ["--sleep"] if self.sleep else []
        argv += ["--"] + self._guest_command("--skip-first", str(total - len(self.left)), *more)
        stray, running, failed, renewed, tolerated = [], None, False, False, 0
        with subprocess.Popen(argv, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace",
                              preexec_fn=command.die_with_parent) as p:
            for line in p.stdout:
                word, _, value = line.rstrip("\n").partition(" ")
                if word == "VLB-START":
                    running = json.loads(value)
                elif word == "VLB-RESULT":
                    r = json.loads(value)
                    self._result(report, r)
                    failed |= r["result"] == "FAIL"
                    tolerated += r["tolerated"]
                    self.left.remove(r["name"])
                    running = None
                elif word == "VLB-SPEED" and float(value) > self.slow * 1.5:
                    report.progress(self.name, f"the machine is busy: time limits times {value}")
                elif word == "VLB-RENEW":
                    renewed = True
                elif not word.startswith("VLB-"):
                    stray.append(line.rstrip("\n"))
        status = p.returncode
        if status == 99 and self._complaints(log) <= tolerated:
            status = 0
        return self._after(report, status, running, failed, renewed, stray, log)

    def _result(self, report, r):
        told = (r["reason"], r["seconds"], r.get("output", ""))
        if (self.second_try and r["result"] == "FAIL" and r["sound"]
                and report.first_try(self.name, r["name"], *told)):
            self.again.append(r["name"])
        else:
            report.result(self.name, r["name"], r["result"], *told, peers=r.get("peers", ()))

    @staticmethod
    def _complaints(log):
        """How many there are in a guest's kernel log."""
        return len(complaints.find(log.read_text(errors="replace")))

    def _after(self, report, status, running, failed, renewed, stray, log):
        """Judge how the guest itself ended."""
        said = next((line for line in stray if line.startswith("vm/run: ")), "").strip()
        output = "\n".join(stray)
        if running:
            why = {124: "the guest's time ran out"}.get(status, "the guest died")
            report.result(self.name, running, "FAIL", f"{why} while it ran: {said} (see {log})",
                          output=output)
            self.left.remove(running)
            return None if status != 124 else "the guest's time ran out"
        if status == 99 and not failed:
            report.result(self.name, "kernel-log", "FAIL", f"outside of the tests {said}",
                          output=output)
        elif status not in (0, 99) and not (renewed and failed):
            report.result(self.name, "guest", "FAIL",
                          f"status {status} after the tests: {said or output[-200:]}", output=output)
            return said or f"the guest ended with status {status}"
        if status == 0 and self.left and not renewed:
            return "the guest's runner ended early"
        return None
