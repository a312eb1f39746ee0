# SPDX-License-Identifier: BSD-3-Clause
"""virtio-loopback-display --render-node: a graphics card reads the buffers that the CPU cannot."""

import os
import socket
import struct
from pathlib import Path

from drm import Buffer
from gpus import OWN, VIRGL, Gpu, check_bars, connector, draw, patience, render_node
from harness import test

DMABUF_SCANOUT, DMABUF_UPDATE, DMABUF_SCANOUT2 = 9, 10, 12
BOTTOM_UP = 1
LINEAR, X_TILED = 0, 1 << 56 | 1
SIZE = (200, 120)


def fourcc(text):
    return int.from_bytes(text.encode(), "little")


class Display:
    """The display alone; what adapter and back-end would say to it is said here."""

    own = True  # for Gpu.picture()

    def __init__(self, t, node):
        self.t, self.folder = t, t.tmp / "shown"
        self.folder.mkdir()
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for each in (control, theirs, self.sock, inside):
            t.at_end(each.close)
        control.settimeout(60 * t.slow)
        self.sock.settimeout(60 * t.slow)
        self.process = t.start("virtio-loopback-display", "--control-fd", theirs.fileno(), "--mode",
                               f"png={self.folder}", "--render-node", node, "--verbose",
                               pass_fds=(theirs.fileno(),))
        theirs.close()
        t.equal(control.recv(64), b"ready", f"the display's first word; it said "
                f"{self.process.said()!r}")
        socket.send_fds(control, [b"S"], [inside.fileno()])
        self.control = control

    def show(self, buffer, form, modifier=None, box=None, flags=0):
        x, y, width, height = box or (0, 0, buffer.width, buffer.height)
        body = struct.pack("=10I", 0, x, y, width, height, buffer.width, buffer.height,
                           buffer.stride, flags, fourcc(form))
        request = DMABUF_SCANOUT
        if modifier is not None:
            request, body = DMABUF_SCANOUT2, body + struct.pack("=Q", modifier)
        socket.send_fds(self.sock, [struct.pack("=III", request, 0, len(body)) + body],
                        [buffer.fd])
        self.update(0, 0, width, height)

    def update(self, x, y, width, height):
        """Until it is answered"""
        self.sock.sendall(struct.pack("=8I", DMABUF_UPDATE, 0, 20, 0, x, y, width, height))
        reply = self.sock.recv(12, socket.MSG_WAITALL)
        self.t.equal(reply, struct.pack("=III", DMABUF_UPDATE, 4, 0), "the answer to an update")

    def expect(self, size, pixel, most=0):
        """Of each pixel no colour is further than `most` from the one that pixel(x, y) says."""
        places = [(x, y) for y in range(size[1]) for x in range(size[0])]
        expected = bytes(part for place in places for part in pixel(*place))
        seen = []

        def there():
            picture = Gpu.picture(self)
            seen[:] = [picture]
            return picture and picture.size == size and not wrong()

        def wrong():
            return [n // 3 for n, (a, b) in enumerate(zip(seen[0].data, expected))
                    if abs(a - b) > most]
        try:
            self.t.within(20, there, "the picture", step=0.2)
        except Exception as e:
            picture = seen[0]
            if not picture or picture.size != size:
                self.t.fail(f"{e}: expected {size}, saw {picture and picture.size}; the display "
                            f"said {self.process.said()!r}")
            at = divmod(wrong()[0], size[0])[::-1]
            self.t.fail(f"{e}: {len(wrong())} of {len(expected)} colours are wrong; at {at} "
                        f"expected {pixel(*at)}, saw {picture.at(*at)}")

    def check_confined(self):
        lines = dict(line.split(":\t") for line in
                     Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
                     if ":\t" in line)
        self.t.equal((int(lines["CapEff"], 16), lines["NoNewPrivs"], lines["Seccomp"]),
                     (0, "1", "2"), "capabilities, NoNewPrivs and Seccomp of the display")


def pattern(x, y):
    return x, 2 * y, (x ^ y) & 0xff


def packed(x, y):
    red, green, blue = pattern(x, y)
    return red << 16 | green << 8 | blue


