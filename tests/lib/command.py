# SPDX-License-Identifier: BSD-3-Clause
"""Running the programs that lanes are made of."""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def missing(*programs):
    """The first of the programs that is not installed, or None."""
    for program in programs:
        if not shutil.which(program) and not shutil.which(program, path="/usr/sbin:/sbin"):
            return program
    return None


def die_with_parent():
    """For Popen's preexec_fn: what a lane started ends with tests/run, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Result:
    def __init__(self, status, output, seconds):
        self.status, self.output, self.seconds = status, output, seconds

    @property
    def last(self):
        """The last line it said, for a reason in one line."""
        lines = [line for line in self.output.strip().splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def run(argv, timeout, env=None, cwd=TOP):
    """Run a program to its end with its output together; a time-out is status 124."""
    start = time.monotonic()
    with subprocess.Popen([str(a) for a in argv], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env=dict(os.environ, **(env or {})),
                          start_new_session=True, preexec_fn=die_with_parent) as p:
        try:
            output, _ = p.communicate(timeout=timeout)
            status = p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, 9)
            output, _ = p.communicate()
            output += f"\nnot done within {timeout} s\n"
            status = 124
    return Result(status, output, time.monotonic() - start)
