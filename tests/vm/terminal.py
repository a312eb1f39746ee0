# SPDX-License-Identifier: BSD-3-Clause
"""A shell on a terminal, at which somebody types."""

import os
import pty
import re
import signal
import threading


class Terminal:
    def __init__(self, t):
        self.t, self.text, self.read_to = t, "", 0
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "dumb"
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        t.at_end(self.end)
        self.sees(r"[#$] $")

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode(errors="replace")

    def type(self, text):
        self.t.log(f"typed: {text!r}")
        os.write(self.master, text.encode())

    def sees(self, pattern, seconds=20):
        """What is shown after what was seen before."""
        found = self.t.within(seconds, lambda: re.search(pattern, self.text[self.read_to:]),
                              f"{pattern!r} on the terminal")
        self.read_to += found.end()

    def end(self):
        """The shell and what it left hang up."""
        if self.pid is None:
            return
        os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)
        self.pid = None
        self.reader.join(5)
        os.close(self.master)
        self.t.log(f"the terminal showed:\n{self.text[-3000:]}")
