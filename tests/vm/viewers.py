# SPDX-License-Identifier: BSD-3-Clause
"""Who looks at the display from outside: an X server without a screen, and a viewer by RFB."""

import ctypes
import os
import socket
import struct

from gpus import OWN, Picture

SIZE = "1024x768"
# Where map_state is in XWindowAttributes, counted in ints, where a long has 64 bits
MAP_STATE = 23
# X.h
KEY_PRESS, KEY_RELEASE = 2, 3
KEY_MASK = {True: 1, False: 2}


class Seen:
    """An attached card, by what somebody sees of it: picture() is theirs."""

    def __init__(self, t, display, *more, backend=OWN):
        self.t = t
        self.device = t.attach("gpu", "--display", display, "--resolution", SIZE, *more,
                               exec=backend)
        self.picture = None


class XServer:
    """Xvfb, whose screen is a file."""

    NUMBER = 7

    def __init__(self, t, size=(1280, 1024)):
        self.t, self.size, self.folder = t, size, t.tmp / "x"
        self.folder.mkdir()
        self.server = t.start("Xvfb", f":{self.NUMBER}", "-screen", "0",
                              f"{size[0]}x{size[1]}x24", "-fbdir", self.folder, "-nolisten", "tcp")
        os.environ["DISPLAY"] = f":{self.NUMBER}"
        self._connect()

    def picture(self):
        """The whole screen: the file is in the format of xwd."""
        data = (self.folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        width, height, line, colours = header[4], header[5], header[12], header[19]
        start = header[0] + 12 * colours
        if line != 4 * width:
            raise AssertionError(f"expected lines of {4 * width} bytes, saw {line}")
        return Picture.of_bgrx(width, height, data[start:start + line * height])

    def window(self):
        """What is not black of it; the window has no frame, as there is no window manager."""
        screen = self.picture()
        box = screen.differences(Picture(*screen.size, bytes(3 * screen.width * screen.height)))
        return box and screen.part(box)

    def _connect(self):
        self.lib = ctypes.CDLL("libX11.so.6")
        self.lib.XOpenDisplay.restype = ctypes.c_void_p
        self.lib.XDefaultRootWindow.restype = ctypes.c_ulong
        # Its socket is there for a moment before it is listened to.
        self.display = ctypes.c_void_p(self.t.within(
            30, lambda: self.lib.XOpenDisplay(None), "a connection to the X server"))
        self.t.at_end(self.lib.XCloseDisplay, self.display)

    def resize(self, width, height):
        """Each window that is seen gets another size; returns how many there are."""
        windows = self._windows()
        for window in windows:
            self.lib.XResizeWindow(self.display, window, width, height)
        self.lib.XFlush(self.display)
        return len(windows)

    def key(self, code, down):
        """A key of the first window, by its evdev code: X has 8 more."""
        window = self._windows()[0]
        event = struct.pack("=i4xQi4xQQQQQiiiiIIi", KEY_PRESS if down else KEY_RELEASE, 0, 1,
                            self.display.value, window.value, self._root().value, 0, 0,
                            1, 1, 1, 1, 0, code + 8, 1).ljust(192, b"\0")
        self.lib.XSendEvent(self.display, window, 1, ctypes.c_long(KEY_MASK[down]), event)
        self.lib.XFlush(self.display)

    def point(self, x, y):
        """The pointer goes to a place in the first window."""
        self.lib.XWarpPointer(self.display, ctypes.c_ulong(0), self._windows()[0], 0, 0, 0, 0, x, y)
        self.lib.XFlush(self.display)

    def _windows(self):
        root, parent = ctypes.c_ulong(), ctypes.c_ulong()
        children, count = ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
        self.lib.XQueryTree(self.display, self._root(), ctypes.byref(root), ctypes.byref(parent),
                            ctypes.byref(children), ctypes.byref(count))
        return [ctypes.c_ulong(window) for window in children[:count.value]
                if self._seen(window)]

    def _root(self):
        return ctypes.c_ulong(self.lib.XDefaultRootWindow(self.display))

    def _seen(self, window):
        """XWindowAttributes: its map_state is 2 when it is viewable."""
        attributes = (ctypes.c_int * 64)()
        self.lib.XGetWindowAttributes(self.display, ctypes.c_ulong(window), attributes)
        return attributes[MAP_STATE] == 2


class Viewer:
    """RFB 3.8 (RFC 6143), without a password, raw pixels of 32 bits."""

    ENCODINGS = (0, -223, -308)  # raw, and that it understands another size of the desktop

    def __init__(self, t, port):
        self.t = t
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20 * t.slow)
        t.at_end(self.sock.close)
        version = self._take(12)
        t.equal(version[:4], b"RFB ", "the server's first words")
        self.sock.sendall(b"RFB 003.008\n")
        kinds = self._take(self._take(1)[0])
        t.check(1 in kinds, f"security types: expected 1 (none) among them, saw {list(kinds)}")
        self.sock.sendall(b"\1")
        t.equal(self._take(4), bytes(4), "the security result")
        self.sock.sendall(b"\1")
        width, height = struct.unpack(">HH", self._take(4))
        self._take(16)
        self.name = self._take(struct.unpack(">I", self._take(4))[0]).decode()
        self.sock.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8,
                                      0))
        self.sock.sendall(struct.pack(f">BxH{len(self.ENCODINGS)}i", 2, len(self.ENCODINGS),
                                      *self.ENCODINGS))
        self._new_size(width, height)

    def _new_size(self, width, height):
        self.width, self.height = width, height
        self.pixels = bytearray(4 * width * height)

    def _take(self, n):
        data = bytearray()
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise AssertionError("the VNC server closed the connection")
            data += more
        return bytes(data)

    def _rectangle(self):
        """Return: whether it has pixels"""
        x, y, width, height, encoding = struct.unpack(">HHHHi", self._take(12))
        if encoding == -223:
            self._new_size(width, height)
        elif encoding == -308:
            self._take(16 * self._take(4)[0])
            self._new_size(width, height)
        elif encoding == 0:
            data = self._take(4 * width * height)
            for n in range(height):
                at = 4 * ((y + n) * self.width + x)
                self.pixels[at:at + 4 * width] = data[4 * n * width:4 * (n + 1) * width]
        else:
            raise AssertionError(f"encoding {encoding}: expected what was asked for")
        return encoding == 0

    def _update(self):
        """Return: whether it has pixels"""
        kind = self._take(1)[0]
        self.t.equal(kind, 0, "the kind of the server's message")
        _, count = struct.unpack(">BH", self._take(3))
        return any([self._rectangle() for _ in range(count)])

    def picture(self):
        """Ask for all of it."""
        self.sock.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        # the size comes first, and then without being asked for again what has that size
        while not self._update():
            pass
        return Picture.of_bgrx(self.width, self.height, self.pixels)

    def key(self, symbol, down):
        self.sock.sendall(struct.pack(">BBxxI", 4, down, symbol))

    def point(self, buttons, x, y):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def resize(self, width, height):
        self.sock.sendall(struct.pack(">BxHHBxIHHHHI", 251, width, height, 1, 0, 0, 0, width, height,
                                      0))
