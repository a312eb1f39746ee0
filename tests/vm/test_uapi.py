# SPDX-License-Identifier: BSD-3-Clause
"""The module's interface, called rightly and wrongly, without adapter and back-end."""

from pathlib import Path

from harness import ALL, test


def check(t, *names):
    t.run("modprobe", "virtio-rng")
    out = t.run("uapi-check", *names, status=None, timeout=80)
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    t.equal(failed, [], "checks that failed")
    t.check("checks, 0 failed" in out, f"expected the closing line, saw {out[-200:]!r}")


@test(kernels=ALL, timeout=90, needs=("uapi-check",))
def calls(t):
    """Every call: its refusals, its effect, and the end of devices in each state."""
    check(t, "-store-served", "-asleep")


@test(kernels=("debian-6.1", "debian-6.12", "debian-7"), timeout=60, needs=("uapi-check",))
def store_served(t):
    """A file whose file system is a process (FUSE) is not kept with a device."""
    t.module("fuse")
    check(t, "store-served")


@test(kernels=ALL, timeout=90, needs=("spun-for",))
def driver_that_spins(t):
    """No driver spins for an adapter: it binds where what is said of its queues is true."""
    t.module("virtio_net")
    for module in ("virtio_console", "virtio-rng"):
        t.run("modprobe", module)
    t.equal(t.run("spun-for", timeout=80).splitlines(),
            ["terminal posted: bound", "ports posted: bound", "network posted: bound",
             "randomness: bound"], "devices that got their driver")


@test(kernels=ALL, timeout=60, needs=("queue-reset",))
def queue_reset(t):
    """Single virtqueues are reset and come back with other sizes; a reset that is refused."""
    t.module("virtio_net")
    t.equal(t.run("queue-reset").strip(), "60 resizes", "what the program did")


@test(timeout=60)
def types_restricted(t):
    """With allowed_types nobody makes another device, not even root; it is said why."""
    t.run("rmmod", "virtio_loopback")
    t.at_end(t.run, "modprobe", "virtio_loopback")
    t.at_end(t.run, "rmmod", "virtio_loopback", status=None)
    t.run("modprobe", "virtio_loopback", "allowed_types=4,41")
    parameter = Path("/sys/module/virtio_loopback/parameters/allowed_types")
    t.equal(parameter.read_text().strip(), "4,41", "the parameter")
    t.equal(parameter.stat().st_mode & 0o222, 0, "who may change it")
    out = t.run("virtio-loopback", "attach", "--type", "blk", "--exec",
                f"vhost-user-blk --image {t.image(1 << 20)}", status=1)
    t.equal(len(out.strip().splitlines()), 1, f"lines that say why: {out!r}")
    t.check("allowed_types" in out, f"expected the parameter to be named, saw {out!r}")
    t.attach("rng", exec="vhost-user-rng").detach()
