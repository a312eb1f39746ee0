# SPDX-License-Identifier: BSD-3-Clause
"""Wakes a guest that overslept: an alarm that went off before the guest slept is lost."""

import json
import socket
import time

from . import report

# Longer than any alarm that a command in the guest sets itself.
OVERSLEPT_S = 60


class Waker:
    """Follows QEMU's monitor; each step() takes no time."""

    def __init__(self, path):
        self.path, self.socket, self.read = path, None, b""
        # time.monotonic() of when the guest fell asleep, while it does.
        self.since = None

    def step(self):
        if not self.socket and not self._connect():
            return
        try:
            self.read += self.socket.recv(1 << 16)
        except OSError:
            pass
        *lines, self.read = self.read.split(b"\n")
        for line in lines:
            self._event(json.loads(line).get("event"))
        if self.since and time.monotonic() - self.since > OVERSLEPT_S:
            report.progress(f"the guest slept for {OVERSLEPT_S} s and is woken up")
            self._say("system_wakeup")
            self.since = None

    def _connect(self):
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(str(self.path))
        except OSError:
            # QEMU does not listen yet, or has ended.
            peer.close()
            return False
        peer.setblocking(False)
        self.socket = peer
        self._say("qmp_capabilities")
        return True

    def _say(self, command):
        try:
            self.socket.send(json.dumps({"execute": command}).encode() + b"\n")
        except OSError:
            pass

    def _event(self, name):
        if name == "SUSPEND":
            self.since = time.monotonic()
        elif name == "WAKEUP":
            self.since = None

    def close(self):
        if self.socket:
            self.socket.close()
