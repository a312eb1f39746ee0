# SPDX-License-Identifier: BSD-3-Clause
"""Sleep beyond the freezer, with devices attached and busy: see vm/run --sleep."""

import os
import signal
import subprocess
from pathlib import Path

from can import Interface, bus, traffic
from harness import ALL, Case, test
from sound import Card, Wav, noise, same_sound, write
from storms import storm

POWER = Path("/sys/power")
SWAP = next((f"/dev/{disk.name}" for disk in Path("/sys/block").glob("nvme*")
             if (disk / "device/serial").read_text().strip() == "swap"), None)


def attach(t):
    return t.attach("blk", exec=f"vhost-user-blk --image {t.image(32 << 20)} --queues 2",
                    queues=2)


def levels(t, kind):
    """What of the sleep is gone through before the system turns back."""
    if kind not in (POWER / "state").read_text().split():
        t.skip(f"this kernel cannot sleep to {kind}")
    if not (POWER / "pm_test").exists():
        t.skip("this kernel has no pm_test")
    Path("/sys/module/suspend/parameters/pm_test_delay").write_text("0")
    t.at_end((POWER / "pm_test").write_text, "none")


@test(timeout=300, kernels=ALL, needs=("storm",),
      cases={"check": {"turns": 2}, "long": Case({"turns": 20}, tier="long")})
def pm_test(t, turns):
    """Devices, platform, CPUs and core are suspended and resumed under load."""
    levels(t, "mem")
    device = attach(t)
    kinds = ["devices", "platform", "processors", "core"] * turns

    def strike():
        (POWER / "pm_test").write_text(kinds.pop())
        (POWER / "state").write_text("mem")

    storm(t, device, len(kinds), strike)
    device.detach()


@test(timeout=120, kernels=ALL, needs=("uapi-check",))
def unanswered(t):
    """A probe that waits for an adapter which does not answer does not hold the system's sleep up."""
    levels(t, "mem")
    t.module("virtio_blk")
    (POWER / "pm_test").write_text("devices")
    out = t.run("uapi-check", "asleep", timeout=100)
    t.check("1 checks, 0 failed" in out, f"expected the closing line, saw {out!r}")


@test(timeout=300, kernels=("debian-6.12", "debian-7"), needs=("storm", "rtcwake"),
      cases={"check": {"turns": 2}, "long": Case({"turns": 20}, tier="long")})
def to_memory(t, turns):
    """Suspend to RAM as the machine does it, and the alarm clock wakes it."""
    if "deep" not in (POWER / "mem_sleep").read_text():
        t.skip("this machine has no S3")
    (POWER / "mem_sleep").write_text("deep")
    device = attach(t)
    # An alarm that goes off on the way into the sleep is lost.
    alarm = str(round(3 * t.slow))

    def strike():
        subprocess.run(["rtcwake", "-m", "mem", "-s", alarm], check=True,
                       stdout=subprocess.DEVNULL)

    storm(t, device, turns, strike)
    device.detach()


@test(timeout=300, kernels=("debian-6.12", "debian-7"), needs=("storm",))
def to_disk(t):
    """Hibernation: the image is written to a disk, and read back."""
    if "test_resume" not in (POWER / "disk").read_text():
        t.skip("this kernel cannot hibernate")
    t.check(SWAP, "the guest was not started with vm/run --sleep: there is no disk for swap")
    t.run("mkswap", SWAP)
    t.run("swapon", SWAP)
    t.at_end(lambda: t.run("swapoff", SWAP))
    (POWER / "disk").write_text("test_resume")
    stat = os.stat(SWAP)
    (POWER / "resume").write_text(f"{os.major(stat.st_rdev)}:{os.minor(stat.st_rdev)}")
    device = attach(t)

    def strike():
        (POWER / "state").write_text("disk")

    storm(t, device, 1, strike)
    device.detach()


