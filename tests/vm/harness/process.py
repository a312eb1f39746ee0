# SPDX-License-Identifier: BSD-3-Clause
"""Programs that a test starts and ends."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

from .result import Failed, Skipped


SO_ACCEPTCON = 1 << 16  # of the flags in /proc/net/unix


class Process:
    """A program in the background, its output in a file of the test's folder."""

    def __init__(self, t, argv, env=None, stdin=subprocess.DEVNULL, stdout=None, pass_fds=()):
        self.t, self.argv, self.name = t, argv, os.path.basename(argv[0])
        t.log("& " + shlex.join(argv))
        self.output = t.tmp / f"{self.name}-{time.monotonic_ns()}.log"
        with open(self.output, "wb") as log:
            try:
                self.popen = subprocess.Popen(
                    argv, stdin=stdin, stdout=stdout or log, stderr=log,
                    env=dict(os.environ, **(env or {})), pass_fds=pass_fds)
            except FileNotFoundError:
                raise Skipped(f"{argv[0]} is not there") from None
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def listens(self, path):
        """Whether somebody does at that socket, where it is: the file is there before that."""
        try:
            lines = Path(f"/proc/{self.pid}/net/unix").read_text().splitlines()
        except OSError:
            return False
        return any(line.endswith(f" {path}") and int(line.split()[3], 16) & SO_ACCEPTCON
                   for line in lines)

    def said(self):
        return self.output.read_text(errors="replace")

    def signal(self, number):
        self.t.log(f"{signal.Signals(number).name} to {self.name} ({self.pid})")
        self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def wait(self, timeout=30):
        """The exit status (negative: the signal)."""
        try:
            return self.popen.wait(timeout * self.t.slow)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} ({self.pid}) did not end within "
                         f"{timeout * self.t.slow:g} s") from None

    def terminate(self, status=0, timeout=30):
        """SIGTERM, and check how it ends."""
        self.signal(signal.SIGTERM)
        seen = self.wait(timeout)
        if seen != status:
            raise Failed(f"{self.name} on SIGTERM: expected exit status {status}, saw {seen}: "
                         f"{self.said()[-300:]}")

    def end(self):
        """At the end of the test: kill it if it still runs, and keep its words."""
        if self.alive():
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
        try:
            self.popen.wait(10 * self.t.slow)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} ({self.pid}) cannot be killed") from None
        text = self.said().strip()
        if text:
            self.t.log(f"{self.name} said:\n{text[-4000:]}")


def start_backend(t, program, args, socket, ready=10, **kw):
    """A back-end of the vhost-user program conventions, ready when its socket is there.

    {socket} in an argument stands for the socket's path; where no argument has
    it, --socket-path PATH is added.
    """
    path = Path(socket) if socket else t.tmp / f"{os.path.basename(str(program))}.sock"
    path.unlink(missing_ok=True)
    words = [str(a).replace("{socket}", str(path)) for a in args]
    if not any("{socket}" in str(a) for a in args):
        words += ["--socket-path", str(path)]
    p = t.start(program, *words, **kw)
    p.socket = path
    limit = time.monotonic() + ready * t.slow
    while not path.is_socket():
        if not p.alive():
            raise Failed(f"{p.name} ended with status {p.popen.returncode}: {p.said()[-300:]}")
        if time.monotonic() > limit:
            raise Failed(f"{p.name} made no socket within {ready * t.slow:g} s")
        time.sleep(0.01)
    return p
