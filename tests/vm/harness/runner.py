# SPDX-License-Identifier: BSD-3-Clause
"""Runs the chosen tests one after the other, each in a process and control group of its own.

Results go to standard output, one line each, as soon as they are known:

    VLB-SPEED  how much all time limits are stretched
    VLB-PLAN   ["name", …]
    VLB-START  "name"
    VLB-RESULT {"name": …, "result": "ok"|"FAIL"|"skip", "seconds": …, "reason": …, "output": …,
                "tolerated": complaints of the kernel that are none, "sound": true|false,
                "peers": [what Context.peer() was told]}
    VLB-RENEW  "why the tests that are left need a fresh guest"
    VLB-END
"""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from . import context, devices, kernelwatch
from .result import Failed, Skipped

CGROUP = Path("/sys/fs/cgroup")
# How much of a failed test's output travels with its result.
OUTPUT_TAIL = 12000


def say(word, value=None):
    line = f"VLB-{word}" + ("" if value is None else " " + json.dumps(value))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# Seconds that one round of calibrate() takes on two cores of 2024 with nothing else to do.
ROUND_S = 0.024


def calibrate(rounds=40):
    """How much slower than that the guest is: a busy machine gets longer time limits."""
    start = time.monotonic()
    for _ in range(rounds * 100000):
        pass
    return max(1, (time.monotonic() - start) / rounds / ROUND_S)


