# SPDX-License-Identifier: BSD-3-Clause
"""rust-vmm's back-ends behind the small devices, as their authors publish them.

tests/interop/rust-vmm builds them before the guest boots; what it could not build is skipped.

The tests ask of the peers what these versions can do under any front-end. Those for CAN and consoles take all
buffers that the driver has given for one frame or byte, and forget the others: so the first one that comes
in is for certain, and no other. That for CAN hands the driver's own frames back to it.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import gpios
import gpus
import inputs
import test_can
import test_console
import test_gpio
import test_rng
import test_sound
import test_vsock
from can import Interface, bus
from gpios import INPUT, OUTPUT, Line, Sim, Watch, line_name
from harness import test
from sound import PipeWire, loudest, tone, write

TOP = Path(__file__).resolve().parents[2]
PEERS = TOP / "build/peers"
sys.path.insert(0, str(TOP / "tests"))

from lib.documents import docs_check  # noqa: E402


def program(t, name):
    """Where it is; the test is skipped where it could not be built."""
    path, why = PEERS / name, PEERS / f"{name}.why"
    if not path.exists():
        t.skip(f"no {name}: {why.read_text().strip() if why.exists() else 'it was not built'}")
    return path


def peer(t, name, *args, option="--socket-path", suffix="0", env=None):
    """The program, listening at .socket; most put a number behind the name that they are given."""
    path = program(t, name)
    t.peer(name, (PEERS / f"{name}.version").read_text().strip(), name.removeprefix("vhost-device-"))
    process = t.start(path, option, t.tmp / "peer", *args, env=env)
    process.socket = t.tmp / f"peer{suffix}"
    t.within(10, lambda: process.listens(process.socket) or not process.alive(),
             f"{name} to listen")
    t.check(process.alive(), f"{name} ended at once: {process.said()[-300:]}")
    return process


@test(timeout=60, tier="interop", tags=("can",))
def can(t):
    """A frame from the bus; then frames to the bus, each seen before the next; down and up again."""
    bus(t)
    backend = peer(t, "vhost-device-can", "--can-devices", "vcan0")
    interface = Interface(t, socket=backend.socket, exec=None)
    here, there = test_can.raw(t, interface.name), test_can.raw(t, "vcan0")
    there.send(test_can.frame(test_can.EFF | 0x1234567, b"from bus"))
    t.equal(test_can.parse(here.recv(72)), (test_can.EFF | 0x1234567, b"from bus"),
            "frame from the bus")
    for _ in range(2):
        here = test_can.raw(t, interface.name)  # that before is told that the interface went down
        for n in range(100):
            data = bytes((n + i) & 255 for i in range(n % 9))
            ident = 0x100 + n if n & 1 else test_can.EFF | 0x12340000 + n
            here.send(test_can.frame(ident, data))
            t.equal(test_can.parse(there.recv(72)), (ident, data), "frame to the bus")
        interface.down()
        interface.up()
    interface.down()
    interface.device.detach()


REPORTS = ("packaging/reports/vhost-device-gpio-inputs.md",
           "packaging/reports/vhost-device-can-buffers.md",
           "packaging/reports/vhost-device-console-buffers.md",
           "packaging/reports/vhost-device-console-control.md",
           "packaging/reports/vhost-device-console-used.md",
           "packaging/reports/vhost-device-scsi-config.md",
           "packaging/reports/vhost-device-vsock-pieces.md")


@test(timeout=60, tier="interop", tags=("reports",),
      cases={Path(report).stem.removeprefix("vhost-device-"): {"report": report}
             for report in REPORTS})
def reported(t, report):
    """A fault that was reported is there; one that was mended is to be reported no longer."""
    text = (t.top / report).read_text()
    commands = docs_check.commands(text, "tests/vm/test_rust_vmm.py")
    t.equal(len(commands), 1, f"commands of {report}")
    name = commands[0].split()[-1]
    program(t, name)
    version = (PEERS / f"{name}.version").read_text().strip()
    t.check(f"Version: {name} {version}." in text, f"expected {report} to be of {version}")
    if name.endswith("gpio"):
        gpios.load(t, driver=False)
    elif name.endswith("can"):
        bus(t)
    t.run("ip", "link", "set", "lo", "up")
    said = t.run("env", "-C", (t.top / report).parent, f"PATH={PEERS}:{os.environ['PATH']}",
                 "bash", "-euc", commands[0])
    shown = [block.lines for block in docs_check.blocks(text) if block.language == "text"]
    t.equal(shown, [said.splitlines()], f"what {report} shows")


def terminal(t):
    """The device and its terminal.

    The back-end drops a buffer for control messages when it has none for it
    (packaging/reports/vhost-device-console-control.md). Where the driver gives back that of the first message
    before its answer is read, no other comes, and the port stays what it is: then once more.
    """
    for _ in range(5):
        backend = peer(t, "vhost-device-console", "--backend", "network", "--tcp-port", 12345)
        device = t.attach("console", socket=backend.socket)
        limit = time.monotonic() + 5 * t.slow
        while time.monotonic() < limit:
            for node in device.info()["nodes"]:
                if "hvc" in node:
                    return device, node
            time.sleep(0.2)
        device.detach("--force")
        backend.kill()
        backend.socket.unlink(missing_ok=True)
    return t.fail("no /dev/hvcN with five back-ends, one after the other")


@test(timeout=90, tier="interop", tags=("console",))
def console(t):
    """The terminal that it makes, and a client of its TCP port: bytes both ways.

    It forgets what the client sends before the driver has sent something.
    """
    t.run("ip", "link", "set", "lo", "up")
    device, node = terminal(t)
    hvc = test_console.raw(test_console.open_fd(t, node))
    client = t.within(10, connect, "its TCP port")
    t.at_end(client.close)
    for turn in range(100):
        sent = f"message {turn} to the client".encode()
        os.write(hvc, sent)
        t.equal(exactly(t, client.fileno(), len(sent)), sent, "what the client sees")
        if turn == 0:
            client.sendall(b"x")
            t.equal(exactly(t, hvc, 1), b"x", "what was typed")
    test_console.close_fd(hvc)
    device.detach("--force")


def connect():
    try:
        return socket.create_connection(("127.0.0.1", 12345), 5)
    except OSError:
        return None


def exactly(t, fd, count):
    """So many bytes, or what comes in ten seconds."""
    data, limit = b"", time.monotonic() + 10 * t.slow
    while len(data) < count and select.select([fd], [], [], max(0, limit - time.monotonic()))[0]:
        part = os.read(fd, count - len(data))
        if not part:
            break
        data += part
    return data


@test(timeout=60, tier="interop", tags=("gpio",))
def gpio(t):
    """Each line as input and as output, names, and the edges of one.

    Version 0.1.0 reads the values of inputs the wrong way round, of all lines alike.
    """
    sim = Sim(t, 4, [f"line-{n}" for n in range(4)])
    backend = peer(t, "vhost-device-gpio", "--device-list", sim.chip.removeprefix("gpiochip"))
    device = t.attach("gpio", socket=backend.socket)
    t.equal([line_name(device.node, n) for n in range(4)], [f"line-{n}" for n in range(4)],
            "names of the lines")
    seen = []
    for n in range(4):
        for level in (1, 0):
            sim.pull(n, level)
            line = Line(device.node, n, INPUT)
            seen.append(line.get())
            line.close()
    t.check(seen in ([1, 0] * 4, [0, 1] * 4),
            f"inputs: expected 1 and 0 of each line, or the reverse of all, saw {seen}")
    high = seen[0]
    for n in range(4):
        line = Line(device.node, n, OUTPUT, 1)
        t.equal(sim.value(n), 1, f"output {n}")
        line.set(0)
        t.equal(sim.value(n), 0, f"output {n}")
        line.close()
    watch = Watch(device.node, 2)
    test_gpio.armed(t, "vhu-gpio", 1)
    for count, level in enumerate((1, 0, 1, 0), 1):
        sim.pull(2, level)
        t.within(5, lambda: len(watch.edges) == count, f"edge {count} (saw {watch.edges})")
    t.equal(watch.edges, [high, 1 - high] * 2, "edges")
    watch.close()
    device.detach("--force")


@test(timeout=60, tier="interop", tags=("input",))
def input(t):
    """Keys come, each once and in order."""
    source = inputs.keyboard(t)
    backend = peer(t, "vhost-device-input", "--event-list", source.node)
    device = t.attach("input", socket=backend.socket)
    here = inputs.Reader(device.node)
    t.at_end(here.close)
    t.equal(here.description()["id"], inputs.Reader(source.node).description()["id"], "identity")
    for n in range(100):
        event = (inputs.EV_KEY, inputs.KEY_A + n // 2 % 20, n & 1 ^ 1)
        source.send(event)
        t.equal(here.read(2, 5 * t.slow), [event, (0, 0, 0)], f"event {n}")
    here.close()
    device.detach("--force")


@test(timeout=60, tier="interop", tags=("rng",))
def rng(t):
    """What the driver's entropy is made of: the numbers of a file, in their order, each once."""
    source, total = t.tmp / "entropy", 1 << 16
    source.write_bytes(test_rng.numbered(total))
    backend = peer(t, "vhost-device-rng", "--rng-source", source)
    device = t.attach("rng", socket=backend.socket)
    test_rng.is_current(t)
    data = test_rng.read(16384, 20 * t.slow)
    t.equal(len(data), 16384, "bytes read")
    test_rng.words(t, data, total)
    device.detach()


