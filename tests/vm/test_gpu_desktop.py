# SPDX-License-Identifier: BSD-3-Clause
"""A Wayland desktop on an attached card: weston and its clients, by the pixels of the display."""

import os
import signal
from pathlib import Path

import inputs
from gpus import (OWN, QEMU, REPLACED, SAME_NAME, VIRGL, Gpu, check_bare, connector, patience,
                  plain, render_node)
from harness import Case, Failed, test
from viewers import Seen, Viewer

PLATFORM = Path("/sys/devices/platform")
SIZE = (1024, 768)
BACKGROUND = (0x20, 0x40, 0x60)
# nothing on the desktop but its background, and nothing that moves by itself
INI = """[core]
idle-time=0
[shell]
background-color=0xff%02x%02x%02x
panel-position=none
locking=false
animation=none
startup-animation=none
""" % BACKGROUND


class Weston:
    """On a seat of its own, which needs no terminal; root may use the card."""

    def __init__(self, t, gpu, *options, **env):
        run = t.tmp / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        (run / "weston.ini").write_text(INI)
        self.t, self.run = t, run
        self.env = {"XDG_RUNTIME_DIR": str(run), "WAYLAND_DISPLAY": "desk", "HOME": str(run), **env}
        self.process = t.start("weston", "--backend=drm-backend.so", "--seat=other",
                               f"--drm-device={Path(gpu.device.node).name}", "--socket=desk",
                               "--continue-without-input", f"--config={run}/weston.ini", *options,
                               env=self.env)

    def client(self, *argv):
        return self.t.start(*argv, env=self.env)

    def end(self):
        self.process.end()


def box_of(gpu):
    """What of the picture is not background."""
    picture = gpu.picture()
    return picture.differences(plain(*picture.size, BACKGROUND))


def empty(gpu, size=SIZE):
    picture = gpu.picture()
    return picture and picture.size == size and picture.data == plain(*size, BACKGROUND).data


def desktop_of(t, gpu, what="the empty desktop", size=SIZE):
    """Wait until there is nothing but the background."""
    try:
        t.within(60, lambda: empty(gpu, size), what, step=0.1)
    except Failed as e:
        picture = gpu.picture()
        t.fail(f"{e}: expected {size}, all of it {BACKGROUND}, saw {picture and picture.size}, at "
               f"9, 9 {picture and picture.at(9, 9)}, another colour in the box "
               f"{picture and picture.differences(plain(*picture.size, BACKGROUND))}")


def window_of(t, gpu, client, size, most=0):
    """Wait for a window of this size, and at most `most` more; nothing else is there."""
    seen = []

    def there():
        if not client.alive():
            t.fail(f"{client.name} ended with status {client.popen.returncode}: {client.said()}")
        box = box_of(gpu)
        seen[:] = [box]
        return box and all(0 <= box[n + 2] - box[n] - size[n] <= most for n in (0, 1)) and box
    try:
        return t.within(40, there, f"{client.name}'s window", step=0.1)
    except Failed as e:
        t.fail(f"{e}: expected a size of {size} with {most} more at most, saw the box {seen}")


def moves(gpu, box):
    """Its picture changes within the box alone."""
    before, seen = gpu.picture(), []

    def changed():
        now = gpu.picture()
        at = before.differences(now) if now.size == before.size else now.size
        seen[:] = [at]
        return (at and len(at) == 4 and at[0] >= box[0] and at[1] >= box[1] and at[2] <= box[2]
                and at[3] <= box[3])
    try:
        gpu.t.within(20, changed, "another picture of the window", step=0.1)
    except Failed as e:
        gpu.t.fail(f"{e}: expected a change in the box {box}, saw one in {seen}")


DESKTOPS = {
    "own": {"backend": OWN, "options": ["--use-pixman"]},
    "qemu": Case({"backend": QEMU, "options": ["--use-pixman"]}, tier="long"),
    "virgl": Case({"backend": VIRGL, "options": []}, tier="long"),
    "own-gl": Case({"backend": OWN, "options": []}, tier="long"),
    "others": Case({"backend": OWN, "options": ["--use-pixman"]}, tier="long",
                   kernels=("debian-6.1", "debian-7", "debian-6.12-rt", "debian-6.12-arm64*")),
}


def attach(t, backend, **kw):
    return Gpu(t, *patience(t), backend=backend, own=True, timeout=60, **kw)


