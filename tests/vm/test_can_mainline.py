# SPDX-License-Identifier: BSD-3-Clause
"""The tests of CAN devices, with mainline's driver instead of ours.

It is a test aid (vm/lib/vmtool/aid.py), built from the kernel's source package before the guest
boots. What it does differently has a test of its own here.
"""

from pathlib import Path

import can
import test_can
from harness import test

KO = Path(__file__).resolve().parents[2] / "build/aids/debian-7/virtio_can.ko"
SAME = {name: {"name": name, "args": args} for name, args in (
    ("smoke", {}), ("from_the_driver", {"count": 10000}), ("from_the_bus", {"count": 10000}),
    ("both_ways", {}), ("loopback", {}), ("can_utils", {}), ("interface_goes", {}),
    ("under_traffic", {"turns": 5}), ("unbind_and_bind", {}), ("backend_dies", {}),
    ("two_at_once", {}))}


def mainline(t):
    """Put mainline's module in the place of ours."""
    if not KO.exists():
        t.skip(f"mainline's {KO.name} could not be built")
    t.run("modprobe", "-r", "virtio_can", status=None)
    t.run("modprobe", "can-dev")
    t.run("insmod", KO)
    t.at_end(t.run, "rmmod", "virtio_can", status=None)
    said = t.run("modinfo", "-F", "author", KO)
    t.check("OpenSynergy" in said, f"expected mainline's driver, saw one of {said!r}")


@test(kernels=("debian-7",), timeout=120, tier="interop", tags=("can",), cases=SAME)
def same(t, name, args):
    """What both drivers do alike."""
    mainline(t)
    getattr(test_can, name)(t, **args)


@test(kernels=("debian-7",), timeout=90, tier="interop", tags=("can",))
def flood(t):
    """What is lost under a flood is not counted by that driver: the back-end's log tells of it."""
    mainline(t)
    can.bus(t)
    backend = t.backend("vhost-user-can", "--interface", "vcan0")
    interface = can.Interface(t, socket=backend.socket, exec=None)
    backend.stop()
    can.send(t, "vcan0", 30000)
    backend.resume()
    t.within(20, lambda: "were lost" in backend.said(), "the back-end to tell of lost frames")
    t.equal(interface.lost(), 0, "frames that the driver knows to be lost")
    interface.down()
    interface.device.detach()
    backend.terminate()