@test(timeout=60, tier="interop", tags=("scsi",))
def scsi(t):
    """Two units of one target, for reading only: sizes and contents, read by four at once."""
    t.module("sd_mod")
    images = [t.tmp / f"unit-{n}" for n in range(2)]
    for n, image in enumerate(images):
        image.write_bytes(os.urandom((3 + n) << 20))
    backend = peer(t, "vhost-device-scsi", "--read-only", *images, suffix="")
    device = t.attach("scsi", socket=backend.socket)
    top = Path("/sys/bus/virtio/devices", device.virtio)
    disks = t.within(20, lambda: (lambda found: found if len(found) == 2 else None)(
        sorted(top.glob("host*/target*/*/block/*"))), "two disks")
    for image, disk in zip(images, disks):
        node, size = Path("/dev", disk.name), image.stat().st_size
        t.within(10, node.exists, str(node))
        t.equal(int((disk / "size").read_text()) * 512, size, f"size of {node}")
        t.equal((disk / "ro").read_text().strip(), "1", f"{node} is read-only")
        t.run("cmp", image, node)
    readers = [t.start("sh", "-c", f"for i in 1 2 3 4 5; do dd if=/dev/{disk.name} bs=64k "
                       f"iflag=direct status=none | cmp - {image} || exit 1; done")
               for image, disk in zip(images, disks) for _ in range(2)]
    for reader in readers:
        t.equal(reader.wait(30), 0, "exit status of a reader")
    device.detach()