@test(timeout=150, tags=("gpu", "desktop"), needs=("weston", "weston-simple-shm"),
      cases=DESKTOPS)
def clients(t, backend, options):
    """Each client has its window, draws in it, and leaves nothing behind."""
    gpu = attach(t, backend)
    desktop = Weston(t, gpu, *options)
    desktop_of(t, gpu)
    for words, size, most in ((("weston-simple-shm",), (250, 250), 6),
                              (("weston-simple-egl", "-o"), (250, 250), 0),
                              (("weston-terminal", "--shell=/bin/cat"), (400, 300), 600)):
        client = desktop.client(*words)
        box = window_of(t, gpu, client, size, most)
        t.log(f"{words[0]}: {box}")
        if words[0].startswith("weston-simple"):
            moves(gpu, box)
        client.end()
        t.within(30, lambda: empty(gpu), f"the desktop without {words[0]}", step=0.1)
    desktop.end()
    gpu.device.detach()


@test(timeout=90, tags=("gpu", "desktop", "teardown"), needs=("weston",), tier="long",
      cases={"own": {"backend": OWN}, "qemu": {"backend": QEMU}}, tolerates=REPLACED)
def detached(t, backend):
    """The card goes under weston and a client that draws; all ends, and another card works."""
    gpu = attach(t, backend)
    desktop = Weston(t, gpu, "--use-pixman")
    desktop_of(t, gpu)
    client = desktop.client("weston-simple-shm")
    moves(gpu, window_of(t, gpu, client, (250, 250), 6))
    gpu.device.detach("--force")
    t.equal(t.devices(), [], "devices")
    client.end()
    desktop.end()
    t.within(20, lambda: not list(PLATFORM.glob("virtio-loopback.*")), "the parent gone")
    gpu.folder.rename(t.tmp / "before")
    again = attach(t, backend)
    Weston(t, again, "--use-pixman")
    desktop_of(t, again, "the empty desktop on another card")


@test(timeout=120, tags=("gpu", "desktop", "recovery"), needs=("weston",), tier="long",
      cases={"killed": {"how": signal.SIGKILL, "backend": OWN},
             "stopped": {"how": signal.SIGSTOP, "backend": OWN},
             "qemu-killed": {"how": signal.SIGKILL, "backend": QEMU}},
      tolerates=REPLACED)
def backend_ends(t, how, backend):
    """Under weston: its card goes; one comes on which a new weston runs, with the same display."""
    gpu = Gpu(t, "--timeout", round(2 * t.slow), "--heartbeat", 1, backend=backend, own=True)
    desktop = Weston(t, gpu, "--use-pixman")
    desktop_of(t, gpu)
    client = desktop.client("weston-simple-shm")
    moves(gpu, window_of(t, gpu, client, (250, 250), 6))
    pid = gpu.backend_pid()
    os.kill(pid, how)
    t.within(30, lambda: gpu.backend_pid() not in (0, pid), "another back-end")
    client.end()
    desktop.end()
    nodes = t.within(20, lambda: gpu.device.info()["nodes"], "another card")
    gpu.device.nodes = nodes
    count = gpu.pictures()
    Weston(t, gpu, "--use-pixman")
    t.within(60, lambda: gpu.pictures() > count and empty(gpu), "the empty desktop", step=0.1)


@test(timeout=90, tags=("gpu", "desktop"), needs=("weston",), tier="long",
      cases={"own": {"backend": OWN}})
def backend_pauses(t, backend):
    """A back-end that is stopped for a while, as by a debugger, goes on where it was."""
    gpu = attach(t, backend)
    desktop = Weston(t, gpu, "--use-pixman")
    desktop_of(t, gpu)
    client = desktop.client("weston-simple-shm")
    box = window_of(t, gpu, client, (250, 250), 6)
    pid = gpu.backend_pid()
    os.kill(pid, signal.SIGSTOP)
    t.within(5, lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T",
             "the back-end stopped")
    still = gpu.pictures()
    os.kill(pid, signal.SIGCONT)
    t.within(20, lambda: gpu.pictures() > still, "pictures after the pause")
    moves(gpu, box)
    t.equal(gpu.backend_pid(), pid, "the back-end")


SEAT = Path("/run/udev/data")


def to_seat(t, node):
    """Say of an input device what udev would, whose daemon does not run here."""
    number = os.stat(node).st_rdev
    SEAT.mkdir(parents=True, exist_ok=True)
    entry = SEAT / f"c{os.major(number)}:{os.minor(number)}"
    entry.write_text("I:1\nE:ID_INPUT=1\nE:ID_INPUT_MOUSE=1\nE:ID_SEAT=other\n")
    t.at_end(entry.unlink)


