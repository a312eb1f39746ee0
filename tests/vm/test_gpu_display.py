# SPDX-License-Identifier: BSD-3-Clause
"""virtio-loopback-display: a window, and VNC viewers, show the same pixels as the files."""

from gpus import check_bars, connector, draw
from harness import test
from viewers import SIZE, Seen, Viewer, XServer


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
