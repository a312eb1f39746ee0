# SPDX-License-Identifier: BSD-3-Clause
"""Interfaces and numbered frames, for the tests of CAN devices."""

import json
import re
from pathlib import Path

NET = Path("/sys/class/net")
# Kernels with a virtual CAN bus; Debian's for cloud machines has no CAN at all.
KERNELS = ("debian-6.12", "debug")
EVERY = ("debian-6.12", "debian-6.12-rt", "debian-6.12-arm64*", "debian-6.1", "debian-7", "debug",
         "plain")
# Frames a second on a bus of 1 Mbit/s that is full of short frames
BUS_RATE = 8000


def bus(t, name="vcan0"):
    """A virtual bus, up."""
    for module in ("vcan", "can-raw"):
        t.run("modprobe", module, status=None)
        if t.last_status and not Path("/sys/module", module.replace("-", "_")).exists():
            t.skip(f"this kernel has no {module}")
    t.run("ip", "link", "add", name, "type", "vcan")
    t.at_end(t.run, "ip", "link", "delete", name, status=None)
    # FD frames and no more: from Linux 7 on it is made for CAN XL, which can-utils may not know.
    t.run("ip", "link", "set", name, "mtu", 72)
    t.run("ip", "link", "set", name, "up")
    return name


def traffic(t, *names):
    """Frames without an end, until the test is over or the interface is."""
    return [t.start("sh", "-c", f"while can-load send {name} 100000 2000; do :; done")
            for name in names]


class Interface:
    """A CAN device that is attached, and its interface."""

    def __init__(self, t, behind="vcan0", up=True, **kw):
        self.t, self.behind = t, behind
        kw.setdefault("exec", f"vhost-user-can --interface {behind}")
        self.device = t.attach("can", **kw)
        t.equal(len(self.device.nodes), 1, "nodes that attach tells")
        self.name = self.device.node
        if up:
            self.up()

    def up(self, status=0):
        return self.t.run("ip", "link", "set", self.name, "up", status=status)

    def down(self):
        self.t.run("ip", "link", "set", self.name, "down")

    def stat(self, name):
        return int((NET / self.name / "statistics" / name).read_text())

    def details(self):
        return self.t.run("ip", "-details", "link", "show", self.name)

    def state(self):
        found = re.search(r"\bstate (\S+) (?:\(berr|restart-ms)", self.details())
        return found.group(1) if found else None

    def lost(self):
        """Frames that the device says it lost."""
        return self.stat("rx_over_errors")


def last_json(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


class Receiver:
    """A can-load that reads."""

    def __init__(self, t, name, count, *options):
        self.t, self.name, self.count = t, name, count
        self.process = t.start("can-load", *options, "receive", name, count)
        t.within(10, lambda: "ready" in self.process.said() or not self.process.alive(),
                 f"the receiver on {name}")

    def result(self, timeout=60):
        """What it saw, once all have come."""
        t = self.t
        status = self.process.wait(timeout)
        t.equal(status, 0, f"exit status of the receiver on {self.name}")
        seen = last_json(self.process.said())
        t.log(f"receiver on {self.name}: {seen}")
        return seen

    def all(self, timeout=60):
        """All have come, each once, in order, unchanged."""
        seen = self.result(timeout)
        self.t.equal([seen[k] for k in ("received", "missing", "wrong", "unread")],
                     [self.count, 0, 0, 0],
                     f"frames received on {self.name}, missing, wrong, and left in its socket")
        return seen

    def end(self):
        self.process.popen.terminate()
        return self.result()


def send(t, name, count, rate=0, timeout=60, options=()):
    seen = last_json(t.run("can-load", *options, "send", name, count, rate, timeout=timeout))
    t.equal(seen["sent"], count, f"frames sent on {name}")
    return seen
