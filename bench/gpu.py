#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: frames a second of page flips, of glmark2's scenes, and what is copied a frame.

The guest is one with QEMU's own virtio-gpu (vm/run --gpu), which works outside of the emulated
machine. One card is there at a time. Prints CSV: PEER/JOB,round,figure. Where a back-end stands
behind the card it is on CPU 1 of two, the program that draws on CPU 0.
"""

import argparse
import os
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers  # noqa: E402

DRIVER = Path("/sys/bus/virtio/drivers/virtio_gpu")
SIZES = ("1280x800", "1920x1080")
SCENES = ("build", "texture", "shading")
QEMUS = "/usr/lib/qemu/vhost-user-gpu"
BACKENDS = {"loopback": QEMUS, "loopback-own": "vhost-user-gpu",
            "loopback-virgl": "vhost-user-gpu --virgl"}


class Machines:
    """The virtual machine's own card: another driver's device while it is not measured."""

    def __init__(self):
        peers.run("modprobe", "virtio_gpu")
        found = [path.name for path in DRIVER.glob("virtio*")]
        if len(found) != 1:
            raise SystemExit(f"expected the machine's own virtio-gpu alone, saw {found}")
        self.virtio = found[0]
        (DRIVER / "unbind").write_text(self.virtio)

    def __enter__(self):
        (DRIVER / "bind").write_text(self.virtio)
        return card(DRIVER / self.virtio)

    def __exit__(self, *_):
        (DRIVER / "unbind").write_text(self.virtio)


class Loopbacks:
    """A card with a back-end, and no display."""

    def __init__(self, backend, resolution):
        self.backend, self.resolution = backend, resolution

    def __enter__(self):
        if self.backend == QEMUS and not Path(QEMUS).exists():
            raise peers.Missing(f"no {QEMUS}")
        line = peers.run("virtio-loopback", "attach", "--type", "gpu", "--resolution",
                         self.resolution, "--exec", f"taskset -c 1 {self.backend}")
        self.name, virtio = line.split()[:2]
        return card(DRIVER / virtio)

    def __exit__(self, *_):
        peers.run("virtio-loopback", "detach", self.name, "--force")

    def copied(self):
        """Bytes that the transport has copied so far."""
        text = peers.run("virtio-loopback", "stats", self.name)
        return sum(int(n) for n in re.findall(r"^bytes_(?:to|from)_device\s+(\d+)", text, re.M))


def card(virtio):
    node = peers.wait_until(lambda: [p.name for p in virtio.glob("drm/card*")], "the card")
    return peers.wait_for(f"/dev/dri/{node[0]}")


def places(machines, kinds, resolution):
    """name: where the card comes from"""
    found = {"qemu": machines}
    found.update({name: Loopbacks(BACKENDS[name], resolution) for name in kinds})
    return found


def flips(node, size, seconds):
    words = peers.run("taskset", "-c", "0", "bench-flips", node, size, seconds).split()
    return int(words[0]), int(words[1]) / 1e9


def measure_flips(machines, number, seconds, copies):
    for size in SIZES:
        for name, place in places(machines, ("loopback", "loopback-own"), size).items():
            if copies and name == "qemu":
                continue
            with place as node:
                before = place.copied() if copies else 0
                count, took = flips(node, size, seconds)
                figure = (place.copied() - before) / count if copies else count / took
            print(f"{name}/{size},{number},{figure:.1f}", flush=True)


def measure_glmark(machines, number, seconds):
    """A scene's figure is the time of a frame, which has more digits than the frames a second."""
    jobs = [word for scene in SCENES for word in ("-b", f"{scene}:duration={seconds}")]
    for name, place in places(machines, BACKENDS, SIZES[1]).items():
        with place:
            said = peers.run("glmark2-es2-drm", "--visual-config", "alpha=0", *jobs)
        size = re.search(r"Surface Size: +(\S+)", said)
        for scene, ms in re.findall(r"^\[(\w+)\].* FrameTime: ([0-9.]+) ms", said, re.M):
            print(f"{name}/{scene}-{size[1] if size else '?'},{number},{1000 / float(ms):.2f}",
                  flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=1)
    p.add_argument("what", choices=("flips", "copies", "glmark"))
    args = p.parse_args()
    seconds = max(2, int(10 * args.scale))
    os.environ["GALLIUM_DRIVER"] = "llvmpipe"
    machines = Machines()
    for number in range(args.rounds):
        if args.what == "glmark":
            measure_glmark(machines, number, seconds)
        else:
            measure_flips(machines, number, seconds, args.what == "copies")


if __name__ == "__main__":
    main()
