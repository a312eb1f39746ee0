# SPDX-License-Identifier: BSD-3-Clause
"""virtio-loopback-display: a window, and VNC viewers, show the same pixels as the files."""

from gpus import OWN, check_bars, connector, draw
from harness import test
from inputs import ABS_X, ABS_Y, BTN_LEFT, EV_ABS, EV_KEY, EV_REL, EV_SYN, KEY_A, Reader
from viewers import SIZE, Seen, Viewer, XServer


class Hands:
    """A keyboard and a pointer, of who sits before the display."""

    RANGE = 32767

    def __init__(self, t, display):
        self.t, path = t, t.tmp / "hands"
        self.card = Seen(t, display, "--display-input", path)
        t.run("modprobe", "evdev")
        self.keyboard, self.pointer = (self._attach(path, kind) for kind in ("keyboard", "pointer"))

    def _attach(self, path, kind):
        device = self.t.attach("input", exec=f"vhost-user-input --display {path} --kind {kind}")
        reader = Reader(device.node)
        self.t.at_end(reader.close)
        return reader

    def expect(self, reader, *events):
        """These and no others, in one frame."""
        frame = list(events) + [(EV_SYN, 0, 0)]
        self.t.equal(reader.read(len(frame), 20 * self.t.slow), frame, "the driver's events")

    def at(self, x, y, width=1024, height=768):
        """What the pointer says at a pixel."""
        return ((EV_ABS, ABS_X, x * self.RANGE // (width - 1)),
                (EV_ABS, ABS_Y, y * self.RANGE // (height - 1)))


@test(timeout=90, tags=("gpu",), needs=("modetest", "Xvfb"))
def window(t):
    """An SDL window on an X server; another size of it is another mode."""
    screen = XServer(t)
    card = Seen(t, "sdl")
    card.picture = screen.window
    ident, mode = connector(t)
    t.equal(mode, SIZE, "the first mode")
    client = draw(t, ident, mode)
    check_bars(t, card, (1024, 768))
    client.end()
    t.equal(screen.resize(800, 600), 1, "windows on the screen")
    t.within(20, lambda: connector(t)[1] == "800x600", "the new mode", step=0.3)
    client = draw(t, ident, "800x600")
    check_bars(t, card, (800, 600))
    client.end()
    card.device.detach()


@test(timeout=90, tags=("gpu",), needs=("modetest",))
def vnc(t):
    """A viewer sees each pixel, and can ask for another size."""
    card = Seen(t, "vnc=:5907")
    viewer = Viewer(t, 5907)
    t.equal(viewer.name, "virtio-loopback", "the desktop's name")
    card.picture = viewer.picture
    ident, mode = connector(t)
    t.equal(mode, SIZE, "the first mode")
    client = draw(t, ident, mode)
    check_bars(t, card, (1024, 768))
    client.end()
    viewer.resize(800, 600)
    t.within(20, lambda: connector(t)[1] == "800x600", "the new mode", step=0.3)
    client = draw(t, ident, "800x600")
    check_bars(t, card, (800, 600))
    client.end()
    card.device.detach()


@test(timeout=90, tags=("gpu", "input"), needs=("modetest",))
def vnc_hands(t):
    """What a viewer types and points at are two input devices; nothing stays down after it."""
    hands = Hands(t, "vnc=:5908")
    viewer = Viewer(t, 5908)
    client = draw(t, *connector(t))
    hands.card.picture = viewer.picture
    check_bars(t, hands.card, (1024, 768))
    viewer.key(ord("a"), True)
    hands.expect(hands.keyboard, (EV_KEY, KEY_A, 1))
    viewer.key(ord("a"), False)
    hands.expect(hands.keyboard, (EV_KEY, KEY_A, 0))
    viewer.point(0, 1023, 384)
    hands.expect(hands.pointer, *hands.at(1023, 384))
    viewer.point(1, 1023, 384)
    hands.expect(hands.pointer, (EV_KEY, BTN_LEFT, 1))
    viewer.point(1 | 1 << 3, 1023, 384)
    hands.expect(hands.pointer, (EV_REL, 8, 1))
    viewer.sock.close()
    hands.expect(hands.pointer, (EV_KEY, BTN_LEFT, 0))
    client.end()


@test(timeout=90, tags=("gpu", "input"), needs=("modetest", "Xvfb"))
def window_hands(t):
    """The same of a window."""
    screen = XServer(t)
    hands = Hands(t, "sdl")
    client = draw(t, *connector(t))
    hands.card.picture = screen.window
    check_bars(t, hands.card, (1024, 768))
    screen.key(KEY_A, True)
    hands.expect(hands.keyboard, (EV_KEY, KEY_A, 1))
    screen.key(KEY_A, False)
    hands.expect(hands.keyboard, (EV_KEY, KEY_A, 0))
    screen.point(200, 100)
    hands.expect(hands.pointer, *hands.at(200, 100))
    client.end()


@test(timeout=30, tags=("gpu", "input"))
def nobody_types_there(t):
    """Bad words of both sides, one line each."""
    out = t.run("virtio-loopback", "attach", "--type", "gpu", "--display", f"png={t.tmp}/p",
                "--display-input", "hands", "--exec", OWN, status=2)
    t.check("--display-input needs --display sdl or vnc" in out, f"expected why not, saw {out!r}")
    out = t.run("vhost-user-input", "--display", t.tmp / "nothing", "--socket-path", t.tmp / "s",
                status=1)
    t.equal(len(out.splitlines()), 1, f"lines of {out!r}")
    t.check("No such file or directory" in out, f"expected why not, saw {out!r}")
    out = t.run("vhost-user-input", "--display", "x", "--kind", "mouse", "--socket-path",
                t.tmp / "s", status=1)
    t.check("keyboard or pointer" in out, f"expected what there is, saw {out!r}")
    out = t.run("vhost-user-input", "--display", "x", "--device", "y", "--socket-path", t.tmp / "s",
                status=1)
    t.check("one of --device and --display" in out, f"expected which of them, saw {out!r}")
