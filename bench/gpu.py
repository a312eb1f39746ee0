#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""In the guest: frames a second of page flips, of glmark2's scenes, and what is copied a frame.

The guest is one with QEMU's own virtio-gpu (vm/run --gpu), which works outside of the emulated
machine. Prints CSV: PEER/JOB,round,figure. Where a back-end stands behind the card it is on CPU 1
of two, the program that draws on CPU 0.

The driver reports a page flip when it has told the device of it, hundreds of them before the
device is done with the first. So what a back-end still has to do at the end counts as well. Of
QEMU's own that cannot be seen; it is a few dozens of thousands.
"""

import argparse
import re
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers  # noqa: E402

DRIVER = Path("/sys/bus/virtio/drivers/virtio_gpu")
SIZES = ("1280x800", "1920x1080")
SCENES = ("build", "texture", "shading")
ONE_MODE = Path(__file__).resolve().parent.parent / "build/bench/gpu/libbench-one-mode.so"
QEMUS = "/usr/lib/qemu/vhost-user-gpu"
BACKENDS = {"loopback": QEMUS, "loopback-own": "vhost-user-gpu",
            "loopback-virgl": "vhost-user-gpu --virgl"}


class Machines:
    """The virtual machine's own card, which is there all the time."""

    def __init__(self):
        peers.run("modprobe", "virtio_gpu")
        found = list(DRIVER.glob("virtio*"))
        if len(found) != 1:
            raise SystemExit(f"expected the machine's own virtio-gpu alone, saw {found}")
        self.node = card(found[0])
        # QEMU's back-end would take it for a graphics card to work with
        for node in found[0].resolve().parent.glob("drm/renderD*"):
            Path("/dev/dri", node.name).unlink()

    def __enter__(self):
        return self.node

    def __exit__(self, *_):
        pass

    def drain(self):
        pass


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
        self.stats = (DRIVER / virtio).resolve().parent / "stats"
        return card(DRIVER / virtio)

    def __exit__(self, *_):
        self.drain()
        peers.run("virtio-loopback", "detach", self.name, "--force")

    def drain(self):
        """Wait until the back-end has answered all."""
        while self.count("maps_live"):
            time.sleep(0.01)

    def count(self, *names):
        counts = dict(line.split() for line in self.stats.read_text().splitlines())
        return sum(int(counts[name]) for name in names)

    def copied(self):
        """Bytes that the transport has copied so far."""
        return self.count("bytes_to_device", "bytes_from_device")


def card(virtio):
    """Its node; the card is a child of what the virtio device is on."""
    parent = virtio.resolve().parent
    node = peers.wait_until(lambda: [p.name for p in parent.glob("drm/card*")], "the card")
    return peers.wait_for(f"/dev/dri/{node[0]}")


def places(machines, kinds, resolution):
    """name: where the card comes from"""
    found = {"qemu": machines}
    found.update({name: Loopbacks(BACKENDS[name], resolution) for name in kinds})
    return found


def flips(place, node, size, seconds):
    """How many, and in which time."""
    words = peers.run("taskset", "-c", "0", "bench-flips", node, size, seconds).split()
    end = time.monotonic()
    place.drain()
    return int(words[0]), int(words[1]) / 1e9 + time.monotonic() - end


def measure_flips(machines, number, seconds, copies):
    for size in SIZES:
        for name, place in places(machines, ("loopback", "loopback-own"), size).items():
            if copies and name == "qemu":
                continue
            with place as node:
                before = place.copied() if copies else 0
                count, took = flips(place, node, size, seconds)
                figure = (place.copied() - before) / count if copies else count / took
            print(f"{name}/{size},{number},{figure:.1f}", flush=True)


def measure_cube(machines, number, seconds):
    """It takes the first mode, of the same size everywhere; it ends with its input."""
    for name, place in places(machines, BACKENDS, SIZES[0]).items():
        with place as node:
            said = peers.run("sh", "-c", f"sleep {seconds + 1} | taskset -c 0 timeout {seconds} "
                             f"stdbuf -oL kmscube -D {node}", status=124)
        frames, took = re.findall(r"Rendered (\d+) frames in ([0-9.]+) sec", said)[-1]
        print(f"{name}/{SIZES[0]},{number},{int(frames) / float(took):.2f}", flush=True)


def measure_glmark(machines, number, seconds):
    """
    It takes the largest mode, of which each card has another: it is shown one. A scene's figure is
    the time of a frame, which has more digits than the frames a second.
    """
    jobs = [word for scene in SCENES for word in ("-b", f"{scene}:duration={seconds}")]
    for name, place in places(machines, BACKENDS, SIZES[0]).items():
        with place as node:
            said = peers.run("env", f"LD_PRELOAD={ONE_MODE}", f"ONE_MODE={SIZES[0]}", "taskset",
                             "-c", "0", "glmark2-es2-drm", "--visual-config", "alpha=0",
                             "--winsys-options", f"drm-device={node}", *jobs)
        size = re.search(r"Surface Size: +(\S+)", said)
        if not size or size[1] != SIZES[0]:
            raise SystemExit(f"{name}: expected glmark2 to draw {SIZES[0]}, saw {said!r}")
        for scene, ms in re.findall(r"^\[(\w+)\].* FrameTime: ([0-9.]+) ms", said, re.M):
            print(f"{name}/{scene},{number},{1000 / float(ms):.2f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--scale", type=float, default=1)
    p.add_argument("what", choices=("flips", "copies", "cube", "glmark"))
    args = p.parse_args()
    seconds = max(2, int(10 * args.scale))
    machines = Machines()
    for number in range(args.rounds):
        if args.what == "glmark":
            measure_glmark(machines, number, seconds)
        elif args.what == "cube":
            measure_cube(machines, number, max(15, seconds))
        else:
            measure_flips(machines, number, seconds, args.what == "copies")


if __name__ == "__main__":
    main()
