# SPDX-License-Identifier: BSD-3-Clause
"""OpenGL on an attached card: by virglrenderer, on the CPU as there is no graphics card."""

import re

import gpus
from gpus import OWN, QEMU, SAME_NAME, VIRGL, Gpu, check_bare, patience, render_node, with_input
from harness import Case, test

SIZE = (800, 600)
# gl-picture's: upper left, upper right, lower left, lower right
QUARTERS = ((0, 0, 255), (255, 255, 0), (255, 0, 0), (0, 255, 0))
GREY = (128, 128, 128)


def attach(t, backend=VIRGL, resolution=f"{SIZE[0]}x{SIZE[1]}", **kw):
    return Gpu(t, *patience(t), backend=backend, own=True, timeout=60, resolution=resolution, **kw)


def close(seen, expected, most=1):
    return all(abs(a - b) <= most for a, b in zip(seen, expected))


def wrong_quarters(picture):
    """How many pixels differ by more than one, and the first."""
    width, height = picture.size
    wrong, first = 0, None
    for y in range(height):
        row = picture.row(y)
        left, right = QUARTERS[2 * (y >= height // 2):][:2]
        if row == bytes(left) * (width // 2) + bytes(right) * (width // 2):
            continue
        for x in range(width):
            if not close(row[3 * x:3 * x + 3], right if x >= width // 2 else left):
                wrong += 1
                first = first or (x, y, tuple(row[3 * x:3 * x + 3]))
    return wrong, first


RENDERERS = {
    "virgl": {"backend": VIRGL, "renderer": "virgl (LLVMPIPE"},
    "others": Case({"backend": VIRGL, "renderer": "virgl (LLVMPIPE"}, tier="long",
                   kernels=("debian-6.1", "debian-7", "debian-6.12-rt")),
    "own-2d": Case({"backend": OWN, "renderer": "llvmpipe"}, tier="long"),
    "qemu-2d": Case({"backend": QEMU, "renderer": "llvmpipe"}, tier="long"),
}


@test(timeout=120, tags=("gpu", "gl"), needs=("gl-picture",), cases=RENDERERS)
def picture(t, backend, renderer):
    """Drawn and read back, uploaded and read back, and shown: all the same pixels."""
    gpu = attach(t, backend)
    before = gpu.stats()
    client = t.start("gl-picture", gpu.device.node)
    t.within(60, lambda: "shown\n" in client.said() or not client.alive(), "the picture drawn")
    said = client.said()
    for words in (f"renderer {renderer}", f"quarters: 0 of {SIZE[0] * SIZE[1]} pixels are wrong",
                  "texture: 0 of 65536 pixels are wrong"):
        t.check(words in said, f"gl-picture: expected {words!r}, saw {said!r}")
    t.within(20, lambda: gpu.picture() and gpu.picture().colours(0, 2) == QUARTERS[:2],
             "the picture shown")
    t.equal(gpu.picture().size, SIZE, "the size of the picture")
    wrong, first = wrong_quarters(gpu.picture())
    t.equal(wrong, 0, f"pixels of the picture shown that are wrong, the first {first}")
    after = gpu.stats()
    copied = sum(after[n] - before[n] for n in ("bytes_to_device", "bytes_from_device"))
    t.check(copied < 256 << 10, "bytes copied for pictures of 2 MiB and more: expected commands "
            f"only, saw {copied}")
    client.end()
    gpu.device.detach()


@test(timeout=120, tier="interop", kernels=("debian-6.12",), tags=("gpu", "gl"),
      needs=("gl-picture",))
def peer(t):
    """OpenGL ES by llvmpipe: drawn and uploaded, read back by glReadPixels, and shown, each pixel"""
    gpus.peer(t)
    picture(t, QEMU, "llvmpipe")


@test(timeout=120, tags=("gpu", "gl"), needs=("kmscube",),
      cases={"virgl": {"backend": VIRGL}, "own-2d": Case({"backend": OWN}, tier="long"),
             "qemu-2d": Case({"backend": QEMU}, tier="long")})
def kmscube(t, backend):
    """It turns on grey."""
    gpu = attach(t, backend)
    client = with_input(t, f"kmscube -D {gpu.device.node}")

    def turns():
        # In 2D the driver lets the client draw into what the device has not taken yet.
        shown = gpu.picture()
        return (shown and gpu.pictures() > 2 and close(shown.at(1, 1), GREY)
                and not close(shown.at(SIZE[0] // 2, SIZE[1] // 2), GREY, 8))
    t.within(60, turns, "pictures with a grey corner, and the cube in the middle", step=0.2)
    client.end()


@test(timeout=120, tags=("gpu", "gl"), needs=("gl-picture",))
def node_found(t):
    """With another card there before it, EGL finds the one that is asked for, and draws on it."""
    t.run("modprobe", "vgem")
    t.at_end(t.run, "modprobe", "-r", "vgem")
    gpu = attach(t)
    check_bare(t, t.run("gl-picture", "--find", gpu.device.node, timeout=60), render_node(gpu))


@test(timeout=180, tags=("gpu", "gl"), needs=("gl-picture",), tier="long",
      tolerates=(SAME_NAME,))
def two_cards(t):
    """Each of two that are alike has a node of its own, and draws what is asked of it."""
    gpus = [attach(t, name=name, folder=name) for name in ("one", "two")]
    for gpu in gpus + gpus[:1]:
        check_bare(t, t.run("gl-picture", "--find", gpu.device.node, timeout=60), render_node(gpu))


GLMARK = {
    "virgl": {"backend": VIRGL, "renderer": "virgl (LLVMPIPE"},
    "own-2d": {"backend": OWN, "renderer": "llvmpipe"},
    "qemu-2d": {"backend": QEMU, "renderer": "llvmpipe"},
}


@test(timeout=180, tags=("gpu", "gl"), needs=("glmark2-es2-drm",), tier="long", cases=GLMARK)
def glmark(t, backend, renderer):
    """A short scene of it draws, and says how fast."""
    # it gives up where its own default size, 800x600, is the mode
    gpu = attach(t, backend, resolution="1024x768")
    said = t.run("glmark2-es2-drm", "--visual-config", "alpha=0", "-b", "build:duration=2",
                 timeout=120)
    t.check(re.search(f"GL_RENDERER: +{re.escape(renderer)}", said),
            f"expected the renderer {renderer}, saw {said!r}")
    score = re.search(r"glmark2 Score: (\d+)", said)
    t.check(score and gpu.pictures() > 0, "expected a score and pictures, saw "
            f"{score} and {gpu.pictures()} pictures")
    t.figure("glmark2 build", score[0])
