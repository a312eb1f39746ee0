# SPDX-License-Identifier: BSD-3-Clause
"""The documents are true: their commands are run, and so is what make demo shows."""

import re
import sys
from pathlib import Path

from harness import Case, test
from sound import PipeWire, Wav, tone
from terminal import Terminal
from viewers import XServer

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from lib.documents import docs_check  # noqa: E402

# Those that take longest are left to the long tier.
LONG = ("docs/aws.md", "docs/gpu.md", "docs/remote-disks.md", "docs/yocto.md")
WITH_COMMANDS = {name: Case({"name": name}, tier="long" if name in LONG else None)
                 for name in docs_check.documents()
                 if any(block.runs() for block in docs_check.blocks((TOP / name).read_text()))}


# What documents and demonstrations take for granted, and Debian's kernel has not.
MODULES = {name: ("gpio-sim", "gpio-virtio") for name in ("gpio", "board", "aws", "all")}


def marked(name):
    """The commands of a document that are said to be run by this file."""
    return docs_check.commands((TOP / name).read_text(), "tests/vm/test_docs.py")


def load_again(t):
    """The module as it was, if the commands have loaded it with other parameters."""
    if Path("/sys/module/virtio_loopback/parameters/allowed_types").read_text().strip():
        t.run("modprobe", "-r", "virtio_loopback")
        t.run("modprobe", "virtio_loopback")


@test(kernels=("debian-6.12",), timeout=120, tags=("docs",), cases=WITH_COMMANDS)
def commands(t, name):
    """One session for each document; bash names the line that fails."""
    for module in MODULES.get(Path(name).stem, ()):
        t.module_by_name(module)
    if Path(name).stem == "gpu":
        XServer(t)  # it shows a window
    if Path(name).stem == "uapi":
        t.at_end(load_again, t)
    session = t.tmp / name.replace("/", "-")
    session.write_text(docs_check.script((TOP / name).read_text()))
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", timeout=60)
    t.run("bash", "-eux", "-o", "pipefail", session, timeout=100)
    t.equal(t.devices(), [], f"devices after the commands of {name}")


# What each line of bpftrace in docs/tracing.md shows, in their order.
SHOWN = (r"^@kicks\[\d+, 0\]: [1-9].*^@calls\[\d+, 0\]: [1-9]", r"^@us\[?.*^\[.*@+ *\|$",
         r"^@\[\w+\]: [1-9]", r"^device \d+: \d+ -> \d+$")
PROBES = {str(n): {"number": n} for n in range(len(SHOWN))}


def something_to_see(t, disk):
    """Reads, and a device that comes and goes."""
    t.run("dd", f"if={disk.node}", "of=/dev/null", "bs=4k", "count=50", "iflag=direct")
    t.attach("rng", exec="vhost-user-rng", name="short").detach()


@test(kernels=("debian-6.12",), timeout=150, tier="long", tags=("docs",), needs=("bpftrace",),
      cases=PROBES)
def probe(t, number):
    """A line of bpftrace in docs/tracing.md, until it is interrupted."""
    lines = marked("docs/tracing.md")
    t.equal(len(lines), len(SHOWN), "lines of bpftrace in docs/tracing.md")
    disk = t.attach("blk", exec=f"vhost-user-blk --image {t.image(64 << 20)}")
    for _ in range(5):
        # It does not tell when it listens; what it sees then is shown by the next turn.
        tracer = t.start("setsid", "bash", "-c", lines[number])
        t.within(60, lambda: "Attaching" in tracer.said() or not tracer.alive(), "bpftrace")
        something_to_see(t, disk)
        something_to_see(t, disk)
        t.run("pkill", "-INT", "-s", tracer.pid)
        t.equal(tracer.wait(60), 0, f"exit status of bpftrace, which said {tracer.said()[-300:]}")
        if re.search(SHOWN[number], tracer.said(), re.M | re.S):
            disk.detach()
            return
    t.fail(f"{lines[number]}: expected {SHOWN[number]}, saw {tracer.said()[-500:]}")


@test(kernels=("debian-6.12",), timeout=90, tags=("docs",), needs=("agetty", "picocom"))
def login_on_a_terminal(t):
    """What docs/console.md types: a getty on the port, a terminal program on the other end."""
    attach, getty, picocom = marked("docs/console.md")[:3]
    terminal = Terminal(t)
    terminal.type(attach)
    terminal.sees(r"console0 virtio\d+ ")
    terminal.type(getty)
    terminal.type(picocom)
    terminal.sees("Terminal ready")
    terminal.type("\n")
    terminal.sees("login:")
    terminal.type("\x01\x18")  # Ctrl-a Ctrl-x, which ends picocom
    terminal.sees("Thanks for using picocom")
    terminal.sees(r"# $")
    terminal.type("kill %1; wait %1; virtio-loopback detach console0 && echo de''tached\n")
    terminal.sees("detached")
    terminal.end()


