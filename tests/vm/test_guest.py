# SPDX-License-Identifier: BSD-3-Clause
"""The guest itself: what the other tests take for granted."""

import os
import re
import socket
from pathlib import Path

from harness import ALL, test


@test(kernels=ALL, timeout=20)
def no_device_of_its_own(t):
    """No virtio device but 9p, which carries files: any other is one of ours."""
    ids = {}
    for device in Path("/sys/bus/virtio/devices").glob("*"):
        ids[device.name] = int((device / "device").read_text(), 16)
    t.check(ids, "expected the 9p devices that carry the checkout, saw no virtio device")
    t.equal({name: number for name, number in ids.items() if number != 9}, {},
            "virtio devices other than 9p")
    t.equal(sorted(p.name for p in Path("/sys/block").glob("vd*")), [], "virtio disks")
    nets = [p.name for p in Path("/sys/class/net").glob("*") if p.name != "lo"
            and (p / "device").exists()]
    t.equal(nets, [], "network interfaces with hardware")


@test(kernels=ALL, timeout=20)
def is_the_kernel_that_was_asked_for(t):
    release = os.uname().release
    patterns = {"debian-6.12": r"6\.12\.\d+\+deb\d+-a", "debian-6.12-rt": r"6\.12\..*-rt-a",
                "debian-6.12-cloud": r"6\.12\..*-cloud-a", "debian-6.1": r"6\.1\.0-\d+-a",
                "debian-7": r"7\.", "debian-6.12-arm64": r"6\.12\..*-arm64$",
                "debian-6.12-arm64-16k": r"6\.12\..*-arm64-16k$",
                "plain": r"6\.12\..*-vlb$", "debug": r"6\.12\..*-vlb-debug$",
                "no-dma-ops": r"7\..*-vlb-no-dma-ops$",
                "mainline-6.12": r"6\.12\..*-vlb-mainline$",
                "mainline-7.2": r"7\.2\..*-vlb-mainline$"}
    pattern = patterns.get(t.kernel)
    t.check(pattern, f"no pattern for the kernel {t.kernel!r}")
    t.check(re.match(pattern, release), f"{t.kernel}: expected {pattern}, saw {release}")
    t.equal(os.sysconf("SC_PAGESIZE"), 16384 if t.kernel.endswith("-16k") else 4096, "page size")


@test(kernels=ALL, timeout=20)
def module_is_loaded(t):
    t.check(Path("/sys/module/virtio_loopback").exists(),
            "expected /sys/module/virtio_loopback, saw none")
    t.check(Path("/dev/virtio-loopback").is_char_device(),
            "expected the character device /dev/virtio-loopback, saw none")


@test(kernels=ALL, timeout=60)
def module_is_loaded_again_by_name(t):
    """modprobe finds it: it stands in the dependency lists."""
    t.run("rmmod", "virtio_loopback")
    t.equal(Path("/dev/virtio-loopback").exists(), False, "the node after rmmod")
    t.run("modprobe", "virtio_loopback")
    t.within(5, Path("/dev/virtio-loopback").exists, "the node after modprobe")


@test(kernels=ALL, timeout=20)
def checkout_is_shown_and_forgotten(t):
    """The checkout can be written to, and only vm/out/ reaches the host."""
    probe = t.top / "vm-guest-probe"
    probe.write_text("forgotten with the guest\n")
    t.equal(probe.read_text(), "forgotten with the guest\n", "a file in the checkout")
    probe.unlink()
    kept = t.top / "vm/out/guest-probe.txt"
    kept.write_text(f"{os.uname().release}\n")
    t.equal(kept.read_text(), f"{os.uname().release}\n", "a file in vm/out")


@test(kernels=ALL, timeout=20)
def network_is_loopback_only(t):
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname(), timeout=5)
    peer, _ = server.accept()
    client.sendall(b"x")
    t.equal(peer.recv(1), b"x", "a byte over 127.0.0.1")


@test(kernels=("debug",), timeout=60)
def debug_kernel_watches(t):
    """The options that the debug kernel is there for are on."""
    config = t.run("zcat", "/proc/config.gz").splitlines()
    for option in ("KASAN", "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_KMEMLEAK", "UBSAN",
                   "KCOV", "DMA_API_DEBUG", "DEBUG_SG", "DEBUG_LIST", "DEBUG_OBJECTS",
                   "FAILSLAB"):
        t.check(f"CONFIG_{option}=y" in config, f"CONFIG_{option}: expected y")
    lockdep = Path("/proc/lockdep_stats").read_text()
    t.check(re.search(r"debug_locks:\s+1", lockdep), "lockdep: expected on, saw it off")
    leaks = Path("/sys/kernel/debug/kmemleak")
    t.check(leaks.exists(), f"expected {leaks}, saw none")