def cursor_kicks(gpu):
    virtio = Path("/sys/bus/virtio/devices", gpu.device.virtio).resolve()
    return int((virtio.parent / "queues").read_text().splitlines()[1].split()[1])


# Who asks for atomic modesetting and does not speak of hot spots is shown no cursor plane by the
# kernel, and draws the cursor itself: weston 10 is one.
POINTERS = {
    "own-gl": {"backend": OWN, "plane": True},
    "virgl": {"backend": VIRGL, "plane": True},
    "drawn": {"backend": OWN, "plane": False},
}


@test(timeout=120, tags=("gpu", "desktop", "input"), needs=("weston",), cases=POINTERS, tier="long")
def pointer(t, backend, plane):
    """A hand on an attached pointer moves the cursor of the desktop on an attached card."""
    gpu = attach(t, backend)
    hand = inputs.tablet(t, *SIZE)
    node = t.attach("input", exec=f"vhost-user-input --device {hand.node}").node
    to_seat(t, node)
    Weston(t, gpu, **({"WESTON_DISABLE_ATOMIC": "1"} if plane else {}))
    seen = []

    def shown():
        picture = gpu.picture()
        return picture and picture.size == SIZE and picture.at(1000, 20) == BACKGROUND

    def near(x, y):
        box = box_of(gpu)
        seen[:] = [box]
        return box and x - 64 < box[0] <= x + 64 and y - 64 < box[1] <= y + 64 \
            and box[2] - box[0] <= 64 and box[3] - box[1] <= 64 and box

    def move(x, y):
        hand.send((inputs.EV_ABS, inputs.ABS_X, x), (inputs.EV_ABS, inputs.ABS_Y, y))
        try:
            return t.within(30, lambda: near(x, y), f"the cursor at {x}, {y}", step=0.1)
        except Failed as e:
            t.fail(f"{e}: expected it and nothing else, saw the box {seen}")
    t.within(60, shown, "the desktop", step=0.1)
    kicks = cursor_kicks(gpu)
    first = move(200, 150)
    for x, y in ((700, 500), (201, 151), (500, 300)):
        box = move(x, y)
        expected = tuple(a + b for a, b in zip(first, (x - 200, y - 150) * 2))
        t.equal(box, expected, f"the box of the cursor at {x}, {y}")
    more = cursor_kicks(gpu) - kicks
    t.check(more >= 4 if plane else more == 0, "kicks of the cursor queue: expected "
            f"{'4 or more' if plane else 'none'}, saw {more}")


@test(timeout=120, tags=("gpu", "desktop"), needs=("weston", "modetest"), tier="long")
def resized(t):
    """
    A viewer asks for another size: the desktop goes on as it is, since weston keeps its mode, and
    the next one has the new size.
    """
    card = Seen(t, "vnc=:5908")
    viewer = Viewer(t, 5908)
    card.picture = viewer.picture
    desktop = Weston(t, card, "--use-pixman")
    desktop_of(t, card)
    client = desktop.client("weston-simple-shm")
    box = window_of(t, card, client, (250, 250), 6)
    viewer.resize(800, 600)
    for _ in range(3):
        moves(card, box)
    client.end()
    desktop.end()
    t.within(20, lambda: connector(t)[1] == "800x600", "the new mode", step=0.3)
    Weston(t, card, "--use-pixman")
    desktop_of(t, card, "the empty desktop of the new size", (800, 600))


PRIMES = {"other": {"choice": "1"}, "name": {"choice": "platform-draw"}}


@test(kernels=("debian-6.12", "debian-7", "debug"), timeout=180, tags=("gpu", "gl", "desktop"),
      needs=("weston", "gl-picture"), tier="long", cases=PRIMES, tolerates=(SAME_NAME,))
def prime(t, choice):
    """A client of a desktop on one card draws on the other one, which DRI_PRIME names."""
    shows = attach(t, VIRGL, name="desk")
    draws = attach(t, VIRGL, name="draw", folder="draw")
    desktop = Weston(t, shows)
    desktop_of(t, shows)
    for word, card in (("", shows), (choice, draws)):
        client = desktop.client("env", f"DRI_PRIME={word}", "gl-picture", "--wayland")
        client.wait(60)
        check_bare(t, client.said(), render_node(card))