@test(kernels=("debian-6.12",), timeout=60, tags=("docs",))
def terminal_that_you_sit_at(t):
    """What docs/console.md types: the back-end on one terminal, attach on another."""
    serve = marked("docs/console.md")[3:]
    t.equal(len(serve), 1, "commands that are left")
    terminal = Terminal(t)
    terminal.type(serve[0])
    t.within(10, Path("/tmp/console.sock").is_socket, "the socket")
    device = t.attach("console", socket="/tmp/console.sock")
    with open("/dev/hvc0", "r+b", buffering=0) as port:
        port.write(b"from the driver\n")
        terminal.sees("from the driver")
        terminal.type("\x1d")  # Ctrl-], and the shell is back
        terminal.sees(r"# $")
    device.detach("--force")
    terminal.end()


@test(kernels=("debian-6.12",), timeout=60, tags=("docs",))
def randomness_from_elsewhere(t):
    """What docs/rng.md takes from a serial port, here one that gives zeroes: those are read."""
    port = Path("/dev/ttyACM0")
    port.symlink_to("/dev/zero")
    t.at_end(port.unlink)
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force")
    commands = marked("docs/rng.md")
    t.equal(len(commands), 1, "commands in docs/rng.md that need such a port")
    t.run("bash", "-c", commands[0])
    hwrng = Path("/sys/class/misc/hw_random")
    ours = re.search(r"virtio_rng\S*", (hwrng / "rng_available").read_text())
    t.check(ours, "expected virtio_rng among the sources")
    (hwrng / "rng_current").write_text(ours[0])
    # Behind what the kernel still has of another source.
    read = t.run("sh", "-c", "head -c 256 /dev/hwrng | tail -c 32 | od -A n -v -t x1")
    t.equal(read.split(), ["00"] * 32, "bytes of /dev/hwrng")


@test(kernels=("debian-6.12",), timeout=120, tier="long", tags=("docs",),
      needs=("pipewire", "wireplumber", "wpctl", "aplay"))
def two_cards_on_a_desktop(t):
    """What docs/sound.md does for the user 1000, who has a PipeWire, on a machine with a card."""
    server = PipeWire(t)
    theirs = Path("/run/user/1000")
    theirs.parent.mkdir(exist_ok=True)
    theirs.symlink_to(server.env["XDG_RUNTIME_DIR"])
    t.at_end(theirs.unlink)
    t.module("snd-aloop")
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force")
    for name, hertz in (("song", 440), ("announcement", 1000)):
        Wav.write(t.tmp / f"{name}.wav", tone(hertz, 2) * 20)
    commands = "".join(marked("docs/sound.md"))
    t.start("bash", "-eux", "-c", f"cd {t.tmp}\n{commands}wait", env=server.env)
    for name in ("music", "voice"):
        t.within(40, lambda: server.linked(f"{name}.playback0", "mix"), f"{name} plays")
    t.run("pkill", "-x", "aplay")


# Those that take longest are left to the long tier: the documents' commands do much of the same.
DEVICES = {"blk": None, "rng": None, "console": None, "gpio": None, "input": None, "can": None,
           "sound": "long", "gpu": "long", "board": "long", "all": "long"}


@test(kernels=("debian-6.12",), timeout=120, tags=("docs",),
      cases={d: Case({"device": d}, tier=tier) for d, tier in DEVICES.items()})
def demonstration(t, device):
    """What make demo shows; its own steps say what they expected."""
    t.at_end(t.run, "virtio-loopback", "detach", "--all", "--force", timeout=60)
    for module in MODULES.get(device, ()):
        t.module(module)
    said = t.run(t.top / "demo" / device, timeout=100)
    t.check("FAILED" not in said, "expected no step that failed, saw one")
    if device == "blk":
        t.equal(said.count("look for the file in the image itself: the same sum"), 2,
                "back-ends whose image held what was written")
    if device == "board":
        for use in ("test pattern", "second of noise", "send a frame", "the lamp on"):
            t.check(use in said, f"expected each device to be used, saw no \"{use}\"")
    t.equal(t.devices(), [], "devices after the demonstration")
