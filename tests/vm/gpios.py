# SPDX-License-Identifier: BSD-3-Clause
"""Both sides of a GPIO device: a simulated chip behind it, and the lines of the virtio chip."""

import fcntl
import os
import select
import struct
import threading
import time
from pathlib import Path

CONFIGFS = Path("/sys/kernel/config")

# linux/gpio.h, uAPI v2
GET_LINE = 0xC250B407
GET_VALUES, SET_VALUES = 0xC010B40E, 0xC010B40F
INPUT, OUTPUT, RISING, FALLING = 1 << 2, 1 << 3, 1 << 4, 1 << 5
EVENT = struct.Struct("=QIIII24x")


def load(t, driver):
    """The simulator, and the driver."""
    t.module("gpio-sim")
    if driver:
        t.module("gpio-virtio")
    if not (CONFIGFS / "gpio-sim").exists():
        t.run("mount", "-t", "configfs", "none", CONFIGFS)


class Sim:
    """A chip whose lines are moved by hand: what the world does to a real one."""

    def __init__(self, t, lines=8, names=(), label="sim", driver=True):
        self.t, self.count = t, lines
        load(t, driver)
        self.top = CONFIGFS / "gpio-sim" / f"{label}-{os.getpid()}"
        bank = self.top / "bank"
        bank.mkdir(parents=True)
        t.at_end(self.remove)
        (bank / "num_lines").write_text(str(lines))
        (bank / "label").write_text(label)
        for line, name in enumerate(names):
            (bank / f"line{line}").mkdir()
            (bank / f"line{line}/name").write_text(name)
        (self.top / "live").write_text("1")
        self.chip = (bank / "chip_name").read_text().strip()
        self.node = f"/dev/{self.chip}"
        device = (self.top / "dev_name").read_text().strip()
        self.sysfs = Path("/sys/devices/platform") / device / self.chip
        t.within(5, lambda: Path(self.node).exists(), self.node)
        # Opened once: a move is one write.
        self.pulls = [os.open(self.sysfs / f"sim_gpio{n}/pull", os.O_WRONLY)
                      for n in range(lines)]

    def pull(self, line, level):
        """Nobody drives the line: this is how it stands then."""
        os.pwrite(self.pulls[line], b"pull-up" if level else b"pull-down", 0)

    def value(self, line):
        return int((self.sysfs / f"sim_gpio{line}/value").read_text())

    def unplug(self):
        (self.top / "live").write_text("0")

    def remove(self):
        for fd in self.pulls:
            os.close(fd)
        if (self.top / "live").read_text().strip() == "1":
            self.unplug()
        bank = self.top / "bank"
        for line in bank.glob("line*"):
            line.rmdir()
        bank.rmdir()
        self.top.rmdir()


def backend(sim, *more):
    return " ".join(["vhost-user-gpio --chip", sim.node, *more])


def line_name(node, offset):
    info = struct.pack("=32s32sI188x", b"", b"", offset)
    with open(node, "rb", buffering=0) as chip:
        got = fcntl.ioctl(chip, 0xC0000000 | len(info) << 16 | 0xB405, info)
    return got[:32].split(b"\0")[0].decode()


class Line:
    """One line of a chip, by the kernel's own interface."""

    def __init__(self, node, offset, flags, value=None):
        attr = b"" if value is None else struct.pack("=IIQQ", 2, 0, value, 1)
        request = struct.pack("=I252x32s", offset, b"test")
        request += struct.pack("=QI20x240s", flags, len(attr) // 24, attr)
        request += struct.pack("=II20xi", 1, 1024, -1)  # room for events: never too few
        with open(node, "rb", buffering=0) as chip:
            got = fcntl.ioctl(chip, 0xC0000000 | len(request) << 16 | 0xB407, request)
        self.fd = struct.unpack("=i", got[-4:])[0]

    def get(self):
        got = fcntl.ioctl(self.fd, GET_VALUES, struct.pack("=QQ", 0, 1))
        return struct.unpack("=QQ", got)[0]

    def set(self, value):
        fcntl.ioctl(self.fd, SET_VALUES, struct.pack("=QQ", value, 1))

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Watch:
    """The edges of a line as they come; 1 is a rising one."""

    def __init__(self, node, offset, flags=RISING | FALLING):
        self.line = Line(node, offset, INPUT | flags)
        self.edges, self.error = [], None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        poll = select.poll()
        poll.register(self.line.fd, select.POLLIN)
        try:
            while not self.ended.is_set():
                if not poll.poll(100):
                    continue
                data = os.read(self.line.fd, 16 * EVENT.size)
                for at in range(0, len(data), EVENT.size):
                    self.edges.append(int(EVENT.unpack_from(data, at)[1] == 1))
        except OSError as e:
            self.error = e

    def close(self):
        self.ended.set()
        self.thread.join()
        self.line.close()


class Traffic:
    """Moves all lines without a pause until it is stopped."""

    def __init__(self, sim):
        self.sim, self.moves = sim, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._move, daemon=True)
        self.thread.start()

    def _move(self):
        level = 0
        while not self.stopped.is_set():
            level ^= 1
            for line in range(self.sim.count):
                self.sim.pull(line, level)
                self.moves += 1
            time.sleep(0.001)

    def stop(self):
        self.stopped.set()
        self.thread.join()