class Group:
    """A control group: whatever a test starts can be found and killed by it."""

    def __init__(self, number):
        self.path = CGROUP / f"test-{number}"
        self.path.mkdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def members(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def kill(self, patience):
        """Kill all that is in it; returns those that do not go away."""
        limit = time.monotonic() + patience
        (self.path / "cgroup.kill").write_text("1")
        while self.members() and time.monotonic() < limit:
            time.sleep(0.02)
        return self.members()

    def remove(self):
        try:
            self.path.rmdir()
        except OSError:
            pass


def _names(pids):
    found = []
    for pid in pids:
        try:
            found.append(f"{Path(f'/proc/{pid}/comm').read_text().strip()} ({pid})")
        except OSError:
            pass
    return ", ".join(found)


def _child(test, slow, group, output, report):
    """In the test's own process: run it, and write how it ended to the report pipe."""
    group.enter()
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    t = context.Context(test, slow)
    verdict = {"result": "ok", "reason": ""}
    try:
        for program in test.needs:
            if not shutil.which(program):
                raise Skipped(f"{program} is not in the guest")
        test.function(t, **test.args)
    except Skipped as e:
        verdict = {"result": "skip", "reason": str(e)}
    except Failed as e:
        traceback.print_exc()
        verdict = {"result": "FAIL", "reason": str(e)}
    except BaseException as e:
        traceback.print_exc()
        verdict = {"result": "FAIL", "reason": f"{type(e).__name__}: {e}"}
    troubles = t.finish()
    if troubles and verdict["result"] != "FAIL":
        verdict = {"result": "FAIL", "reason": "cleaning up: " + "; ".join(troubles)}
    sys.stdout.flush()
    verdict["peers"] = t.peers
    os.write(report, json.dumps(verdict).encode())
    os._exit(0)


class Runner:
    """Runs tests and judges, after each, whether the guest is still sound."""

    def __init__(self, slow, seconds=float("inf"), grace=float("inf")):
        # No test begins after the first, or lasts beyond the second.
        self.end = time.monotonic() + seconds
        self.last = self.end + grace
        # No limit becomes endless: what hangs has to be told from what is slow.
        self.slow, self.number = min(slow * calibrate(), max(8, 1.5 * slow)), 0
        say("SPEED", round(self.slow, 2))
        self.log = kernelwatch.Log()

    def run(self, tests):
        say("PLAN", [t.name for t in tests])
        for test in tests:
            if time.monotonic() > self.end:
                say("RESULT", {"name": test.name, "result": "skip", "seconds": 0, "tolerated": 0,
                               "sound": True, "reason": "the time for this lane was over"})
                continue
            say("START", test.name)
            self.log.say(f"=== {test.name}")
            renew = self._one(test)
            if renew:
                say("RENEW", renew)
                return
        say("END")

    def _one(self, test):
        self.number += 1
        self.log.read()
        start = time.monotonic()
        group = Group(self.number)
        with tempfile.TemporaryFile() as output:
            verdict = self._fork(test, group, output)
            seconds = time.monotonic() - start
            faults, renew, tolerated = self._aftermath(group, test.tolerates)
            if faults:
                verdict["reason"] = "; ".join(filter(None, [
                    verdict["reason"] if verdict["result"] == "FAIL" else ""] + faults))
                verdict["result"] = "FAIL"
            if verdict["result"] == "FAIL":
                size = output.seek(0, os.SEEK_END)
                output.seek(max(0, size - OUTPUT_TAIL))
                verdict["output"] = output.read().decode(errors="replace")
        say("RESULT", dict(verdict, name=test.name, seconds=round(seconds, 2),
                           tolerated=tolerated, sound=renew is None))
        group.remove()
        return renew

    def _fork(self, test, group, output):
        """The test's verdict, or what became of its process."""
        limit = min(test.timeout * self.slow, self.last - time.monotonic())
        reader, writer = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            try:
                _child(test, self.slow, group, output.fileno(), writer)
            finally:
                os._exit(70)
        os.close(writer)
        deadline = time.monotonic() + limit
        ended, status, keep = 0, 0, 0
        while not ended and time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                time.sleep(0.01)
            if time.monotonic() > keep:
                self.log.keep()
                keep = time.monotonic() + 1
        if not ended:
            self._dump(group, output)
            group.kill(10 * self.slow)
            os.waitpid(pid, os.WNOHANG)
            os.close(reader)
            return {"result": "FAIL", "reason": f"not done within {limit:.0f} s"}
        with open(reader, "rb") as pipe:
            report = pipe.read()
        if not report:
            return {"result": "FAIL",
                    "reason": f"the test's process ended with status {os.waitstatus_to_exitcode(status)}"}
        return json.loads(report)

    def _dump(self, group, output):
        """Where everything hangs, for the person who reads the failure."""
        kernelwatch.sysrq("w")
        text = ["--- the time is over; these processes are left:"]
        for pid in group.members():
            text.append(f"{_names([pid])}:\n{kernelwatch.stack(pid)}")
        os.write(output.fileno(), "\n".join(text).encode())

    def _aftermath(self, group, tolerates):
        """
        Faults that a test leaves behind, why the guest should be renewed, if so, and how many
        complaints of the kernel were none.
        """
        faults, renew = [], None
        # One that was on its way out when it was listed has left nothing.
        left = [pid for pid in group.members() if _names([pid])]
        if left:
            faults.append(f"left running: {_names(left)}")
        names = devices.forgotten() if kernelwatch.MODULE.exists() else []
        if names:
            faults.append(f"left attached: {', '.join(names)}")
            try:
                devices.detach_all()
            except Exception as e:
                faults.append(f"detach --all --force: {e}")
                renew = "a device that cannot be detached"
        devices.remove_logs()
        if left:
            stuck = group.kill(10 * self.slow)
            if stuck:
                faults.append(f"cannot be killed: {_names(stuck)}")
                renew = "a process that cannot be killed"
        for pid, name in kernelwatch.blocked(5 * self.slow):
            faults.append(f"stays in D state: {name} ({pid})")
            renew = "a process in D state"
        users = kernelwatch.module_users(10 * self.slow)
        if users:
            faults.append(f"the module still has {users} users")
            renew = "a module in use"
        said = kernelwatch.complaints_in(self.log.read())
        bad = [text for text in said
               if not any(re.search(pattern, text) for pattern in tolerates)]
        if bad:
            faults.append("the kernel complained: " + bad[0].splitlines()[0])
            # Most complaints are made once, and lockdep ends with its first.
            renew = "a kernel that has complained"
        return faults, renew, len(said) - len(bad)
