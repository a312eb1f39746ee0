# SPDX-License-Identifier: BSD-3-Clause
"""An attached card and what its display was given, as pictures."""

import os
import zlib
from pathlib import Path

QEMU = "/usr/lib/qemu/vhost-user-gpu"
OWN = "vhost-user-gpu"
VIRGL = "vhost-user-gpu --virgl"

# The stock driver's own (drivers/gpu/drm/virtio/virtgpu_vq.c), on any transport: each card makes a
# slab cache named virtio-gpu-vbufs, which is kept until the last program has let go of the card. A
# kernel with CONFIG_DEBUG_VM says of the next card's that the name is taken, and goes on:
# packaging/reports/linux-virtio-gpu-name.md
SAME_NAME = r"(?s)mm/slab_common\.c:\d+ .*\bvirtio_gpu_alloc_vbufs\b"
# Also the driver's (Linux 6.12 and 7, the same file): a commit that is under way when remove() has
# called drm_dev_unplug() finds drm_dev_enter() failing in virtio_gpu_queue_ctrl_sgs(), which frees
# the command and forgets the references to its buffers, vbuf->objs. With those of
# TRANSFER_TO_HOST_2D the picture is never freed, its mmap offset stays allocated, and
# drm_vma_offset_manager_destroy() says so when the card is released.
FORGOTTEN = r"drm_mm_takedown"
# DRM's own: a page flip reads a state that the next commit, here the one that turns the card off, has
# freed. packaging/reports/linux-drm-flip.md
FLIPPED = (r"(?s)KASAN: slab-use-after-free in drm_atomic_helper_wait_for_vblanks\b"
           r".*\bevents_unbound commit_work\b")
# Of a card that goes while a program draws on it, and another that comes
REPLACED = (SAME_NAME, FORGOTTEN, FLIPPED)

# What modetest draws first, top to bottom and left to right: the SMPTE bars (red, green, blue).
BARS = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0),
        (0, 0, 192))
CASTELLATIONS = ((0, 0, 192), (19, 19, 19), (192, 0, 192), (19, 19, 19), (0, 192, 192),
                 (19, 19, 19), (192, 192, 192))


