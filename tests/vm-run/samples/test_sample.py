# SPDX-License-Identifier: BSD-3-Clause
"""Tests that go wrong in every way, for test_harness.py: never part of a real run."""

import ctypes
import subprocess
import sys
import time
from pathlib import Path

from harness import Case, test


@test()
def passes(t):
    t.equal(1 + 1, 2, "one and one")


@test()
def fails(t):
    t.equal(t.run("echo", "seen").strip(), "expected", "the word")


@test()
def raises(t):
    raise ValueError("by itself")


@test()
def skips(t):
    t.skip("nothing to do here")


@test(needs=("no-such-program",))
def needs_a_program(t):
    t.fail("it ran without what it needs")


@test(timeout=2)
def hangs(t):
    time.sleep(1000)


@test(cases={"two": {"number": 2}, "three": Case({"number": 3}, kernels=("none",))})
def has_cases(t, number):
    t.equal(number, 2, "the number")


@test()
def leaves_a_process(t):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)


@test()
def process_is_gone(t):
    seen = subprocess.run(["pgrep", "-x", "sleep"], stdout=subprocess.PIPE, text=True)
    t.equal(seen.stdout, "", "processes named sleep")


@test()
def cleaning_up_fails(t):
    t.at_end(lambda: t.fail("not clean"))


@test()
def ends_its_process(t):
    sys.stdout.flush()
    import os
    os._exit(3)


@test()
def kernel_complains(t):
    # The kernel's line on a segmentation fault starts with the name of the program.
    subprocess.run([sys.executable, "-c", "import ctypes\n"
                    "open('/proc/self/comm', 'w').write('BUG: sample')\n"
                    "ctypes.string_at(0)"])


@test(needs=("mkfs.ext4", "fsfreeze"))
def stays_in_d_state(t):
    disk = t.image(16 << 20)
    where = t.tmp / "mount"
    where.mkdir()
    t.run("mkfs.ext4", "-q", disk)
    t.run("mount", "-o", "loop", disk, where)
    t.run("fsfreeze", "-f", where)
    subprocess.Popen(["touch", where / "file"])
    time.sleep(0.5)


@test()
def crashes_the_guest(t):
    Path("/proc/sysrq-trigger").write_text("c")
    time.sleep(100)


@test()
def runs_after_the_crash(t):
    t.check(ctypes.sizeof(ctypes.c_int) == 4, "an int of four bytes")