@test(timeout=300, kernels=("debian-6.12", "debian-6.1", "debian-7"), tags=("can",),
      cases={"check": {"turns": 1}, "long": Case({"turns": 20}, tier="long")})
def can(t, turns):
    """The CAN driver is frozen and restored: under traffic, while it is down, and off the bus."""
    levels(t, "mem")
    bus(t)
    interface = Interface(t)

    def sleeps(kind):
        (POWER / "pm_test").write_text(kind)
        (POWER / "state").write_text("mem")

    def counts():
        return [interface.stat(name) for name in ("tx_packets", "rx_packets")]

    traffic(t, "vcan0", interface.name)
    for kind in ["devices", "core"] * turns:
        before = counts()
        t.within(10, lambda: min(map(int.__sub__, counts(), before)) > 20, "frames both ways")
        sleeps(kind)
        before = counts()
        t.within(20, lambda: min(map(int.__sub__, counts(), before)) > 20,
                 f"frames both ways after a sleep to the level of {kind}")
    interface.down()
    sleeps("devices")
    t.equal(interface.state(), "STOPPED", "state after a sleep while it was down")
    interface.up()
    t.run("can-load", "error", "vcan0", "bus-off")
    t.within(10, lambda: interface.state() == "BUS-OFF", "state BUS-OFF")
    sleeps("devices")
    t.equal(interface.state(), "BUS-OFF", "state after a sleep off the bus")
    t.run("ip", "link", "set", interface.name, "type", "can", "restart")
    traffic(t, interface.name)  # the one before ended when the interface went down
    before = counts()
    t.within(20, lambda: min(map(int.__sub__, counts(), before)) > 20, "frames after the restart")
    interface.down()
    interface.device.detach()


@test(timeout=300, kernels=("debian-6.12", "debian-7"), tags=("sound",), needs=("aplay",),
      cases={"check": {"turns": 1}, "long": Case({"turns": 20}, tier="long")})
def sound(t, turns):
    """The sound driver is frozen and restored, under programs that play and record, and without."""
    levels(t, "mem")
    out, got = t.tmp / "out.wav", t.tmp / "got.raw"
    card = Card(t, "--backend", "wav", "--playback", out)
    # The driver's buffers are as long as a source has formats: a file's would be too short for what
    # a busy machine takes to wake up.
    silence = Card(t, "--backend", "null", "--capture", "silence", socket=t.tmp / "null.sock")
    raw = ("-q", "-t", "raw", "-f", "S16_LE", "-c", 2, "-r", 48000, "--buffer-time=1600000")
    player = t.start("aplay", *raw, "-D", card.hw, "/dev/zero")
    recorder = t.start("arecord", *raw, "-D", silence.hw, got)

    def sizes():
        return [path.stat().st_size if path.exists() else 0 for path in (out, got)]

    def go_on(when):
        before = sizes()
        t.within(20, lambda: min(map(int.__sub__, sizes(), before)) > 40000 or not
                 (player.alive() and recorder.alive()), f"sound both ways {when}")
        t.check(player.alive() and recorder.alive(), f"{when}: expected both programs to go on, saw "
                f"{player.said()!r} and {recorder.said()!r}")

    def sleeps(kind):
        (POWER / "pm_test").write_text(kind)
        (POWER / "state").write_text("mem")

    go_on("before")
    for kind in ["devices", "core"] * turns:
        sleeps(kind)
        go_on(f"after a sleep to the level of {kind}")
    for program in (player, recorder):
        program.signal(signal.SIGTERM)
        program.wait()
    sleeps("devices")
    t.equal(card.control("Line Out Jack"), "on", "jack after a sleep while nobody played")
    before, data = len(Wav.read(out).data), noise(2048 * 10, seed=3)
    card.aplay(write(t.tmp / "in.raw", data))
    same_sound(t, Wav.read(out).data[before:], data, "played after a sleep while nobody played")
    card.finish()
    silence.finish()
