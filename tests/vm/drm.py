# SPDX-License-Identifier: BSD-3-Clause
"""Buffers of a DRM card, by its ioctls: made, filled, shared."""

import array
import fcntl
import mmap
import os
import struct

RENDERABLE, SAMPLED, SHARED = 1 << 1, 1 << 3, 1 << 20  # virgl's bind flags
B8G8R8X8, TEXTURE_2D = 2, 2


def _call(fd, number, layout, *values):
    """An ioctl whose structure goes in and comes out."""
    size = struct.calcsize("=" + layout)
    data = bytearray(struct.pack("=" + layout, *values))
    fcntl.ioctl(fd, 3 << 30 | size << 16 | ord("d") << 8 | number, data)
    return struct.unpack("=" + layout, data)


class Buffer:
    """
    fd: the dmabuf; map: its pages; stride. One of a card with OpenGL is in the device's memory, and
    its pages are only what is carried there and back.
    """

    def __init__(self, t, node, width, height, bits, in_device=False):
        self.card = os.open(node, os.O_RDWR | os.O_CLOEXEC)
        t.at_end(os.close, self.card)
        self.width, self.height = width, height
        (self._make_in_device if in_device else self._make_dumb)(bits)
        self.fd = _call(self.card, 0x2d, "IIi", self.handle, os.O_CLOEXEC, -1)[2]
        t.at_end(os.close, self.fd)

    def _make_dumb(self, bits):
        made = _call(self.card, 0xb2, "IIIIIIQ", self.height, self.width, bits, 0, 0, 0, 0)
        self.handle, self.stride, size = made[4:]
        offset = _call(self.card, 0xb3, "IIQ", self.handle, 0, 0)[2]
        self.map = mmap.mmap(self.card, size, offset=offset)

    def _make_in_device(self, bits):
        self.stride = self.width * bits // 8
        size = self.stride * self.height
        made = _call(self.card, 0x44, "14I", TEXTURE_2D, B8G8R8X8, RENDERABLE | SAMPLED | SHARED,
                     self.width, self.height, 1, 1, 0, 0, 0, 0, 0, size, self.stride)
        self.handle = made[10]
        offset = _call(self.card, 0x41, "QII", 0, self.handle, 0)[0]
        self.map = mmap.mmap(self.card, size, offset=offset)

    def fill(self, pixel, code="I"):
        """pixel(x, y): a number of the array's type"""
        for y in range(self.height):
            line = array.array(code, (pixel(x, y) for x in range(self.width))).tobytes()
            self.map[y * self.stride:y * self.stride + len(line)] = line

    def to_device(self):
        """And nothing stays in the pages that could be taken for the picture."""
        _call(self.card, 0x47, "11I", self.handle, 0, 0, 0, self.width, self.height, 1, 0, 0, 0, 0)
        _call(self.card, 0x48, "II", self.handle, 0)
        self.map[:] = b"\xa5" * len(self.map)