STUB, CHIP = "SMBus stub driver", 0x20


@test(timeout=60, tier="interop", tags=("i2c",), needs=("i2cget", "i2cset"))
def i2c(t):
    """Registers of a chip behind the back-end are read and written through the driver's bus."""
    for module in ("i2c-dev", "i2c-virtio"):
        t.module(module)
    t.run("modprobe", "i2c-stub", f"chip_addr={CHIP}", status=None)
    if t.last_status:
        t.skip("the kernel has no i2c-stub")
    t.at_end(t.run, "modprobe", "-r", "i2c-stub")
    there = next(int(path.name.removeprefix("i2c-")) for path in
                 Path("/sys/bus/i2c/devices").glob("i2c-*")
                 if (path / "name").read_text().strip() == STUB)
    backend = peer(t, "vhost-device-i2c", "--device-list", f"{STUB}:{CHIP}")
    device = t.attach("i2c", socket=backend.socket)
    here = int(device.node.rsplit("-", 1)[-1])
    for register in range(0, 256, 15):
        value = register * 7 + 3 & 255
        t.run("i2cset", "-y", there, CHIP, register, value)
        t.equal(int(t.run("i2cget", "-y", here, CHIP, register), 16), value,
                f"register {register}, read through the device")
        t.run("i2cset", "-y", here, CHIP, register, value ^ 255)
        t.equal(int(t.run("i2cget", "-y", there, CHIP, register), 16), value ^ 255,
                f"register {register}, written through the device")
    said = t.run("i2cget", "-y", here, CHIP + 1, 0, status=2)
    t.check("Read failed" in said, f"a chip that is not there: saw {said!r}")
    device.detach()


