# SPDX-License-Identifier: BSD-3-Clause
"""A GPU: what a DRM client draws is what the display gets, by pixels; and the window behind it."""

import os
import signal
from pathlib import Path

import gpus
from gpus import OWN, QEMU, REPLACED, Gpu, check_bars, check_draws, connector, draw
from harness import Case, test

PLATFORM = Path("/sys/devices/platform")
# By kernel: where the driver is there. It is in no cloud kernel.
KERNELS = ("debian-6.12", "debian-6.12-rt", "debian-6.12-arm64*", "debian-6.1", "debian-7", "plain",
           "debug")
BACKENDS = {"qemu": {"backend": QEMU}, "own": {"backend": OWN}}


# A kernel beside the default one has one of these two in make check, the other in the long tier.
QEMU_FIRST = ("debian-6.12", "debian-6.12-rt", "debian-6.12-arm64*", "debug")
OWN_FIRST = ("debian-6.12", "debian-6.1", "debian-7", "plain")
PICTURES = {
    "qemu": Case({"backend": QEMU, "own": False}, kernels=QEMU_FIRST),
    "qemu-rest": Case({"backend": QEMU, "own": False}, kernels=OWN_FIRST[1:], tier="long"),
    "qemu-files": Case({"backend": QEMU, "own": True}, tier="long"),
    "own": Case({"backend": OWN, "own": False}, kernels=("debian-6.12",)),
    "own-pixels": Case({"backend": OWN + " --no-dmabuf", "own": False}, kernels=("debian-6.12",)),
    "own-files": Case({"backend": OWN, "own": True}, kernels=OWN_FIRST),
    "own-files-rest": Case({"backend": OWN, "own": True}, kernels=QEMU_FIRST[1:], tier="long"),
    "own-pixels-files": Case({"backend": OWN + " --no-dmabuf", "own": True}, tier="long"),
}


def check_way(t, gpu, backend):
    """Of the two ways that a picture can take to the display, it took the one it was to take."""
    counts = gpu.counts()
    seen = {way for way in ("update", "dmabuf_update") if counts[way]}
    sent = "--no-dmabuf" in backend or not Path("/dev/udmabuf").exists()
    t.equal(seen, {"update" if sent else "dmabuf_update"}, "how the display was told of pictures")


@test(kernels=KERNELS, timeout=90, tags=("gpu",), needs=("modetest", "display-probe"),
      cases=PICTURES)
def modetest(t, backend, own):
    """Each pixel of the plain bars, and no byte of them copied: QEMU's back-end, and ours."""
    gpu = Gpu(t, backend=backend, own=own)
    t.equal(gpu.device.nodes[0][:13], "/dev/dri/card", "the node")
    ident, mode = connector(t)
    t.equal(mode, "1024x768", "the first mode, by --resolution")
    before = gpu.stats()
    client = draw(t, ident, mode)
    check_bars(t, gpu, (1024, 768))
    after = gpu.stats()
    copied = sum(after[n] - before[n] for n in ("bytes_to_device", "bytes_from_device"))
    t.check(copied < 64 << 10, f"bytes copied for a picture of 3 MiB: expected commands only, "
            f"saw {copied}")
    t.check(after["window_maps"] > before["window_maps"], "window_maps: expected more than "
            f"{before['window_maps']}, saw {after['window_maps']}")
    t.equal(after["window_refused"], 0, "touches that were refused")
    if own:
        check_confined(t, gpu)
    else:
        check_way(t, gpu, backend)
    client.end()
    gpu.device.detach()


@test(timeout=120, tier="interop", kernels=("debian-6.12",), tags=("gpu",),
      needs=("modetest", "display-probe"))
def peer(t):
    """modetest's bars: each pixel is shown, and no byte of them copied by the transport"""
    gpus.peer(t)
    modetest(t, QEMU, own=False)


