# SPDX-License-Identifier: BSD-3-Clause
"""What is told to the person at the keyboard.

A guest command's standard error comes through unchanged, so progress must not
go there: it goes to the terminal when there is one, and always to a log.
"""

import os
import subprocess
import sys
import time

from . import paths


class VmError(Exception):
    """A failure with one clear line for the user."""

    def __init__(self, message, status=125):
        super().__init__(message)
        self.status = status


_verbose = False
_tty = None


def progress_on_stderr():
    """For the tools that prepare things and whose output is progress."""
    global _verbose
    _verbose = True


def _terminal():
    global _tty
    if _tty is None:
        if _verbose or os.isatty(2):
            _tty = 2
        else:
            try:
                _tty = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError:
                _tty = -1
    return _tty


def progress(text):
    """One line about work that takes a while."""
    line = f"vm: {text}\n"
    if _terminal() >= 0:
        os.write(_terminal(), line.encode())
    paths.OUT.mkdir(parents=True, exist_ok=True)
    with open(paths.OUT / "progress.txt", "a") as log:
        log.write(time.strftime("%H:%M:%S ") + line)


def error(text):
    sys.stderr.write(f"vm/{os.path.basename(sys.argv[0])}: {text}\n")
    sys.stderr.flush()


def run(argv, what, **kw):
    """Run a program of the host; on failure say what failed and the end of its output."""
    res = subprocess.run(
        [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", **kw)
    if res.returncode:
        tail = "\n    ".join(res.stdout.strip().splitlines()[-15:])
        raise VmError(f"{what} failed (status {res.returncode}):\n    {tail}")
    return res.stdout


def need(program, package):
    """Refuse early, in one line, when a program of the host is missing."""
    from shutil import which
    path = which(program) or which(program, path="/usr/sbin:/sbin")
    if not path:
        raise VmError(f"{program} is not installed: apt install {package}, or run tools/deps")
    return path