@test(timeout=120, tags=("gpu", "gl"), needs=("virtio-loopback-display",))
def in_the_card(t):
    """
    A buffer whose pixels are in a card's memory and not in its pages: what is said to be tiled, and
    what nobody says the layout of. Whole, a part of it, the wrong way up, and changed.
    """
    gpu = Gpu(t, *patience(t), backend=VIRGL, own=True, timeout=60)
    node = render_node(gpu)
    display = Display(t, node)
    t.check("virgl (LLVMPIPE" in display.process.said(), f"expected the card's renderer, saw "
            f"{display.process.said()!r}")
    display.check_confined()
    buffer = Buffer(t, node, *SIZE, 32, in_device=True)
    buffer.fill(packed)
    buffer.to_device()
    display.show(buffer, "XR24", X_TILED)
    display.expect(SIZE, pattern)
    display.show(buffer, "XR24", X_TILED, box=(10, 20, 100, 50))
    display.expect((100, 50), lambda x, y: pattern(x + 10, y + 20))
    display.show(buffer, "XR24", X_TILED, box=(10, 20, 100, 50), flags=BOTTOM_UP)
    display.expect((100, 50), lambda x, y: pattern(x + 10, SIZE[1] - 1 - 20 - y))
    display.show(buffer, "XR24")
    display.expect(SIZE, pattern)
    buffer.fill(lambda x, y: 0xffffff ^ packed(x, y))
    buffer.to_device()
    display.update(0, 0, 50, SIZE[1])
    display.expect(SIZE, lambda x, y: tuple(255 - part for part in pattern(x, y)) if x < 50
                   else pattern(x, y))


def vgem(t):
    """A card of the kernel's that makes buffers and draws nothing: the only one there is yet."""
    t.run("modprobe", "vgem")
    t.at_end(t.run, "modprobe", "-r", "vgem")
    nodes = [str(path) for path in Path("/dev/dri").glob("card*")]
    t.equal(len(nodes), 1, "cards")
    return nodes[0]


def rgb565(x, y):
    red, green, blue = pattern(x, y)
    return red >> 3 << 11 | green >> 2 << 5 | blue >> 3


def of_565(x, y):
    red, green, blue = pattern(x, y)
    return (red >> 3) * 255 / 31, (green >> 2) * 255 / 63, (blue >> 3) * 255 / 31


@test(timeout=120, tags=("gpu", "gl"), needs=("virtio-loopback-display",))
def another_format(t):
    """
    16 bits a pixel, read by llvmpipe, which draws for a card without OpenGL. A layout that it does
    not know is refused in one line, and the next buffer is shown; a linear one is read as ever.
    """
    node = vgem(t)
    display = Display(t, node)
    t.check("llvmpipe" in display.process.said(), f"expected llvmpipe, saw "
            f"{display.process.said()!r}")
    buffer = Buffer(t, node, *SIZE, 16)
    buffer.fill(rgb565, "H")
    display.show(buffer, "RG16", LINEAR)
    display.expect(SIZE, lambda x, y: tuple(round(part) for part in of_565(x, y)), most=1)
    plain = Buffer(t, node, *SIZE, 32)
    plain.fill(packed)
    display.show(plain, "XR24", X_TILED)
    t.check("cannot be shown" in display.process.said(), f"expected why there is no picture, saw "
            f"{display.process.said()!r}")
    display.show(plain, "XR24", LINEAR)
    display.expect(SIZE, pattern)
    display.show(plain, "XR24")
    display.expect(SIZE, pattern)


@test(timeout=120, tags=("gpu", "gl", "attach"), needs=("modetest",))
def of_an_attached_card(t):
    """--display-render-node comes to the display; a node that is none is said in one line."""
    node = vgem(t)
    gpu = Gpu(t, "--display-render-node", node, backend=OWN, own=True, timeout=60)
    words = Path(f"/proc/{gpu.display_pid()}/cmdline").read_bytes().split(b"\0")
    t.check(os.fsencode(node) in words, f"expected {node} among the display's words, saw {words}")
    draw(t, *connector(t))
    check_bars(t, gpu, (1024, 768))
    said = t.run("virtio-loopback", "attach", "--type", "gpu", "--display", "none",
                 "--display-render-node", "/dev/null", "--exec", OWN, status=1)
    t.check("--render-node /dev/null" in said, f"expected the node and why not, saw {said!r}")