def check_confined(t, gpu):
    """The product's own programs hold no capability, and their system calls are filtered."""
    for what, pid in (("display", gpu.display_pid()), ("back-end", gpu.backend_pid())):
        lines = dict(line.split(":\t") for line in
                     Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        if what == "display" or "qemu" not in os.readlink(f"/proc/{pid}/exe"):
            t.equal((int(lines["CapEff"], 16), lines["NoNewPrivs"], lines["Seccomp"]),
                    (0, "1", "2"), f"capabilities, NoNewPrivs and Seccomp of the {what}")


@test(timeout=60, tags=("gpu",), needs=("modetest", "display-probe"), cases=BACKENDS)
def resize(t, backend):
    """A window that gets another size is a new first mode."""
    gpu = Gpu(t, backend=backend)
    (gpu.folder / "resize").write_text("800 600")
    os.kill(gpu.display_pid(), signal.SIGUSR1)
    t.within(10, lambda: gpu.counts()["get_display_info"] > 1, "the driver's question")
    t.within(10, lambda: connector(t)[1] == "800x600", "the new mode", step=0.3)
    ident, mode = connector(t)
    draw(t, ident, mode)
    check_bars(t, gpu, (800, 600))


LONG_WITH_OWN = {"qemu": {"backend": QEMU}, "own": Case({"backend": OWN}, tier="long")}
# That a card goes and comes well depends on the driver, and so on the kernel.
OTHERS = ("debian-7", "debian-6.12-arm64*")


@test(timeout=60, tags=("gpu", "teardown"), needs=("modetest", "display-probe"),
      cases={**LONG_WITH_OWN, "others": Case({"backend": OWN}, tier="long", kernels=OTHERS)},
      tolerates=REPLACED)
def detach_with_client(t, backend):
    """The card goes under a client that draws; the client ends, and nothing is left."""
    gpu = Gpu(t, backend=backend)
    ident, mode = connector(t)
    client = draw(t, ident, mode, "-v")
    check_draws(t, gpu)
    refused = t.run("virtio-loopback", "detach", gpu.device.name, status=None)
    t.check(t.last_status != 0 and "modetest" in refused,
            f"detach without --force: expected it to name modetest, saw {refused!r}")
    gpu.device.detach("--force")
    # the client may still have its buffers: the device is gone from the system all the same
    t.equal(t.devices(), [], "devices")
    client.end()
    t.within(20, lambda: not list(PLATFORM.glob("virtio-loopback.*")), "the parent gone")
    again = Gpu.__new__(Gpu)
    (t.tmp / "display").rename(t.tmp / "before")
    again.__init__(t, backend=backend)
    again.device.detach()


ENDS = {
    "killed": {"backend": QEMU, "how": signal.SIGKILL},
    "stopped": {"backend": QEMU, "how": signal.SIGSTOP},
    "own-killed": {"backend": OWN, "how": signal.SIGKILL},
    "own-stopped": Case({"backend": OWN, "how": signal.SIGSTOP}, tier="long"),
    "others": Case({"backend": OWN, "how": signal.SIGKILL}, tier="long", kernels=OTHERS),
}


@test(timeout=90, tags=("gpu", "recovery"), needs=("modetest", "display-probe"), cases=ENDS,
      tolerates=REPLACED)
def backend_ends(t, backend, how):
    """While a client draws: its card goes, and one comes that works, with the same display."""
    gpu = Gpu(t, "--timeout", round(2 * t.slow), "--heartbeat", 1, backend=backend)
    ident, mode = connector(t)
    client = draw(t, ident, mode, "-v")
    check_draws(t, gpu)
    pid = gpu.backend_pid()
    os.kill(pid, how)
    t.within(30, lambda: gpu.backend_pid() not in (0, pid), "another back-end")
    client.end()
    t.within(20, lambda: gpu.device.info()["nodes"] and gpu.counts()["sockets"] == 2,
             "another card")
    ident, mode = connector(t)
    draw(t, ident, mode)
    check_bars(t, gpu, (1024, 768))


@test(timeout=60, tags=("gpu",), needs=("modetest", "display-probe"))
def display_ends(t):
    """Without its display there is no card: it is unplugged in good order."""
    gpu = Gpu(t)
    os.kill(gpu.display_pid(), signal.SIGKILL)
    t.within(20, lambda: t.devices() == [], "the device gone", step=0.2)
    t.within(20, lambda: not list(PLATFORM.glob("virtio-loopback.*")), "the parent gone")


NO_DISPLAY = {
    "missing": ("--display-program", "/no/such/program", "cannot be started"),
    "fails": ("--display-program", "false", "ended before it could show anything"),
}


@test(timeout=60, tags=("gpu", "attach"), cases={k: {"words": v} for k, v in NO_DISPLAY.items()})
def no_display(t, words):
    said = t.run("virtio-loopback", "attach", "--type", "gpu", *words[:2], "--exec", QEMU, status=1)
    t.check(words[2] in said and len(said.strip().splitlines()) == 1,
            f"expected one line with {words[2]!r}, saw {said!r}")
    t.equal(t.devices(), [], "devices")


@test(kernels=("no-dma-ops",), tier="long", timeout=60, tags=("gpu", "attach"),
      cases={"own": {"backend": OWN}, "qemu": {"backend": QEMU}})
def refused(t, backend):
    """Where a card's driver could be given no mappings there is no card, and other devices are."""
    t.run("modprobe", "virtio_gpu")
    if "/" in backend and not Path(backend).exists():
        t.skip(f"{backend} is not there")
    said = t.run("virtio-loopback", "attach", "--type", "gpu", "--exec", backend, status=1)
    t.check("ARCH_HAS_DMA_OPS" in said and "CONFIG_XEN" in said
            and len(said.strip().splitlines()) == 1,
            f"expected one line that names the option and who selects it, saw {said!r}")
    t.equal(t.devices(), [], "devices")
    t.equal(list(PLATFORM.glob("virtio-loopback.*")), [], "parents")
    disk = t.attach("blk", exec=f"vhost-user-blk --image {t.image(8 << 20, fill=0x5a)}")
    seen = Path(disk.node).read_bytes()
    t.check(seen == b"\x5a" * (8 << 20), f"the disk beside it: expected 8 MiB of one byte, saw "
            f"{len(seen)} bytes, {seen.count(0x5a)} of them right")
    disk.detach()


def window_log(path):
    return path.read_text().splitlines() if path.exists() else []


TRICKS = ("backing", "pin-process-vm", "pin-vmsplice", "copy", "grow", "double", "execute", "move",
          "revoked", "revoked-end", "revoked-moved", "revoked-child")


@test(kernels=KERNELS, timeout=60, tags=("gpu", "hostile"), needs=("drm-buffer", "gpu-window"))
def window(t):
    """
    The back-end writes into the driver's pages and a client sees it, with nothing between them; it
    cannot pin them, and when they are unmapped they are gone: also moved, and in a child.
    """
    log = t.tmp / "log"
    gpu = Gpu(t, backend=f"gpu-window --no-sandbox --log {log}", resolution="640x480")
    said = t.run("drm-buffer", gpu.device.node)
    t.check("307200 of 307200 words inverted" in said, f"expected all words, saw {said!r}")
    t.within(30, lambda: "over" in window_log(log), "the end of the tricks")
    lines = window_log(log)
    t.equal([line for line in lines if line.startswith("FAIL")], [], "tricks that went wrong")
    missing = [trick for trick in TRICKS if f"ok {trick}" not in lines]
    t.equal(missing, [], "tricks that were not tried")
    stats = gpu.stats()
    t.check(stats["window_refused"] > 0, "expected touches that were refused, saw none")
    gpu.device.detach()


@test(timeout=60, tags=("gpu",), needs=("modetest", "display-probe"),
      cases=LONG_WITH_OWN)
def many_buffers(t, backend):
    """Buffers that come and go leave nothing mapped."""
    gpu = Gpu(t, backend=backend)
    ident, mode = connector(t)
    rest = gpu.stats()["window_bytes"]
    for _ in range(5):
        client = draw(t, ident, mode)
        t.within(20, lambda: gpu.stats()["window_bytes"] > rest, "a buffer", step=0.2)
        client.end()
        t.within(20, lambda: gpu.stats()["window_bytes"] <= rest, "the buffer gone", step=0.2)
    gpu.device.detach()


@test(timeout=60, tags=("gpu",), needs=("modetest",),
      cases={"own": {"backend": OWN}, "qemu": Case({"backend": QEMU}, tier="long")})
def cursor(t, backend):
    """It covers 64 by 64 pixels of the picture, moves over it, and what it covered comes back."""
    gpu = Gpu(t, backend=backend, own=True)
    ident, mode = connector(t)
    still = draw(t, ident, mode)
    check_bars(t, gpu, (1024, 768))
    without = gpu.picture()
    still.end()
    draw(t, ident, mode, "-C")
    seen = set()

    def moved():
        picture = gpu.picture()
        box = without.differences(picture) if picture and picture.size == without.size else None
        # between the two modetests the text console is seen
        if box and box[2] - box[0] <= 64 and box[3] - box[1] <= 64:
            seen.add(box)
        return len(seen) >= 3
    t.within(30, moved, "three places of the cursor", step=0.2)
    t.log(f"the cursor was at {sorted(seen)}")