@test(timeout=90, tier="interop", tags=("vsock",))
def vsock(t):
    """Connections from and to its sockets, 1 MiB there and back, with --tx-buffer-size 16384."""
    uds = t.tmp / "vm.vsock"
    backend = peer(t, "vhost-device-vsock", "--guest-cid", test_vsock.CID, "--uds-path", uds,
                   "--tx-buffer-size", test_vsock.SMALL, option="--socket", suffix="")
    device = t.attach("vsock", socket=backend.socket)
    test_vsock.converse(t, uds)
    device.detach()


def sound_card(t, backend, env=None):
    process = peer(t, "vhost-device-sound", "--backend", backend, option="--socket", suffix="",
                   env=env)
    return t.attach("sound", socket=process.socket)


def aplay(card, path):
    return ("aplay", "-q", "--buffer-time=900000", "-D", card.node, "-t", "raw", "-f", "S16_LE",
            "-c", 2, "-r", 48000, path)


@test(timeout=60, tier="interop", tags=("sound",), needs=("aplay",))
def sound_null(t):
    """The card, with what the back-end says of it.

    Its null backend answers messages that the driver sends before it starts the stream, which do not count
    then: nothing can be played to it.
    """
    card = sound_card(t, "null")
    said = t.run("aplay", "-D", card.node, "--dump-hw-params", "-f", "S16_LE", "-r", 48000, "-c", 2,
                 "-d", 1, "/dev/zero", status=None)
    for words in ("U8 S16_LE S24_LE S32_LE", "[1 6]", "[8000 48000]"):
        t.check(words in said, f"parameters: expected {words!r}, saw {said!r}")
    card.detach()


@test(timeout=120, tier="interop", tags=("sound",),
      needs=("aplay", "pipewire", "wireplumber", "pw-record"))
def sound_pipewire(t):
    """What aplay plays is in what PipeWire plays."""
    server = PipeWire(t)
    card = sound_card(t, "pipewire", env=server.env)
    # When its stream comes into the mixer later than aplay's buffer lasts, aplay ends: then again.
    player = t.start(*test_sound.Duplex.AGAIN, *aplay(card, write(t.tmp / "in.raw", tone(440, 2) * 20)))
    t.within(30, lambda: any(server.linked(name, server.sink) for name in
                             ("vhost-device-sound", "audio-output")), "its stream in the mixer")
    heard = t.tmp / "heard.wav"
    recorder = server.record(heard)
    t.within(30, lambda: heard.exists() and heard.stat().st_size > 200000, "sound recorded")
    recorder.signal(signal.SIGINT)
    recorder.wait()
    seen, other = (loudest(heard.read_bytes()[44:], hz) for hz in (440, 3000))
    t.check(seen > 9000 and other < 1200, "expected 440 Hz at about 12000 and next to no 3000 Hz, "
            f"saw {seen:.0f} and {other:.0f}")
    player.signal(signal.SIGTERM)
    player.wait()
    card.detach("--force")


CREATE_DUMB = 3 << 30 | 32 << 16 | ord("d") << 8 | 0xb2


@test(timeout=60, tier="interop", tags=("gpu",), needs=("modetest",))
def gpu(t):
    """The driver binds, and each of its commands is answered: what it maps, it can unmap again."""
    if "virglrenderer" in t.run(PEERS / "vhost-device-gpu", "--help", status=None):
        t.log("it could draw; what is tested here is what it does without")
    backend = peer(t, "vhost-device-gpu", "--gpu-mode", "null", suffix="")
    device = t.attach("gpu", "--display", "none", socket=backend.socket)
    t.equal(device.node[:13], "/dev/dri/card", "the node")
    t.run("modetest", "-M", "virtio_gpu", "-c")
    rest = gpus.stats(t, device)["window_bytes"]
    for turn in range(5):
        card = os.open(device.node, os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(card, CREATE_DUMB, bytearray(struct.pack("=IIIIIIQ", 480, 640, 32, 0, 0, 0, 0)))
        t.within(10, lambda: gpus.stats(t, device)["window_bytes"] >= rest + 640 * 480 * 4,
                 "a buffer shown to the back-end")
        os.close(card)
        t.within(10, lambda: gpus.stats(t, device)["window_bytes"] == rest, "the buffer gone")
    device.detach()
