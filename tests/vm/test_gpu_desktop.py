# SPDX-License-Identifier: BSD-3-Clause
"""A Wayland desktop on an attached card: weston and its clients, by the pixels of the display."""

import os
import signal
from pathlib import Path

from gpus import OWN, QEMU, VIRGL, Gpu, plain
from harness import Case, test

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

    def __init__(self, t, gpu, *options):
        run = t.tmp / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        (run / "weston.ini").write_text(INI)
        self.t, self.run = t, run
        self.env = {"XDG_RUNTIME_DIR": str(run), "WAYLAND_DISPLAY": "desk", "HOME": str(run)}
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


def empty(gpu):
    picture = gpu.picture()
    return picture and picture.size == SIZE and picture.data == plain(*SIZE, BACKGROUND).data


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
    except Exception:
        t.log(f"expected a window of {size} with {most} more at most, saw the box {seen}")
        raise


def moves(gpu, box):
    """Its picture changes within the box alone."""
    before = gpu.picture()

    def changed():
        now = gpu.picture()
        at = before.differences(now)
        return at and at[0] >= box[0] and at[1] >= box[1] and at[2] <= box[2] and at[3] <= box[3]
    gpu.t.within(20, changed, "another picture of the window", step=0.1)


DESKTOPS = {
    "own": {"backend": OWN, "options": ["--use-pixman"]},
    "qemu": Case({"backend": QEMU, "options": ["--use-pixman"]}, tier="long"),
    "virgl": Case({"backend": VIRGL, "options": []}, tier="long"),
    "own-gl": Case({"backend": OWN, "options": []}, tier="long"),
}


def attach(t, backend, *options):
    return Gpu(t, "--timeout", min(60, round(20 * t.slow)), *options, backend=backend, own=True, timeout=60)


@test(timeout=150, tags=("gpu", "desktop"), needs=("weston", "weston-simple-shm"),
      cases=DESKTOPS)
def clients(t, backend, options):
    """Each client has its window, draws in it, and leaves nothing behind."""
    gpu = attach(t, backend)
    desktop = Weston(t, gpu, *options)
    t.within(60, lambda: empty(gpu), "the empty desktop", step=0.1)
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
      cases={"own": {"backend": OWN}, "qemu": {"backend": QEMU}}, tolerates=(r"drm_mm_takedown",))
def detached(t, backend):
    """The card goes under weston and a client that draws; all ends, and another card works."""
    gpu = attach(t, backend)
    desktop = Weston(t, gpu, "--use-pixman")
    t.within(60, lambda: empty(gpu), "the empty desktop", step=0.1)
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
    t.within(60, lambda: empty(again), "the empty desktop on another card", step=0.1)


@test(timeout=120, tags=("gpu", "desktop", "recovery"), needs=("weston",), tier="long",
      cases={"killed": {"how": signal.SIGKILL, "backend": OWN},
             "stopped": {"how": signal.SIGSTOP, "backend": OWN},
             "qemu-killed": {"how": signal.SIGKILL, "backend": QEMU}},
      tolerates=(r"drm_mm_takedown",))
def backend_ends(t, how, backend):
    """Under weston: its card goes; one comes on which a new weston runs, with the same display."""
    gpu = Gpu(t, "--timeout", round(2 * t.slow), "--heartbeat", 1, backend=backend, own=True)
    desktop = Weston(t, gpu, "--use-pixman")
    t.within(60, lambda: empty(gpu), "the empty desktop", step=0.1)
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
    t.within(60, lambda: empty(gpu), "the empty desktop", step=0.1)
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
