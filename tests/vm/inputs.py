# SPDX-License-Identifier: BSD-3-Clause
"""Both sides of an input device: one made by uinput behind it, and the virtio device's node."""

import fcntl
import os
import select
import struct
import time
from pathlib import Path

EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_MSC, EV_SW, EV_LED, EV_SND, EV_REP = 0, 1, 2, 3, 4, 5, 17, 18, 20
SYN_REPORT, SYN_DROPPED = 0, 3
EVENT = struct.Struct("=qqHHi")


def _ioc(direction, kind, number, size):
    return direction << 30 | size << 16 | ord(kind) << 8 | number


# What uinput calls the bits of each type
SET_BIT = {EV_KEY: 101, EV_REL: 102, EV_ABS: 103, EV_MSC: 104, EV_LED: 105, EV_SND: 106, EV_SW: 109}
SET_EVBIT, SET_PROPBIT, ABS_SETUP, DEV_SETUP = 100, 110, 4, 3


class Source:
    """A device: what a person's hands do to a real one."""

    def __init__(self, t, name, codes, axes=(), props=(), ids=(3, 0x1234, 0x5678, 0x0111)):
        """codes: {type: codes}; axes: {code: (min, max, fuzz, flat, resolution)}"""
        self.t = t
        for module in ("uinput", "evdev", "virtio_input"):
            t.run("modprobe", module)
        self.fd = os.open("/dev/uinput", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        t.at_end(self.unplug)
        for kind, values in codes.items():
            self._set(SET_EVBIT, kind)
            for value in values:
                self._set(SET_BIT[kind], value)
        for prop in props:
            self._set(SET_PROPBIT, prop)
        setup = struct.pack("=HHHH80sI", *ids, name.encode(), 0)
        fcntl.ioctl(self.fd, _ioc(1, "U", DEV_SETUP, len(setup)), setup)
        for code, (low, high, fuzz, flat, resolution) in dict(axes).items():
            axis = struct.pack("=HHiiiiii", code, 0, 0, low, high, fuzz, flat, resolution)
            fcntl.ioctl(self.fd, _ioc(1, "U", ABS_SETUP, len(axis)), axis)
        fcntl.ioctl(self.fd, _ioc(0, "U", 1, 0))
        got = bytearray(64)
        fcntl.ioctl(self.fd, _ioc(2, "U", 44, 64), got)
        self.sysfs = Path("/sys/devices/virtual/input", got.split(b"\0")[0].decode())
        node = t.within(5, lambda: list(self.sysfs.glob("event*")), "the node of the source")
        self.node = f"/dev/input/{node[0].name}"
        t.within(5, lambda: Path(self.node).exists(), self.node)

    def _set(self, number, value):
        fcntl.ioctl(self.fd, _ioc(1, "U", number, 4), value)

    def send(self, *events):
        """One frame."""
        data = b"".join(EVENT.pack(0, 0, *e) for e in events + ((EV_SYN, SYN_REPORT, 0),))
        os.write(self.fd, data)

    def heard(self, seconds=5):
        """The next event that somebody sends to the device: (type, code, value)."""
        if not select.select([self.fd], [], [], seconds * self.t.slow)[0]:
            return None
        return EVENT.unpack(os.read(self.fd, EVENT.size))[2:]

    def unplug(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


class Reader:
    """A program that has the node open."""

    def __init__(self, node):
        self.fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def read(self, count, seconds):
        """So many events as (type, code, value), or what comes in that time."""
        events, limit = [], time.monotonic() + seconds
        while len(events) < count and time.monotonic() < limit:
            if not select.select([self.fd], [], [], max(0, limit - time.monotonic()))[0]:
                break
            data = os.read(self.fd, 64 * EVENT.size)
            events += [EVENT.unpack_from(data, at)[2:] for at in range(0, len(data), EVENT.size)]
        return events

    def _get(self, number, size):
        data = bytearray(size)
        fcntl.ioctl(self.fd, _ioc(2, "E", number, size), data)
        return bytes(data)

    def description(self):
        """All that a program can find out of a device, but for where it is."""
        found = {"name": self._get(0x06, 80), "id": self._get(0x02, 8), "props": self._get(0x09, 8)}
        for kind in (EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_MSC, EV_SW, EV_LED, EV_SND):
            found[f"bits of type {kind}"] = self._get(0x20 + kind, 96)
        axes = int.from_bytes(found["bits of type 3"], "little")
        for axis in range(64):
            if axes >> axis & 1:
                # all but its value
                found[f"axis {axis}"] = self._get(0x40 + axis, 24)[4:]
        return found

    def keys(self):
        return self._get(0x18, 96)

    def switches(self):
        return self._get(0x1b, 8)

    def leds(self):
        return self._get(0x19, 8)

    def axis(self, axis):
        return struct.unpack("=i", self._get(0x40 + axis, 24)[:4])[0]

    def repeat(self):
        return struct.unpack("=II", self._get(0x03, 8))

    def set_repeat(self, delay, period):
        fcntl.ioctl(self.fd, _ioc(1, "E", 0x03, 8), struct.pack("=II", delay, period))

    def send(self, kind, code, value):
        os.write(self.fd, EVENT.pack(0, 0, kind, code, value)
                 + EVENT.pack(0, 0, EV_SYN, SYN_REPORT, 0))


# ---- devices as there are in the world ----

BTN_LEFT, BTN_TOUCH, BTN_SOUTH, SW_LID = 0x110, 0x14a, 0x130, 0
ABS_X, ABS_Y = 0, 1
SLOT, POSITION_X, POSITION_Y, TRACKING_ID = 0x2f, 0x35, 0x36, 0x39
KEY_A, KEY_LEFTSHIFT = 30, 42


def keyboard(t, name="Keyboard of the tests"):
    return Source(t, name, {EV_KEY: range(1, 249), EV_MSC: [4], EV_LED: range(3), EV_SND: [1, 2],
                            EV_REP: []})


def mouse(t):
    return Source(t, "Mouse of the tests", {EV_KEY: range(BTN_LEFT, BTN_LEFT + 5),
                                            EV_REL: [0, 1, 8, 11]}, ids=(5, 1, 2, 3))


def tablet(t, width, height):
    """A pointer that says where it is, as virtual machines have it."""
    return Source(t, "Tablet of the tests",
                  {EV_KEY: range(BTN_LEFT, BTN_LEFT + 3), EV_ABS: [ABS_X, ABS_Y]},
                  {ABS_X: (0, width - 1, 0, 0, 0), ABS_Y: (0, height - 1, 0, 0, 0)})


def touchscreen(t):
    return Source(t, "Touchscreen of the tests",
                  {EV_KEY: [BTN_TOUCH], EV_ABS: [ABS_X, ABS_Y, SLOT, POSITION_X, POSITION_Y,
                                                 TRACKING_ID]},
                  {ABS_X: (0, 4095, 0, 0, 12), ABS_Y: (0, 2047, 0, 0, 11), SLOT: (0, 9, 0, 0, 0),
                   POSITION_X: (0, 4095, 0, 0, 12), POSITION_Y: (0, 2047, 0, 0, 11),
                   TRACKING_ID: (0, 65535, 0, 0, 0)}, props=[1], ids=(0x18, 0xfff0, 0xfff1, 0))


def gamepad(t):
    return Source(t, "Gamepad and lid of the tests",
                  {EV_KEY: range(BTN_SOUTH, BTN_SOUTH + 15), EV_ABS: [ABS_X, ABS_Y, 16],
                   EV_SW: [SW_LID, 5]},
                  {ABS_X: (-32768, 32767, 16, 128, 0), ABS_Y: (-32768, 32767, 16, 128, 0),
                   16: (-1, 1, 0, 0, 0)})