class Picture:
    """Pixels of three bytes: red, green, blue."""

    def __init__(self, width, height, data):
        self.width, self.height, self.data = width, height, data

    @classmethod
    def of_bgrx(cls, width, height, pixels):
        data = bytearray(3 * width * height)
        for n in range(3):
            data[n::3] = pixels[2 - n:4 * width * height:4]
        return cls(width, height, bytes(data))

    @classmethod
    def of_png(cls, png):
        """As the display writes them: 8-bit RGB, lines without a filter."""
        if png[:8] != b"\x89PNG\r\n\x1a\n":
            raise AssertionError(f"expected a PNG file, saw one that begins with {png[:8]!r}")
        at, packed, size = 8, b"", None
        while at < len(png):
            length, kind = int.from_bytes(png[at:at + 4], "big"), png[at + 4:at + 8]
            if kind == b"IHDR":
                size = [int.from_bytes(png[at + n:at + n + 4], "big") for n in (8, 12)]
                if png[at + 16:at + 18] != b"\x08\x02":
                    raise AssertionError(f"expected 8-bit RGB, saw {png[at + 16:at + 18]!r}")
            elif kind == b"IDAT":
                packed += png[at + 8:at + 8 + length]
            at += 12 + length
        width, height = size
        raw = zlib.decompress(packed)
        line = 3 * width + 1
        filters = set(raw[::line])
        if filters != {0}:
            raise AssertionError(f"expected lines without a filter, saw {sorted(filters)}")
        return cls(width, height, b"".join(raw[y * line + 1:(y + 1) * line] for y in range(height)))

    @property
    def size(self):
        return self.width, self.height

    def at(self, x, y):
        return tuple(self.data[3 * (y * self.width + x):][:3])

    def row(self, y):
        return self.data[3 * y * self.width:3 * (y + 1) * self.width]

    def colours(self, y, n):
        """Of row y, in the middle of each of n columns."""
        return tuple(self.at((2 * i + 1) * self.width // (2 * n), y) for i in range(n))

    def part(self, box):
        """left, top, right, bottom"""
        left, top, right, bottom = box
        rows = (self.row(y)[3 * left:3 * right] for y in range(top, bottom))
        return Picture(right - left, bottom - top, b"".join(rows))

    def differences(self, other):
        """The box of what is not the same: left, top, right, bottom, or None."""
        left, right, top, bottom = self.width, -1, None, None
        for y in range(self.height):
            mine, theirs = self.row(y), other.row(y)
            if mine == theirs:
                continue
            top, bottom = y if top is None else top, y
            columns = [i // 3 for i in range(len(mine)) if mine[i] != theirs[i]]
            left, right = min(left, columns[0]), max(right, columns[-1])
        return None if top is None else (left, top, right + 1, bottom + 1)


def plain(width, height, colour):
    return Picture(width, height, bytes(colour) * (width * height))


def runs(row):
    """A row of pixels in few words: its runs of one colour."""
    found = []
    for i in range(0, len(row), 3):
        colour = row[i:i + 3].hex()
        if found and found[-1][0] == colour:
            found[-1][1] += 1
        else:
            found.append([colour, 1])
    return " ".join(f"{colour}x{n}" for colour, n in found[:10])


class Gpu:
    """
    An attached card. Its display is display-probe, which looks on, or with own=True the one of
    the product, that writes pictures as files.
    """

    def __init__(self, t, *options, backend=QEMU, resolution="1024x768", own=False,
                 folder="display", **kw):
        program = backend.split()[0]
        if "/" in program and not Path(program).exists():
            t.skip(f"{program} is not there")
        self.t, self.own, self.folder = t, own, t.tmp / folder
        self.folder.mkdir()
        if not own:
            probe = t.run("sh", "-c", "command -v display-probe").strip()
            options += ("--display-program", probe)
        self.device = t.attach("gpu", "--display", f"png={self.folder}", "--resolution", resolution,
                               *options, exec=backend, **kw)

    def counts(self):
        lines = (self.folder / "counts").read_text().split("\n")
        return {name: int(n) for name, n in (line.split() for line in lines if line)}

    def picture(self, name=None):
        """The newest, or None."""
        try:
            data = (self.folder / (name or ("head0.png" if self.own else "head0.raw"))).read_bytes()
        except FileNotFoundError:
            return None
        if self.own:
            return Picture.of_png(data)
        size, pixels = data.split(b"\n", 1)
        return Picture.of_bgrx(*(int(n) for n in size.split()), pixels)

    def pictures(self):
        """How many there were."""
        if self.own:
            return len(list(self.folder.glob("head0-*.png")))
        counts = self.counts()
        return counts["update"] + counts["dmabuf_update"]

    def stats(self):
        return stats(self.t, self.device)

    def backend_pid(self):
        for line in self.t.run("virtio-loopback", "stats", self.device.name,
                               status=None).splitlines():
            words = line.split()
            if words[:1] == ["backend_pid"]:
                return int(words[1])
        return 0

    def display_pid(self):
        name = b"virtio-loopback-display" if self.own else b"display-probe"
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if entry.read_bytes().split(b"\0")[0].endswith(name):
                    return int(entry.parent.name)
            except OSError:
                continue
        raise AssertionError(f"{name.decode()} does not run")


def stats(t, device):
    out = {}
    for line in t.run("virtio-loopback", "stats", device.name).splitlines():
        words = line.split()
        if len(words) == 2 and words[1].lstrip("-").isdigit():
            out[words[0]] = int(words[1])
    return out


def patience(t):
    """Options for one that compiles what it draws with, on a machine that takes its time."""
    return ("--timeout", min(60, round(20 * t.slow))) if t.slow > 1 else ()


def render_node(gpu):
    """Of the card, as the kernel has it."""
    name = Path(gpu.device.node).name
    nodes = list(Path(f"/sys/class/drm/{name}/device/drm").glob("renderD*"))
    gpu.t.equal(len(nodes), 1, f"render nodes of {name}")
    return f"/dev/dri/{nodes[0].name}"


def check_bare(t, said, node):
    """What gl-picture has to say that draws on no surface."""
    for words in (f"node {node}\n", "renderer virgl (LLVMPIPE",
                  "quarters: 0 of 65536 pixels are wrong", "texture: 0 of 65536 pixels are wrong"):
        t.check(words in said, f"gl-picture: expected {words!r}, saw {said!r}")


def connector(t):
    """The id of the first connector that is connected, and its first mode."""
    found = None
    for line in t.run("modetest", "-M", "virtio_gpu", "-c").splitlines():
        words = line.split()
        if not found and len(words) > 3 and words[2] == "connected":
            found = words[0]
        elif found and words[:1] == ["#0"]:
            return found, words[1]
    t.fail("modetest -c: expected a connected connector with a mode, saw none")


def with_input(t, command):
    """Start what ends at the end of its input, with one that has none."""
    fifo = t.tmp / "input"
    if not fifo.exists():
        os.mkfifo(fifo)
    return t.start("sh", "-c", f"exec {command} <> {fifo}")


def draw(t, ident, mode, *options):
    """modetest shows its pattern until it is ended."""
    return with_input(t, f"modetest -M virtio_gpu -s {ident}:{mode} {' '.join(options)}")


def shows_bars(gpu, size):
    picture = gpu.picture()
    return picture and picture.size == size and picture.colours(0, 7) == BARS and picture


def check_bars(t, gpu, size):
    """Every pixel of the two plain parts of the pattern."""
    picture = t.within(20, lambda: shows_bars(gpu, size), "modetest's picture")
    top, middle = picture.height * 6 // 9, picture.height * 7 // 9
    for first, last, colours in ((0, top, BARS), (top, middle, CASTELLATIONS)):
        row = b"".join(bytes(colours[x * 7 // picture.width]) for x in range(picture.width))
        for y in range(first, last):
            seen = picture.row(y)
            t.check(seen == row, f"row {y}: expected {runs(row)}, saw {runs(seen)}")


def check_draws(t, gpu, more=3):
    """Pictures come and come."""
    first = gpu.pictures()
    t.within(20, lambda: gpu.pictures() > first + more, "pictures")


def peer(t):
    """QEMU's vhost-user-gpu does not tell its version; that of its package is its sisters'."""
    t.peer("vhost-user-gpu of QEMU", t.run("qemu-storage-daemon", "--version").split()[2], "gpu")
