# SPDX-License-Identifier: BSD-3-Clause
"""The object that each test function is given."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import aids, devices, process
from .result import Failed, Skipped


class Context:
    """Helpers of one test; what they start is ended when the test is over."""

    def __init__(self, test, slow):
        self.test = test
        # How many times slower than debian-6.12 this kernel is: for time limits.
        self.slow = slow
        self.kernel = os.environ.get("VLB_KERNEL", "")
        self.top = Path(os.environ.get("VLB_TOP", Path(__file__).parents[3]))
        self.tmp = Path(tempfile.mkdtemp(prefix="test-"))
        # What others wrote and this test drives: rows of docs/interop.md.
        self.peers = []
        self._cleanups = []

    # Saying what goes on

    def log(self, text):
        """Shown when the test fails."""
        print(f"[{time.monotonic():9.3f}] {text}", flush=True)

    def skip(self, reason):
        raise Skipped(reason)

    def fail(self, text):
        raise Failed(text)

    def figure(self, what, text):
        """A measurement, worth keeping also when the test passes: vm/out/figures.txt."""
        self.log(f"{what}: {text}")
        path = self.top / "vm/out/figures.txt"
        if path.parent.is_dir():
            with open(path, "a") as f:
                f.write(f"{self.kernel} {self.test.name} {what}: {text}\n")

    def peer(self, name, version, device, driven=None, side="back-end"):
        """
        This test drives something that others wrote: a row of docs/interop.md, with its result.
        driven: what it does; else the first line of what is written at the test.
        """
        driven = driven or (self.test.function.__doc__ or "").strip().splitlines()[0].rstrip(".")
        row = {"peer": name, "version": version, "side": side, "device": device, "driven": driven}
        if row not in self.peers:
            self.peers.append(row)

    # Checks

    def equal(self, seen, expected, what):
        if seen != expected:
            raise Failed(f"{what}: expected {expected!r}, saw {seen!r}")

    def check(self, condition, text):
        if not condition:
            raise Failed(text)

    def within(self, seconds, condition, what, step=0.02):
        """Wait until condition() is true; its value is returned."""
        limit = time.monotonic() + seconds * self.slow
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > limit:
                raise Failed(f"{what}: not within {seconds * self.slow:g} s")
            time.sleep(step)

    # Cleaning up

    def at_end(self, function, *args, **kw):
        """Call function when the test is over, last come first served."""
        self._cleanups.append((function, args, kw))

    def finish(self):
        """Run the clean-ups; returns what went wrong in them."""
        troubles = []
        while self._cleanups:
            function, args, kw = self._cleanups.pop()
            try:
                function(*args, **kw)
            except Exception as e:
                troubles.append(f"{getattr(function, '__qualname__', function)}: {e}")
        shutil.rmtree(self.tmp, ignore_errors=True)
        return troubles

    # Programs

    def run(self, *argv, status=0, timeout=60, input=None):
        """Run a program to its end; its output is returned. status=None takes any exit status."""
        if len(argv) == 1 and isinstance(argv[0], str) and " " in argv[0]:
            argv = tuple(shlex.split(argv[0]))
        argv = [str(a) for a in argv]
        self.log("$ " + shlex.join(argv))
        try:
            res = subprocess.run(argv, input=input, text=True, errors="replace",
                                 stdin=None if input is not None else subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 timeout=timeout * self.slow)
        except subprocess.TimeoutExpired as e:
            out = e.stdout.decode(errors="replace") if e.stdout else ""
            raise Failed(f"{argv[0]} did not end within {timeout * self.slow:g} s; it said: "
                         f"{out[-500:]}") from None
        if res.stdout:
            self.log(res.stdout.rstrip("\n"))
        self.last_status = res.returncode
        if status is not None and res.returncode != status:
            last = (res.stdout.strip().splitlines() or [""])[-1]
            raise Failed(f"{shlex.join(argv)}: expected exit status {status}, saw "
                         f"{res.returncode}: {last}")
        return res.stdout

    def start(self, *argv, **kw):
        """Start a program that goes on; it is killed at the end. See process.Process."""
        p = process.Process(self, [str(a) for a in argv], **kw)
        self.at_end(p.end)
        return p

    def image(self, size, name="disk.img", fill=None):
        """A file of this size; fill: a byte to fill it with, else it is a hole."""
        path = self.tmp / name
        with open(path, "wb") as f:
            f.truncate(size)
            for _ in range(size >> 20 if fill is not None else 0):
                f.write(bytes([fill]) * (1 << 20))
        return path

    # Modules

    def module(self, name):
        """Load a module of the kernel, or one that was built for tests; see aids.load()."""
        return aids.load(self, name)

    def module_by_name(self, name):
        """Let modprobe find it, without loading it; see aids.by_name()."""
        aids.by_name(self, name)

    # Devices

    def backend(self, program, *args, socket=None, **kw):
        """Start a vhost-user back-end and wait for its socket."""
        return process.start_backend(self, program, args, socket, **kw)

    def attach(self, *args, **kw):
        """virtio-loopback attach …; see devices.attach()."""
        return devices.attach(self, *args, **kw)

    def devices(self):
        """virtio-loopback list --json"""
        return devices.listing(self)
